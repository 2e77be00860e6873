//! What the token can do by itself: signatures a second without our processes, to set our own rate against.
//!
//! `raw_rate MODULE LABEL PIN_FILE [SECONDS]` makes a P-256 and an RSA-2048 key, each as a token object and as an unwrapped session object (the
//! kind that serves requests by default), signs with each for SECONDS (3) in one process and in two, and prints a JSON line for each.
//! The token objects are removed at the end. Processes log in one after the other and start signing at a common moment.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]
#![expect(clippy::print_stdout, reason = "the results")]
#![expect(clippy::disallowed_methods, reason = "processes agree on a moment to start at")]

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use secrecy::SecretString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ID: &[u8] = b"clm-raw-rate";
const KEYS: [&str; 2] = ["p256", "rsa2048"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["signer", module, label, pin_file, key, kind, seconds] => {
            signer(module, label, pin_file, key, kind, seconds.parse().unwrap());
        }
        [module, label, pin_file, rest @ ..] => measure(module, label, pin_file, rest.first().unwrap_or(&"3")),
        _ => {
            drop(writeln!(std::io::stderr(), "usage: raw_rate MODULE LABEL PIN_FILE [SECONDS]"));
            std::process::exit(2);
        }
    }
}

fn measure(module: &str, label: &str, pin_file: &str, seconds: &str) {
    for key in KEYS {
        for kind in ["token", "session"] {
            for processes in [1, 2] {
                let mut signers: Vec<_> =
                    (0..processes).map(|_| Signer::start(&[module, label, pin_file, key, kind, seconds])).collect();
                let start = now() + Duration::from_millis(200);
                for signer in &mut signers {
                    signer.tell(&start.as_micros().to_string());
                }
                let rate: f64 = signers.iter_mut().map(|signer| signer.hear().parse::<f64>().unwrap()).sum();
                for signer in signers {
                    signer.end();
                }
                println!(
                    r#"{{"key":"{key}","object":"{kind}","processes":{processes},"signatures_per_second":{rate:.0}}}"#
                );
            }
        }
    }
}

struct Signer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Signer {
    /// Returns when it is logged in and has its key: starts are serialised, because simultaneous ones lose tokens.
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("signer")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut signer = Self { child, answers };
        assert_eq!(signer.hear(), "ready");
        signer
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn signer(module: &str, label: &str, pin_file: &str, key: &str, kind: &str, seconds: f64) {
    let session = log_in(module, label, pin_file);
    let (handle, made) = match kind {
        "token" => {
            let (private, public) = generate(&session, key, true);
            (private, vec![private, public])
        }
        _ => (unwrapped(&session, key), Vec::new()),
    };
    let (mechanism, data) = match key {
        "p256" => (Mechanism::Ecdsa, vec![7; 32]),
        // RSASSA-PKCS1-v1_5 pads any short content; a SHA-256 DigestInfo has 51 bytes.
        _ => (Mechanism::RsaPkcs, vec![7; 51]),
    };
    session.sign(&mechanism, handle, &data).unwrap();
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let start = Duration::from_micros(line.trim().parse().unwrap());
    std::thread::sleep(start.saturating_sub(now()));
    let (began, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut count = 0u32;
    while began.elapsed() < limit {
        session.sign(&mechanism, handle, &data).unwrap();
        count += 1;
    }
    println!("{}", f64::from(count) / began.elapsed().as_secs_f64());
    // The others measure until their own end: what follows must not disturb them.
    std::io::stdin().read_line(&mut line).unwrap();
    for object in made {
        session.destroy_object(object).unwrap();
    }
}

fn log_in(module: &str, label: &str, pin_file: &str) -> Session {
    let pkcs11 = Pkcs11::new(module).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slots = pkcs11.get_slots_with_initialized_token().unwrap();
    let named = |slot| pkcs11.get_token_info(slot).is_ok_and(|info| info.label().trim_end() == label);
    let slot = slots.into_iter().find(|slot| named(*slot)).unwrap_or_else(|| panic!("no token `{label}`"));
    let session = pkcs11.open_rw_session(slot).unwrap();
    let pin = std::fs::read_to_string(pin_file).unwrap();
    session.login(UserType::User, Some(&SecretString::from(pin.lines().next().unwrap_or_default()))).unwrap();
    session
}

fn generate(session: &Session, key: &str, on_token: bool) -> (ObjectHandle, ObjectHandle) {
    let private = [
        Attribute::Token(on_token),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(!on_token),
        Attribute::Sign(true),
        Attribute::Id(ID.to_vec()),
    ];
    let mut public = vec![Attribute::Token(on_token), Attribute::Verify(true), Attribute::Id(ID.to_vec())];
    let mechanism = if key == "p256" {
        public.push(Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]));
        Mechanism::EccKeyPairGen
    } else {
        public.extend([Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])]);
        Mechanism::RsaPkcsKeyPairGen
    };
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private).unwrap();
    (private, public)
}

/// As a worker holds it: wrapped, unwrapped again, sensitive and not extractable.
fn unwrapped(session: &Session, key: &str) -> ObjectHandle {
    let wrapping = session
        .generate_key(
            &Mechanism::AesKeyGen,
            &[Attribute::Token(false), Attribute::Wrap(true), Attribute::Unwrap(true), Attribute::ValueLen(32.into())],
        )
        .unwrap();
    let (private, public) = generate(session, key, false);
    let blob = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, private).unwrap();
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(if key == "p256" { KeyType::EC } else { KeyType::RSA }),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let handle = session.unwrap_key(&Mechanism::AesKeyWrapPad, wrapping, &blob, &template).unwrap();
    for object in [private, public, wrapping] {
        session.destroy_object(object).unwrap();
    }
    handle
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

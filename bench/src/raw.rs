//! What the token can do by itself: signatures (or HMACs) a second without our processes, to set our own rate against.
//!
//! Each key is measured as an unwrapped session object, the kind that serves requests by default, and as a token object. Processes log in
//! one after the other, because simultaneous starts lose tokens, and begin at one word.

use anyhow::{Context, Result, ensure};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use secrecy::SecretString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tests::Site;

/// The hidden subcommand of a signing process.
pub(crate) const SIGNER: &str = "signer";
/// The hidden subcommand of a process that counts the token's objects.
pub(crate) const COUNTER: &str = "counter";
const ID: &[u8] = b"clm-raw-rate";

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Aes256,
    Ed25519,
    Hmac,
    P256,
    Rsa2048,
}

/// Signatures a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// `session` (unwrapped) or `token`.
    pub(crate) object: &'static str,
    pub(crate) processes: usize,
    pub(crate) per_second: f64,
}

impl Key {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "AES-256-GCM",
            Self::Ed25519 => "Ed25519",
            Self::Hmac => "HMAC-SHA-256",
            Self::P256 => "P-256",
            Self::Rsa2048 => "RSA-2048",
        }
    }

    fn parse(name: &str) -> Result<Self> {
        [Self::Aes256, Self::Ed25519, Self::Hmac, Self::P256, Self::Rsa2048]
            .into_iter()
            .find(|key| key.name() == name)
            .context("no such key")
    }

    /// Kinds of object, first the one that serves requests. SoftHSM wraps no Ed25519 keys: they stay on the token.
    fn objects(self) -> &'static [&'static str] {
        if self == Self::Ed25519 { &["token"] } else { &["session", "token"] }
    }

    /// Once what requests need the token for.
    fn work(self, session: &Session, handle: ObjectHandle, data: &[u8]) -> Result<()> {
        let mechanism = match self {
            Self::Aes256 => {
                // The token's generator makes it for each value.
                let mut iv = [0; 12];
                session.generate_random_slice(&mut iv)?;
                let parameters = GcmParams::new(&mut iv, &[], 128.into())?;
                session.encrypt(&Mechanism::AesGcm(parameters), handle, data)?;
                return Ok(());
            }
            Self::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Self::Hmac => Mechanism::Sha256Hmac,
            Self::P256 => Mechanism::Ecdsa,
            Self::Rsa2048 => Mechanism::RsaPkcs,
        };
        session.sign(&mechanism, handle, data)?;
        Ok(())
    }

    /// Bytes of what requests to `transit/` have it work on: a digest, for RSASSA-PKCS1-v1_5 as long as a SHA-256 DigestInfo; of AES-GCM and HMAC, what they
    /// bring.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Aes256 | Self::Hmac => 12,
            Self::Rsa2048 => 51,
            Self::Ed25519 | Self::P256 => 32,
        }
    }

    fn class_and_type(self) -> (ObjectClass, KeyType) {
        match self {
            Self::Aes256 => (ObjectClass::SECRET_KEY, KeyType::AES),
            Self::Ed25519 => (ObjectClass::PRIVATE_KEY, KeyType::EC_EDWARDS),
            Self::Hmac => (ObjectClass::SECRET_KEY, KeyType::GENERIC_SECRET),
            Self::P256 => (ObjectClass::PRIVATE_KEY, KeyType::EC),
            Self::Rsa2048 => (ObjectClass::PRIVATE_KEY, KeyType::RSA),
        }
    }
}

/// Each kind of object in one process and in two, on values of `length` bytes.
pub(crate) fn measure(site: &Site, key: Key, length: usize, window: Duration) -> Result<Vec<Rate>> {
    let mut rates = Vec::new();
    for object in key.objects() {
        for processes in [1, 2] {
            let mut signers =
                (0..processes).map(|_| Signer::start(site, key, object, length, window)).collect::<Result<Vec<_>>>()?;
            signers.iter_mut().try_for_each(Signer::go)?;
            let mut per_second = 0.0;
            for signer in &mut signers {
                per_second += signer.hear()?.parse::<f64>()?;
            }
            signers.into_iter().try_for_each(Signer::end)?;
            rates.push(Rate { object, processes, per_second });
        }
    }
    Ok(rates)
}

/// What `openssl speed` signs with a key in memory, one process. HMACs it measures otherwise.
pub(crate) fn openssl(key: Key, window: Duration) -> Result<Option<f64>> {
    let (name, tag) = match key {
        Key::Aes256 | Key::Hmac => return Ok(None),
        Key::Ed25519 => ("ed25519", "+F6:"),
        Key::P256 => ("ecdsap256", "+F4:"),
        Key::Rsa2048 => ("rsa2048", "+F2:"),
    };
    let seconds = window.as_secs().clamp(1, 3).to_string();
    let output =
        Command::new("openssl").args(["speed", "-mr", "-seconds", &seconds, name]).stderr(Stdio::null()).output();
    let Ok(output) = output else { return Ok(None) };
    let text = String::from_utf8_lossy(&output.stdout);
    // +F4:INDEX:BITS:[NAME:]SIGNATURES A SECOND:VERIFICATIONS A SECOND
    let line = text.lines().find(|line| line.starts_with(tag));
    Ok(line.and_then(|line| line.rsplit(':').nth(1)?.parse().ok()))
}

struct Signer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Signer {
    /// Returns when it is logged in and has its key.
    fn start(site: &Site, key: Key, object: &str, length: usize, window: Duration) -> Result<Self> {
        let hsm = site.hsm()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([SIGNER, hsm.module.to_str().context("a path in UTF-8")?, &hsm.token])
            .arg(site.path("pin"))
            .args([key.name(), object, &length.to_string(), &window.as_secs_f64().to_string()])
            .envs(&hsm.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut signer = Self { child, answers };
        ensure!(signer.hear()? == "ready", "a signer did not get ready");
        Ok(signer)
    }

    fn go(&mut self) -> Result<()> {
        writeln!(self.child.stdin.as_mut().context("a pipe")?, "go")?;
        Ok(())
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        ensure!(self.child.wait()?.success(), "a signer failed");
        Ok(())
    }
}

/// Body of the hidden subcommand.
pub(crate) fn sign(arguments: &[String]) -> Result<()> {
    let [module, label, pin_file, key, object, length, seconds] = arguments else {
        anyhow::bail!("this is started by bench")
    };
    let key = Key::parse(key)?;
    let limit = Duration::from_secs_f64(seconds.parse()?);
    let session = log_in(module, label, pin_file)?;
    let (handle, made) = if object == "token" {
        let made = generate(&session, key, true)?;
        (made[0], made)
    } else {
        (unwrapped(&session, key)?, Vec::new())
    };
    let data = vec![7; length.parse()?];
    key.work(&session, handle, &data)?;
    say("ready")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let began = Instant::now();
    let mut count = 0u32;
    while began.elapsed() < limit {
        key.work(&session, handle, &data)?;
        count += 1;
    }
    say(&format!("{}", f64::from(count) / began.elapsed().as_secs_f64()))?;
    // The others measure until their own end: what follows must not disturb them.
    std::io::stdin().read_line(&mut line)?;
    for object in made {
        session.destroy_object(object)?;
    }
    Ok(())
}

/// Body of the other hidden subcommand.
pub(crate) fn count(arguments: &[String]) -> Result<()> {
    let [module, label, pin_file] = arguments else { anyhow::bail!("this is started by bench") };
    say(&log_in(module, label, pin_file)?.find_objects(&[Attribute::Token(true)])?.len().to_string())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn log_in(module: &str, label: &str, pin_file: &str) -> Result<Session> {
    let pkcs11 = Pkcs11::new(module)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let named =
        |slot: &cryptoki::slot::Slot| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == label);
    let slot = pkcs11.get_slots_with_initialized_token()?.into_iter().find(named).context("no such token")?;
    let session = pkcs11.open_rw_session(slot)?;
    let pin = std::fs::read_to_string(pin_file)?;
    session.login(UserType::User, Some(&SecretString::from(pin.lines().next().unwrap_or_default())))?;
    Ok(session)
}

/// The half that signs comes first.
fn generate(session: &Session, key: Key, on_token: bool) -> Result<Vec<ObjectHandle>> {
    let mut private = vec![
        Attribute::Token(on_token),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(!on_token),
        if key == Key::Aes256 { Attribute::Encrypt(true) } else { Attribute::Sign(true) },
        Attribute::Id(ID.to_vec()),
    ];
    let mut public = vec![Attribute::Token(on_token), Attribute::Verify(true), Attribute::Id(ID.to_vec())];
    let mechanism = match key {
        Key::Aes256 => {
            private.push(Attribute::ValueLen(32.into()));
            return Ok(vec![session.generate_key(&Mechanism::AesKeyGen, &private)?]);
        }
        // RFC 8410.
        Key::Ed25519 => {
            public.push(Attribute::EcParams(vec![0x06, 0x03, 0x2b, 0x65, 0x70]));
            Mechanism::EccEdwardsKeyPairGen
        }
        Key::Hmac => {
            private.push(Attribute::ValueLen(32.into()));
            return Ok(vec![session.generate_key(&Mechanism::GenericSecretKeyGen, &private)?]);
        }
        // prime256v1.
        Key::P256 => {
            public.push(Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]));
            Mechanism::EccKeyPairGen
        }
        Key::Rsa2048 => {
            public.extend([Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])]);
            Mechanism::RsaPkcsKeyPairGen
        }
    };
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(vec![private, public])
}

/// As a worker holds it: wrapped, unwrapped again, sensitive and not extractable.
fn unwrapped(session: &Session, key: Key) -> Result<ObjectHandle> {
    let wrapping =
        [Attribute::Token(false), Attribute::Wrap(true), Attribute::Unwrap(true), Attribute::ValueLen(32.into())];
    let wrapping = session.generate_key(&Mechanism::AesKeyGen, &wrapping)?;
    let made = generate(session, key, false)?;
    let blob = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, made[0])?;
    let (class, key_type) = key.class_and_type();
    let template = [
        Attribute::Class(class),
        Attribute::KeyType(key_type),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        if key == Key::Aes256 { Attribute::Encrypt(true) } else { Attribute::Sign(true) },
    ];
    let handle = session.unwrap_key(&Mechanism::AesKeyWrapPad, wrapping, &blob, &template)?;
    for object in made.into_iter().chain([wrapping]) {
        session.destroy_object(object)?;
    }
    Ok(handle)
}

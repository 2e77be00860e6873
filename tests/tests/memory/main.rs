//! No key is said or written down by the service (`said`), and none is in the memory of the processes that speak HTTP or hold the PIN: what they
//! hold after keys were made, imported and used is written down, in two ways, and searched for the private parts of these keys in every form in
//! which they could stand there. Of keys that the token made these are learnt only afterwards. What is put there on purpose is found.
#![expect(clippy::unwrap_used, reason = "tests")]

mod dump;
mod needles;
mod said;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dump::{core, memory};
use needles::Needles;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::transit::done;
use tests::{Server, Site, process};

/// The user PIN of every site.
const PIN: &[u8] = b"user-4242";

fn openssl(site: &Site, arguments: &str) -> Vec<u8> {
    let directory = site.path("x");
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(directory.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The numbers of a private key in that file that nobody else may know: of an RSA key d, p, q and what is computed from them, of a curve's its
/// scalar.
fn private_parts(site: &Site, file: &str) -> Vec<Vec<u8>> {
    openssl(site, &format!("pkey -in {file} -traditional -outform DER -out traditional.der"));
    let told = String::from_utf8(openssl(site, "asn1parse -inform DER -in traditional.der")).unwrap();
    let numbers = told.lines().filter(|line| line.contains("INTEGER") || line.contains("OCTET STRING"));
    let numbers: Vec<Vec<u8>> = numbers
        .filter_map(|line| hex::decode(line.rsplit_once(':')?.1).ok().filter(|bytes| bytes.len() > 30))
        .collect();
    // The first of an RSA key is its modulus.
    let public = usize::from(numbers.len() > 1);
    assert!([1, 7].contains(&numbers.len()), "{told}");
    numbers[public..].to_vec()
}

/// Material as Vault's clients send it to be imported.
async fn brought(server: &Server, material: &[u8], kek: &[u8; 32]) -> String {
    let answer = server.get("transit/wrapping_key").await.unwrap();
    let body: String = answer.text("public_key").lines().filter(|line| !line.starts_with('-')).collect();
    let key = PublicEncryptingKey::from_der(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let (mut first, mut second) = (vec![0; 512], vec![0; material.len() + 15]);
    key.encrypt(&OAEP_SHA256_MGF1SHA256, kek, &mut first, None).unwrap();
    let length = AesKek::new(&AES_256, kek).unwrap().wrap_with_padding(material, &mut second).unwrap().len();
    second.truncate(length);
    BASE64_STANDARD.encode([first, second].concat())
}

async fn import(server: &Server, name: &str, kind: &str, material: &[u8], kek: &[u8; 32]) {
    let ciphertext = brought(server, material, kek).await;
    done(server, &format!("keys/{name}/import"), json!({"type": kind, "ciphertext": ciphertext})).await;
}

async fn sign(server: &Server, name: &str, version: u64) {
    for input in ["YQ==", "Yg==", "Yw=="] {
        done(server, &format!("sign/{name}"), json!({"input": input, "key_version": version})).await;
    }
}

/// A request that never ends, so that the server keeps what came of it.
fn unfinished(server: &Server, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address().trim_start_matches("http://")).unwrap();
    let head = format!(
        "PUT /v1/transit/sign/p256 HTTP/1.1\r\nhost: localhost\r\nx-vault-token: {}\r\ncontent-length: 100000\r\n\r\n",
        server.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

fn supervisor(server: &Server) -> u32 {
    let is_supervisor = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("hsm-supervisor"))
    };
    process::descendants(server.pid()).into_iter().find(is_supervisor).unwrap()
}

#[tokio::test]
async fn no_key_is_in_the_memory_of_server_or_supervisor_and_what_is_planted_is_found() {
    // Else its memory could be read by root alone, and no core dump be made of it.
    let (site, server) = Site::started("[server]\ncore_dumps = true\n").await.unwrap();
    let mut secrets = Needles::default();

    // Keys that were made elsewhere, and that this test knows.
    let kek: [u8; 32] = std::array::from_fn(|_| rand::random());
    let aes: [u8; 32] = std::array::from_fn(|_| rand::random());
    secrets.add("KEK of the import", &kek);
    secrets.add("imported AES key", &aes);
    import(&server, "aes", "aes256-gcm96", &aes, &kek).await;
    let ec = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    for (name, kind, options) in [("p256", "ecdsa-p256", ec), ("rsa", "rsa-2048", "-algorithm RSA")] {
        openssl(&site, &format!("genpkey {options} -out {name}.pem"));
        let material = openssl(&site, &format!("pkcs8 -topk8 -nocrypt -in {name}.pem -outform DER"));
        import(&server, name, kind, &material, &kek).await;
        sign(&server, name, 1).await;
        for (part, number) in private_parts(&site, &format!("{name}.pem")).iter().enumerate() {
            secrets.add(&format!("imported {kind}, number {part}"), number);
        }
    }
    // Keys that the token made, and that nobody knows yet.
    for kind in ["ecdsa-p256", "rsa-2048"] {
        done(&server, &format!("keys/{kind}"), json!({"type": kind, "exportable": true})).await;
        sign(&server, kind, 1).await;
        done(&server, &format!("keys/{kind}/rotate"), json!({})).await;
        sign(&server, kind, 2).await;
    }
    // Pairs that left it for as long as it took to encrypt them.
    let mut left = Vec::new();
    for kind in ["ecdsa-p256", "rsa-2048"] {
        for time in 1..=3 {
            let made = done(&server, "datakeypair/wrapped/aes", json!({"key_type": kind})).await;
            left.push((format!("{kind} that left, {time}"), made.text("ciphertext").to_owned()));
        }
    }

    let supervisor = supervisor(&server);
    let directory = site.path("dumps");
    std::fs::create_dir(&directory).unwrap();
    let mut dumps = vec![memory(server.pid(), &directory)];
    dumps.extend(core(server.pid(), &directory));
    let hidden = !rustix::process::geteuid().is_root();
    if hidden {
        // Not dumpable: its own user cannot look either.
        assert!(std::fs::File::open(format!("/proc/{supervisor}/mem")).is_err());
    } else {
        dumps.push(memory(supervisor, &directory));
        dumps.extend(core(supervisor, &directory));
    }
    for kind in ["ecdsa-p256", "rsa-2048"] {
        let exported = server.get(&format!("transit/export/signing-key/{kind}?format=pem")).await.unwrap();
        let versions = exported.body["data"]["keys"].as_object().unwrap_or_else(|| panic!("{exported:?}"));
        assert_eq!(versions.len(), 2);
        for (version, pem) in versions {
            std::fs::write(site.path("exported.pem"), pem.as_str().unwrap()).unwrap();
            for (part, number) in private_parts(&site, "exported.pem").iter().enumerate() {
                secrets.add(&format!("{kind}, version {version}, number {part}"), number);
            }
        }
    }
    for (name, ciphertext) in left {
        let opened = done(&server, "decrypt/aes", json!({"ciphertext": ciphertext})).await;
        let private = BASE64_STANDARD.decode(opened.text("plaintext")).unwrap();
        std::fs::write(site.path("left.der"), private).unwrap();
        openssl(&site, "pkey -inform DER -in left.der -out left.pem");
        for (part, number) in private_parts(&site, "left.pem").iter().enumerate() {
            secrets.add(&format!("{name}, number {part}"), number);
        }
    }
    let secrets = secrets.search();
    for dump in &dumps {
        assert_eq!(secrets.found_in(dump), Vec::<&str>::new(), "{}", dump.display());
    }
    let mut pin = Needles::default();
    pin.add_as_it_is("PIN", PIN);
    let pin = pin.search();
    for dump in &dumps {
        // The supervisor is where the PIN is: what is there is found.
        let its = dump.file_name().unwrap().to_str().unwrap().ends_with(&format!(".{supervisor}"));
        assert_eq!(pin.found_in(dump), if its { vec!["PIN"] } else { vec![] }, "{}", dump.display());
    }
    planted_is_found(&site, &server, &directory);
}

fn planted_is_found(site: &Site, server: &Server, directory: &Path) {
    let key = private_parts(site, "p256.pem").remove(0);
    let text = format!("{{\"a\":\"{}\",\"b\":\"{}\"", BASE64_STANDARD.encode(&key), hex::encode(&key));
    let _open = unfinished(server, &[text.as_bytes(), &key].concat());
    let mut planted = Needles::default();
    planted.add("planted", &key);
    let planted = planted.search();
    let all = |dump: &Path| {
        let found = planted.found_in(dump);
        ["raw", "hexadecimal", "base64"].iter().all(|form| found.iter().any(|name| name.ends_with(form)))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !all(&memory(server.pid(), directory)) {
        assert!(Instant::now() < deadline, "what was planted is not found");
    }
    if let Some(core) = core(server.pid(), directory) {
        assert!(all(&core), "what was planted is not found in the core dump");
    }
}

//! What versions made stays good: ciphertexts, signatures and HMACs of every version, held against the key after everything that can happen to it.

use super::{b64, done, read, refused, restarted, started};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Server, Site, openssl};

const MESSAGE: &[u8] = b"pay 100 to Alice";

/// What one version of a key made.
struct Made {
    key: &'static str,
    version: u64,
    /// `decrypt`, or the field of `verify`.
    by: &'static str,
    text: String,
    /// How openssl verifies it, where it does, and by which public key.
    openssl: Option<(&'static [&'static str], String)>,
}

/// A key, what it is, whether it is an object on the token, what it makes.
const KEYS: [(&str, &str, bool, &[&str]); 8] = [
    ("aes", "aes256-gcm96", false, &["decrypt", "hmac"]),
    ("aes-token", "aes256-gcm96", true, &["decrypt"]),
    ("people", "aes128-gcm96", false, &["decrypt"]),
    ("ec", "ecdsa-p256", false, &["signature", "hmac"]),
    ("ec-token", "ecdsa-p384", true, &["signature"]),
    ("edwards", "ed25519", true, &["signature"]),
    ("rsa", "rsa-2048", false, &["decrypt", "signature"]),
    ("mac", "hmac", false, &["hmac"]),
];

fn is_derived(key: &str) -> bool {
    key == "people"
}

fn context(key: &str) -> Value {
    if is_derived(key) { json!(b64("alice")) } else { Value::Null }
}

async fn create(server: &Server) {
    for (key, kind, on_token, _) in KEYS {
        let derived = is_derived(key);
        let mut body = json!({"type": kind, "derived": derived, "convergent_encryption": derived});
        body["storage"] = if on_token { "token" } else { "wrapped" }.into();
        if kind == "hmac" {
            body["key_size"] = 32.into();
        }
        if !on_token {
            (body["exportable"], body["allow_plaintext_backup"]) = (true.into(), true.into());
        }
        done(server, &format!("keys/{key}"), body).await;
    }
}

/// Everything that the newest version of every key makes.
async fn make(server: &Server, all: &mut Vec<Made>) {
    for (key, _, _, verbs) in KEYS {
        let shown = read(server, &format!("keys/{key}")).await.body["data"].clone();
        let version = shown["latest_version"].as_u64().unwrap();
        for by in verbs {
            let (path, body, field) = match *by {
                "decrypt" => ("encrypt", json!({"plaintext": b64(MESSAGE), "context": context(key)}), "ciphertext"),
                "signature" => ("sign", json!({"input": b64(MESSAGE)}), "signature"),
                _ => ("hmac", json!({"input": b64(MESSAGE)}), "hmac"),
            };
            let text = done(server, &format!("{path}/{key}"), body).await.text(field).to_owned();
            assert!(text.starts_with(&format!("vault:v{version}:")), "{key}: {text}");
            let options: Option<&[&str]> = match (*by, key) {
                ("signature", "ec") => Some(&[]),
                ("signature", "rsa") => Some(&["rsa_padding_mode:pss"]),
                _ => None,
            };
            let public = || shown["keys"][version.to_string()]["public_key"].as_str().unwrap().to_owned();
            all.push(Made { key, version, by, text, openssl: options.map(|options| (options, public())) });
        }
    }
}

/// All that is there from `lowest` on is good, with `to` behind the key's name; what is older is refused as such.
async fn hold(server: &Server, site: &Site, all: &[Made], lowest: u64, to: &str, after: &str) {
    for Made { key, version, by, text, openssl } in all {
        let name = format!("{key}{to}");
        let (path, body) = match *by {
            "decrypt" => (format!("decrypt/{name}"), json!({"ciphertext": text, "context": context(key)})),
            _ => (format!("verify/{name}"), json!({"input": b64(MESSAGE), *by: text})),
        };
        if *version < lowest {
            let ends = if *by == "hmac" { "(disallowed by policy)" } else { "disallowed by policy (too old)" };
            let answer = server.put(&format!("transit/{path}"), body.clone()).await.unwrap();
            let said = answer.error().contains("too old") && answer.error().contains("disallowed by policy");
            assert!(answer.status == 400 && said, "after {after}, {key} v{version} by {by}: {answer:?} {ends}");
            continue;
        }
        let answer = done(server, &path, body).await;
        if *by == "decrypt" {
            assert_eq!(answer.text("plaintext"), b64(MESSAGE), "after {after}, {key} v{version}");
        } else {
            assert_eq!(answer.body["data"]["valid"], true, "after {after}, {key} v{version} by {by}");
        }
        if let Some((options, public)) = openssl {
            assert!(openssl::verifies(site, public, options, MESSAGE, text).unwrap(), "{key} v{version}");
        }
    }
}

async fn rotate(server: &Server) {
    for (key, ..) in KEYS {
        done(server, &format!("keys/{key}/rotate"), json!({})).await;
    }
}

#[tokio::test]
async fn what_every_version_made_is_good_through_rotation_rewrapping_restarts_trimming_backup_and_restoring() {
    let (site, mut server) = started().await;
    create(&server).await;
    let mut all = Vec::new();
    make(&server, &mut all).await;
    for _ in 2..=4 {
        rotate(&server).await;
        make(&server, &mut all).await;
    }
    hold(&server, &site, &all, 1, "", "rotation").await;

    // Rewrapped, from the first version to the third and from all to the newest.
    let mut anew = Vec::new();
    for made in all.iter().filter(|made| made.by == "decrypt") {
        for wanted in [3, 4] {
            let body = json!({"ciphertext": made.text, "context": context(made.key), "key_version": wanted});
            let text = done(&server, &format!("rewrap/{}", made.key), body).await.text("ciphertext").to_owned();
            assert!(text.starts_with(&format!("vault:v{wanted}:")), "{text}");
            anew.push(Made { key: made.key, version: wanted, by: "decrypt", text, openssl: None });
        }
    }
    all.extend(anew);
    hold(&server, &site, &all, 1, "", "rewrapping").await;
    server = restarted(&site, server).await;
    hold(&server, &site, &all, 1, "", "a restart").await;

    for (key, ..) in KEYS {
        done(&server, &format!("keys/{key}/config"), json!({"min_decryption_version": 2, "min_encryption_version": 2}))
            .await;
        hold_one_back(&server, key).await;
        done(&server, &format!("keys/{key}/trim"), json!({"min_available_version": 2})).await;
    }
    hold(&server, &site, &all, 2, "", "trimming").await;
    rotate(&server).await;
    make(&server, &mut all).await;
    server = restarted(&site, server).await;
    hold(&server, &site, &all, 2, "", "trimming, rotation and a restart").await;

    // Deleted and restored, and restored beside it; what is on the token is in no backup.
    let kept: Vec<&str> = KEYS.iter().filter(|(_, _, on_token, _)| !on_token).map(|(key, ..)| *key).collect();
    for key in &kept {
        let backup = read(&server, &format!("backup/{key}")).await.text("backup").to_owned();
        done(&server, &format!("keys/{key}/config"), json!({"deletion_allowed": true})).await;
        let deleted = server.ask(Method::DELETE, &format!("transit/keys/{key}"), None).await.unwrap();
        assert_eq!(deleted.status, 204, "{deleted:?}");
        for name in [(*key).to_owned(), format!("{key}-beside")] {
            done(&server, &format!("restore/{name}"), json!({"backup": backup})).await;
        }
    }
    hold(&server, &site, &all, 2, "", "restoring").await;
    let beside: Vec<Made> = all.extract_if(.., |made| kept.contains(&made.key)).collect();
    hold(&server, &site, &beside, 2, "-beside", "restoring beside it").await;
    // The restored key goes on where it was.
    done(&server, "keys/aes/rotate", json!({})).await;
    let text = done(&server, "encrypt/aes", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    assert!(text.starts_with("vault:v6:"), "{text}");
    server = restarted(&site, server).await;
    hold(&server, &site, &beside, 2, "", "restoring and a restart").await;
    hold(&server, &site, &all, 2, "", "all that happened to others").await;
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

/// The version that is below the limit does nothing new either.
async fn hold_one_back(server: &Server, key: &str) {
    let path = if key == "mac" {
        return;
    } else if key.starts_with('e') {
        ("sign", json!({"input": b64(MESSAGE), "key_version": 1}))
    } else {
        ("encrypt", json!({"plaintext": b64(MESSAGE), "context": context(key), "key_version": 1}))
    };
    let text = if path.0 == "sign" { "signing" } else { "encryption" };
    let less = format!("requested version for {text} is less than the minimum encryption key version");
    refused(server, &format!("{}/{key}", path.0), path.1, &less).await;
}

//! ECDH: what this side and another, which is `openssl`, agree on.

use super::import::{P256, P384, P521, pair, wrapped};
use super::{b64, done, exported, read, refused, restarted, started, started_with};
use crate::crypto::{ecb, gcm_open};
use crate::encrypt::bytes;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use tests::{Server, Site};

pub(super) const KDF: &str = "aes-ecb-encrypt-data";

/// The other side: a pair in two files.
struct Peer {
    private: PathBuf,
    public: String,
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

impl Peer {
    fn new(site: &Site, curve: &str, options: &[&str]) -> Self {
        let private = site.path(&format!("peer-{curve}.pem"));
        let curve = format!("ec_paramgen_curve:{curve}");
        let path = private.to_str().unwrap();
        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", &curve, "-out", path]);
        let public = openssl(&[&["pkey", "-in", path, "-pubout"], options].concat());
        Self { public: String::from_utf8(public).unwrap(), private }
    }

    /// The secret that it shares with the holder of that public key.
    fn shared(&self, site: &Site, public: &str) -> Vec<u8> {
        std::fs::write(site.path("ours.pem"), public).unwrap();
        let (private, ours) = (self.private.to_str().unwrap(), site.path("ours.pem"));
        openssl(&["pkeyutl", "-derive", "-inkey", private, "-peerkey", ours.to_str().unwrap()])
    }
}

/// As docs/SHARED-SECRETS.md says.
pub(super) fn made_of(shared: &[u8], info: &str) -> Vec<u8> {
    let data = digest(&SHA256, format!("clm-agree-v1 {info}").as_bytes());
    ecb(&shared[shared.len() - 32..], data.as_ref().try_into().unwrap())
}

fn body(peer: &Peer, more: Value) -> Value {
    let mut body = json!({"public_key": peer.public, "kdf": KDF});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn public(server: &Server, key: &str, version: u32) -> String {
    let shown = read(server, &format!("keys/{key}")).await;
    shown.body["data"]["keys"][version.to_string()]["public_key"].as_str().unwrap_or_else(|| panic!("{shown:?}")).into()
}

#[tokio::test]
async fn openssl_comes_to_the_same_key_on_each_curve_and_this_side_shows_none_of_it() {
    let (site, server) = started().await;
    for (kind, curve) in [("ecdh-p256", "P-256"), ("ecdh-p384", "P-384"), ("ecdh-p521", "P-521")] {
        let made = done(&server, &format!("keys/{kind}"), json!({"type": kind})).await;
        let data = &made.body["data"];
        assert_eq!(
            (&data["type"], &data["supports_signing"], &data["supports_encryption"], &data["keys"]["1"]["name"]),
            (&json!(kind), &json!(false), &json!(false), &json!(curve))
        );
        // A point that is not compressed, and one that is.
        for (name, options) in [("plain", &[][..]), ("short", &["-ec_conv_form", "compressed"])] {
            let peer = Peer::new(&site, curve, options);
            let shared = peer.shared(&site, &public(&server, kind, 1).await);
            let into = format!("{kind}-{name}");
            let sent = body(&peer, json!({"info": b64("orders")}));
            let agreed = done(&server, &format!("agree/{kind}/{into}"), sent).await;
            let data = &agreed.body["data"];
            assert_eq!(
                (&data["name"], &data["type"], &data["kdf"], &data["key_version"], &data["exportable"]),
                (&json!(into), &json!("aes256-gcm96"), &json!(KDF), &json!(1), &json!(false))
            );
            let expected = made_of(&shared, "orders");
            assert!(
                !agreed.body.to_string().contains(&b64(&expected)) && !agreed.body.to_string().contains(&b64(&shared))
            );
            let text = done(&server, &format!("encrypt/{into}"), json!({"plaintext": b64("m")})).await;
            let sealed = bytes(text.text("ciphertext"));
            assert_eq!(gcm_open(&expected, &sealed, b"").as_deref(), Some(&b"m"[..]), "{kind} {name}");
            // With other information it is another key.
            let sent = body(&peer, json!({"info": b64("invoices"), "exportable": true}));
            done(&server, &format!("agree/{kind}/{into}-other"), sent).await;
            let other = exported(&server, "encryption-key", &format!("{into}-other")).await;
            assert_eq!(other, made_of(&shared, "invoices"));
            assert_ne!(other, expected);
        }
    }
    let stays = server.get("transit/export/encryption-key/ecdh-p256-plain").await.unwrap();
    assert_eq!(stays.error(), "private key material is not exportable");
}

#[tokio::test]
async fn an_older_version_agrees_as_before_and_what_was_agreed_on_lives_on_without_it() {
    let (site, server) = started().await;
    done(&server, "keys/dh", json!({"type": "ecdh-p256", "exportable": true})).await;
    let first = public(&server, "dh", 1).await;
    done(&server, "keys/dh/rotate", json!({})).await;
    let second = public(&server, "dh", 2).await;
    assert_ne!(first, second);
    let peer = Peer::new(&site, "P-256", &[]);
    for (name, version, ours) in [("new", 0, &second), ("old", 1, &first)] {
        let sent = body(&peer, json!({"key_version": version, "exportable": true}));
        done(&server, &format!("agree/dh/{name}"), sent).await;
        let key = exported(&server, "encryption-key", name).await;
        assert_eq!(key, made_of(&peer.shared(&site, ours), ""), "{name}");
    }
    // The pair itself is answered to nobody, even if it is exportable; wrapped for this deployment it is kept.
    for kind in ["signing-key", "encryption-key"] {
        let answer = server.get(&format!("transit/export/{kind}/dh")).await.unwrap();
        assert!(answer.status == 400 && answer.error().ends_with("not supported for the key"), "{answer:?}");
    }
    let text = done(&server, "encrypt/new", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    done(&server, "keys/dh/config", json!({"deletion_allowed": true})).await;
    let server = restarted(&site, server).await;
    done(&server, "agree/dh/later", body(&peer, json!({}))).await;
    let deleted = server.ask(reqwest::Method::DELETE, "transit/keys/dh", None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(done(&server, "decrypt/new", json!({"ciphertext": text})).await.text("plaintext"), b64("m"));

    let mut superuser = site.secure.superuser().await.unwrap();
    let records = "SELECT event_data ->> 'key', event_data ->> 'shared_by', event_data ->> 'kdf', (event_data ->> 'shared_by_version')::bigint \
                   FROM secure_audit_log WHERE event_type = 'key.agree' AND result = 'success' ORDER BY event_timestamp";
    let records: Vec<(String, String, String, i64)> = sqlx::query_as(records).fetch_all(&mut superuser).await.unwrap();
    let expected = [("new", 2), ("old", 1), ("later", 2)];
    assert_eq!(records, expected.map(|(name, version)| (name.into(), "dh".into(), KDF.into(), version)));
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn nobody_agrees_by_another_curve_a_point_that_is_on_none_or_a_key_for_something_else() {
    let (site, server) = started().await;
    done(&server, "keys/dh", json!({"type": "ecdh-p256"})).await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    let peer = Peer::new(&site, "P-256", &[]);
    let ends = "public_key is no key on the curve P-256, which key agreement needs here";
    for curve in ["P-384", "secp256k1"] {
        refused(&server, "agree/dh/x", body(&Peer::new(&site, curve, &[]), json!({})), ends).await;
    }
    // The last byte of y is another: no point of the curve.
    let base64: String = peer.public.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = BASE64_STANDARD.decode(base64).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let text = b64(&der);
    let (line, rest) = text.split_at(64);
    let off = format!("-----BEGIN PUBLIC KEY-----\n{line}\n{rest}\n-----END PUBLIC KEY-----\n");
    for (path, sent, ends) in [
        ("agree/dh/x", json!({"public_key": off, "kdf": KDF}), ends),
        ("agree/dh/x", json!({"public_key": "", "kdf": KDF}), "PEM of a SubjectPublicKeyInfo is needed"),
        ("agree/dh/x", json!({"public_key": std::fs::read_to_string(&peer.private).unwrap(), "kdf": KDF}), "is needed"),
        (
            "agree/dh/x",
            json!({"public_key": peer.public}),
            "there are aes-ecb-encrypt-data, x963-sha2-256, x963-sha2-384, x963-sha2-512",
        ),
        (
            "agree/dh/x",
            json!({"public_key": peer.public, "kdf": "x963-sha2-256"}),
            "this token does not offer CKM_ECDH1_DERIVE with CKD_SHA256_KDF",
        ),
        (
            "agree/dh/x",
            json!({"public_key": peer.public, "kdf": "x963-sha2-512"}),
            "this token does not offer CKM_ECDH1_DERIVE with CKD_SHA512_KDF",
        ),
        ("agree/dh/x", body(&peer, json!({"info": "%"})), "info is not base64"),
        (
            "agree/dh/x",
            body(&peer, json!({"key_version": 2})),
            "requested version for agreement is higher than the latest key version",
        ),
        ("agree/dh/ec", body(&peer, json!({})), "already exists: name one that does not, for the shared secret"),
        ("agree/ec/x", body(&peer, json!({})), "key type ecdsa-p256 does not support key agreement"),
        ("agree/none/x", body(&peer, json!({})), "key for agreement not found"),
        // One key, one use (SP 800-57 part 1, 5.2).
        ("sign/dh", json!({"input": ""}), "key type ecdh-p256 does not support signing"),
        ("encrypt/dh", json!({"plaintext": ""}), "message encryption not supported for key type ecdh-p256"),
        ("encapsulate/dh/x", json!({}), "key type ecdh-p256 does not support encapsulation"),
        (
            "keys/x",
            json!({"type": "x25519"}),
            "keys of type x25519 so made need CKM_EC_MONTGOMERY_KEY_PAIR_GEN, which this token does not offer",
        ),
        ("keys/dh/csr", json!({}), "does not support signing"),
    ] {
        refused(&server, path, sent, ends).await;
    }
    let state = json!({"state": "deactivated", "reason": "a test"});
    done(&server, "keys/dh/state/1", state).await;
    refused(&server, "agree/dh/x", body(&peer, json!({})), "is deactivated and decrypts and verifies only").await;
    assert_eq!(read(&server, "keys/x").await.status, 404, "nothing was made");
}

#[tokio::test]
async fn two_keys_of_the_service_come_to_the_same_key_whichever_is_asked_and_no_third_does() {
    let (_site, server) = started().await;
    let mut publics = Vec::new();
    for name in ["a", "b", "c"] {
        done(&server, &format!("keys/{name}"), json!({"type": "ecdh-p384"})).await;
        publics.push(public(&server, name, 1).await);
    }
    let mut agreed = Vec::new();
    for (key, with, info) in
        [("a", 1, "m"), ("b", 0, "m"), ("c", 0, "m"), ("a", 2, "m"), ("b", 2, "m"), ("a", 1, "n"), ("a", 0, "m")]
    {
        let into = format!("{key}-{with}-{info}");
        let body = json!({"public_key": publics[with], "kdf": KDF, "info": b64(info), "exportable": true});
        done(&server, &format!("agree/{key}/{into}"), body).await;
        agreed.push(exported(&server, "encryption-key", &into).await);
    }
    assert_eq!(agreed[0], agreed[1], "a with b, and b with a");
    assert_eq!(agreed[2], agreed[3], "c with a, and a with c");
    let different: std::collections::HashSet<_> = agreed.iter().collect();
    assert_eq!(different.len(), 5, "another side, other information: another key");
}

#[tokio::test]
async fn a_pair_that_openssl_made_agrees_here_as_it_does_there_and_does_nothing_else() {
    let (site, mut server) = started().await;
    let mut brought = Vec::new();
    for (kind, options, curve) in
        [("ecdh-p256", P256, "P-256"), ("ecdh-p384", P384, "P-384"), ("ecdh-p521", P521, "P-521")]
    {
        let (private, ours) = pair(&site, options);
        let ciphertext = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &private).await;
        // Even if it may be exported, it is answered to nobody.
        let sent = json!({"type": kind, "ciphertext": ciphertext, "exportable": true});
        assert_eq!(done(&server, &format!("keys/{kind}/import"), sent).await.status, 204);
        assert_eq!(public(&server, kind, 1).await, ours, "{kind}");
        for (path, body, ends) in [
            (format!("sign/{kind}"), json!({"input": ""}), "does not support signing"),
            (format!("encrypt/{kind}"), json!({"plaintext": ""}), "message encryption not supported"),
        ] {
            let answer = server.put(&format!("transit/{path}"), body).await.unwrap();
            assert!(answer.status == 400 && answer.error().contains(ends), "{answer:?}");
        }
        let stays = read(&server, &format!("export/signing-key/{kind}")).await;
        assert_eq!(stays.error(), "signing not supported for the key");
        brought.push((kind, curve, ours));
    }
    server = restarted(&site, server).await;
    for (kind, curve, ours) in &brought {
        let peer = Peer::new(&site, curve, &[]);
        done(&server, &format!("agree/{kind}/{kind}-agreed"), body(&peer, json!({"exportable": true}))).await;
        let agreed = exported(&server, "encryption-key", &format!("{kind}-agreed")).await;
        assert_eq!(agreed, made_of(&peer.shared(&site, ours), ""), "{kind}");
    }
    // A public half alone agrees on nothing until its own private one is there.
    let (private, ours) = pair(&site, P256);
    let (other, _) = pair(&site, P256);
    done(&server, "keys/half/import", json!({"type": "ecdh-p256", "public_key": ours})).await;
    let peer = Peer::new(&site, "P-256", &[]);
    let ends = "requested version for key agreement does not contain a private part";
    refused(&server, "agree/half/x", body(&peer, json!({})), ends).await;
    for (material, ends) in [(other, Some("cannot import key, key pair does not match")), (private.clone(), None)] {
        let body = json!({"ciphertext": wrapped(&server, &OAEP_SHA256_MGF1SHA256, &material).await, "version": 1});
        match ends {
            Some(ends) => refused(&server, "keys/half/import_version", body, ends).await,
            None => drop(done(&server, "keys/half/import_version", body).await),
        }
    }
    done(&server, "agree/half/whole", body(&peer, json!({"exportable": true}))).await;
    assert_eq!(exported(&server, "encryption-key", "whole").await, made_of(&peer.shared(&site, &ours), ""));
    // Another curve, a key for something else.
    let ciphertext = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &private).await;
    let body = json!({"type": "ecdh-p384", "ciphertext": ciphertext});
    refused(&server, "keys/x/import", body, "invalid curve: expected P-384, got P-256").await;
    let (rsa, _) = pair(&site, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    let ciphertext = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &rsa).await;
    let answer =
        server.put("transit/keys/x/import", json!({"type": "ecdh-p256", "ciphertext": ciphertext})).await.unwrap();
    assert!(answer.status == 400 && answer.error().starts_with("error importing key: "), "{answer:?}");
    assert_eq!(read(&server, "keys/x").await.status, 404, "nothing was made");
}

#[tokio::test]
async fn policies_decide_about_the_name_of_what_is_agreed_on_as_well() {
    let (site, mut server) = started().await;
    done(&server, "keys/dh", json!({"type": "ecdh-p256"})).await;
    let policy = json!({"path": {"transit/agree/dh/mine-*": {"capabilities": ["update"]}}}).to_string();
    assert_eq!(server.put("sys/policies/acl/agree", json!({"policy": policy})).await.unwrap().status, 204);
    let made = server.put("auth/token/create", json!({"policies": ["agree"]})).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
    let sent = body(&Peer::new(&site, "P-256", &[]), json!({}));
    for (into, status) in [("mine-1", 200), ("yours", 403)] {
        let answer = server.put(&format!("transit/agree/dh/{into}"), sent.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn with_fips_the_function_that_nist_does_not_approve_is_refused() {
    let (site, server) = started_with("fips = true").await;
    done(&server, "keys/dh", json!({"type": "ecdh-p256"})).await;
    let sent = body(&Peer::new(&site, "P-256", &[]), json!({}));
    refused(&server, "agree/dh/x", sent, "fips: kdf aes-ecb-encrypt-data is not approved (SP 800-56C)").await;
}

//! Import: whole keys and public halves. The callers' side is `openssl` and aws-lc.

use super::crypto::gcm_open;
use super::encrypt::bytes;
use super::{b64, done, read, refused, sign, started, started_with, verifies};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::process::Command;
use tests::{Server, Site, openssl};

/// Runs `openssl` in the site's directory; gives what it printed.
pub(super) fn openssl(site: &Site, arguments: &str) -> Vec<u8> {
    let directory = site.path("x");
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(directory.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A new key pair: PKCS#8 DER of the private half, PEM of the public one.
pub(super) fn pair(site: &Site, options: &str) -> (Vec<u8>, String) {
    openssl(site, &format!("genpkey {options} -outform DER -out brought.der"));
    let private = openssl(site, "pkcs8 -topk8 -nocrypt -inform DER -in brought.der -outform DER");
    let public = openssl(site, "pkey -inform DER -in brought.der -pubout");
    (private, String::from_utf8(public).unwrap())
}

pub(super) const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
pub(super) const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
pub(super) const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";

/// As Vault's clients wrap: RSA-OAEP(wrapping key, AES key) ‖ AES-KWP(AES key, material).
pub(super) async fn wrapped(server: &Server, hash: &'static OaepAlgorithm, material: &[u8]) -> String {
    let answer = read(server, "wrapping_key").await;
    let pem = answer.text("public_key");
    assert!(pem.ends_with("-----END PUBLIC KEY-----\n"), "{answer:?}");
    tests::wrapped(pem, hash, material).unwrap()
}

#[tokio::test]
async fn keys_that_openssl_made_are_taken_in_and_sign() {
    let (site, mut server) = started().await;
    let mut brought = Vec::new();
    for (name, kind, options, hash, word) in [
        ("p256", "ecdsa-p256", P256, &OAEP_SHA256_MGF1SHA256, None),
        ("p384", "ecdsa-p384", P384, &OAEP_SHA1_MGF1SHA1, Some("SHA1")),
        ("p521", "ecdsa-p521", P521, &OAEP_SHA384_MGF1SHA384, Some("SHA384")),
        ("rsa", "rsa-2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", &OAEP_SHA512_MGF1SHA512, Some("SHA512")),
    ] {
        let (private, public) = pair(&site, options);
        let body = json!({"type": kind, "ciphertext": wrapped(&server, hash, &private).await, "hash_function": word});
        assert_eq!(done(&server, &format!("keys/{name}/import"), body).await.status, 204);
        let key = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        assert_eq!((&key["imported_key"], &key["imported_key_allow_rotation"]), (&json!(true), &json!(false)));
        assert_eq!(key["keys"]["1"]["public_key"], public, "{name}");
        let options: &[&str] = if name == "rsa" { &["rsa_padding_mode:pss"] } else { &[] };
        let signature = sign(&server, name, json!({"input": b64("m")})).await;
        assert!(openssl::verifies(&site, &public, options, b"m", &signature).unwrap(), "{name}");
        brought.push((private, name));
    }
    // They last: read anew after a restart.
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    for (_, name) in &brought {
        let signature = sign(&server, name, json!({"input": b64("m")})).await;
        assert!(verifies(&server, name, b"m", &signature).await);
    }
    // Nothing of a private key was said: not in logs, nor in the audit trail.
    let log = std::fs::read(site.path("server.log")).unwrap();
    let mut superuser = site.secure.superuser().await.unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT event_data::text FROM secure_audit_log").fetch_all(&mut superuser).await.unwrap();
    let told = [log, rows.join("\n").into_bytes()].concat();
    for (private, name) in &brought {
        for window in private.windows(12).skip(40).step_by(7) {
            let forms = [window.to_vec(), hex::encode(window).into_bytes(), b64(window).into_bytes()];
            assert!(!forms.iter().any(|form| contains(&told, form)), "a log holds a part of {name}");
        }
    }
    let kek: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.import' AND (event_data ->> 'kek_in_worker')::boolean",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(kek, 3, "the AES key was in a worker for all hashes but SHA-1, which SoftHSM2 has");
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_sentence_and_leaves_nothing() {
    let (site, server) = started().await;
    let (private, public) = pair(&site, P256);
    let (ed, _) = pair(&site, "-algorithm ED25519");
    let good = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &private).await;
    let mut damaged = BASE64_STANDARD.decode(&good).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    let ed = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &ed).await;
    for (body, ends) in [
        (json!({"ciphertext": good, "type": "ecdsa-p384"}), "invalid curve: expected P-384, got P-256"),
        (json!({"ciphertext": good, "type": "ecdsa-p256", "hash_function": "SHA512"}), "decryption error"),
        (json!({"ciphertext": good, "type": "nope"}), "unknown key type: nope"),
        (json!({"ciphertext": good, "type": "ecdsa-p256", "hash_function": "md5"}), "unknown hash function: md5"),
        (json!({"ciphertext": "YWJj", "type": "ecdsa-p256"}), "provided ciphertext is too short"),
        (json!({"ciphertext": "!!", "type": "ecdsa-p256"}), "ciphertext is not base64"),
        (json!({"ciphertext": ed, "type": "ed25519"}), "or import the public half alone"),
        (json!({"type": "ecdsa-p256"}), "give ciphertext (the wrapped key) or public_key"),
        (json!({"type": "ecdsa-p384", "public_key": public}), "it is no key of type ecdsa-p384"),
        (json!({"type": "ecdsa-p256", "public_key": "x"}), "PEM of a SubjectPublicKeyInfo is needed"),
        (
            json!({"ciphertext": good, "type": "ecdsa-p256", "auto_rotate_period": "24h"}),
            "allow_rotation must be set to true if auto-rotation is enabled",
        ),
    ] {
        refused(&server, "keys/bad/import", body, ends).await;
    }
    for body in
        [json!({"ciphertext": b64(&damaged), "type": "ecdsa-p256"}), json!({"ciphertext": good, "type": "rsa-2048"})]
    {
        let answer = server.put("transit/keys/bad/import", body).await.unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.error().starts_with("error importing key: "), "{answer:?}");
    }
    assert_eq!(read(&server, "keys/bad").await.status, 404);
    done(&server, "keys/own", json!({"type": "ecdsa-p256"})).await;
    let body = json!({"ciphertext": good, "type": "ecdsa-p256"});
    refused(&server, "keys/own/import", body.clone(), "to rotate an existing imported key").await;
    refused(&server, "keys/own/import_version", body.clone(), "can only be used with an imported key").await;
    refused(&server, "keys/none/import_version", body, "to import a new key, use the import/ endpoint").await;
}

#[tokio::test]
async fn versions_follow_and_a_public_half_is_completed_by_its_own_private_one() {
    let (site, server) = started().await;
    let (private, public) = pair(&site, P256);
    let (other, _) = pair(&site, P256);
    let (private, other) = (
        wrapped(&server, &OAEP_SHA256_MGF1SHA256, &private).await,
        wrapped(&server, &OAEP_SHA256_MGF1SHA256, &other).await,
    );
    done(&server, "keys/whole/import", json!({"type": "ecdsa-p256", "ciphertext": private})).await;
    done(&server, "keys/half/import", json!({"type": "ecdsa-p256", "public_key": public})).await;
    let signature = sign(&server, "whole", json!({"input": b64("m")})).await;
    assert!(verifies(&server, "half", b"m", &signature).await && !verifies(&server, "half", b"n", &signature).await);
    refused(&server, "sign/half", json!({"input": b64("m")}), "does not contain a private part").await;

    let complete = |ciphertext: &str| json!({"ciphertext": ciphertext, "version": 1});
    refused(&server, "keys/half/import_version", complete(&other), "key pair does not match").await;
    done(&server, "keys/half/import_version", complete(&private)).await;
    refused(&server, "keys/half/import_version", complete(&private), "key version cannot be updated").await;
    let signature = sign(&server, "half", json!({"input": b64("m")})).await;
    assert!(verifies(&server, "whole", b"m", &signature).await);

    done(&server, "keys/whole/import_version", json!({"ciphertext": other})).await;
    let newer = sign(&server, "whole", json!({"input": b64("m")})).await;
    assert!(newer.starts_with("vault:v2:") && verifies(&server, "whole", b"m", &newer).await);
    assert!(verifies(&server, "whole", b"m", &signature).await, "the first version verifies on");
    refused(&server, "keys/whole/rotate", json!({}), "does not allow rotation within Vault").await;
    let turning = json!({"type": "ecdsa-p256", "ciphertext": private, "allow_rotation": true});
    done(&server, "keys/turning/import", turning).await;
    let rotated = done(&server, "keys/turning/rotate", json!({})).await;
    assert_eq!(rotated.body["data"]["imported_key"], false);
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn secret_keys_are_taken_in_with_the_size_that_they_have() {
    let (site, mut server) = started().await;
    let sent = async |bytes: usize| wrapped(&server, &OAEP_SHA256_MGF1SHA256, &vec![0x3c; bytes]).await;
    for (kind, length) in [("aes128-gcm96", 16), ("aes256-gcm96", 32), ("hmac", 32), ("hmac", 136), ("hmac", 512)] {
        let name = format!("{kind}-{length}");
        let body = json!({"type": kind, "ciphertext": sent(length).await, "allow_rotation": true});
        done(&server, &format!("keys/{name}/import"), body).await;
        let key = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        assert_eq!((&key["type"], &key["imported_key"]), (&json!(kind), &json!(true)), "{name}");
        let size = if kind == "hmac" { json!(length) } else { json!(null) };
        assert_eq!((&key["key_size"], key["keys"]["1"].is_u64()), (&size, kind != "hmac"), "{name}");
        // The token has those very bytes.
        let material = vec![0x3c; length];
        if kind == "hmac" {
            let mac = done(&server, &format!("hmac/{name}"), json!({"input": b64("m")})).await;
            let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &material), b"m");
            assert_eq!(bytes(mac.text("hmac")), expected.as_ref(), "{name}");
        } else {
            let encrypted = done(&server, &format!("encrypt/{name}"), json!({"plaintext": b64("m")})).await;
            let sealed = bytes(encrypted.text("ciphertext"));
            assert_eq!(gcm_open(&material, &sealed, b"").as_deref(), Some(&b"m"[..]), "{name}");
        }
    }
    let derived = json!({"type": "aes256-gcm96", "ciphertext": sent(32).await, "derived": true});
    done(&server, "keys/derived/import", derived).await;
    let ciphertext = done(&server, "encrypt/derived", json!({"plaintext": b64("m"), "context": b64("c")})).await;
    let clear = json!({"ciphertext": ciphertext.text("ciphertext"), "context": b64("c")});
    assert_eq!(done(&server, "decrypt/derived", clear).await.text("plaintext"), b64("m"));
    for (kind, bytes, ends) in [
        ("aes128-gcm96", 32, "invalid key size 32 bytes where 16 are needed"),
        ("aes256-gcm96", 16, "invalid key size 16 bytes where 32 are needed"),
        ("hmac", 33, "it takes in only lengths that eight divides"),
        ("hmac", 130, "it takes in only lengths that eight divides"),
        ("hmac", 24, "invalid key size 24 bytes for key type hmac"),
        ("hmac", 520, "invalid key size 520 bytes for key type hmac"),
    ] {
        refused(&server, "keys/bad/import", json!({"type": kind, "ciphertext": sent(bytes).await}), ends).await;
    }
    let public = json!({"type": "hmac", "public_key": "x"});
    refused(&server, "keys/bad/import", public, "provided type does not support public_key import").await;
    let convergent = json!({"type": "aes256-gcm96", "ciphertext": sent(32).await, "convergent_encryption": true});
    refused(&server, "keys/bad/import", convergent, "with convergent encryption enabled").await;
    assert_eq!(read(&server, "keys/bad").await.status, 404);

    let longer = json!({"ciphertext": sent(64).await});
    refused(&server, "keys/hmac-32/import_version", longer, "the versions of this key have 32").await;
    let next = json!({"ciphertext": sent(32).await});
    done(&server, "keys/hmac-32/import_version", next.clone()).await;
    done(&server, "keys/aes256-gcm96-32/import_version", next).await;
    done(&server, "keys/aes128-gcm96-16/rotate", json!({})).await;
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    for name in ["hmac-32", "aes256-gcm96-32", "aes128-gcm96-16"] {
        let key = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        assert_eq!(key["latest_version"], 2, "{name}: {key}");
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_deleted_key_leaves_no_material_in_any_row() {
    let (site, server) = started().await;
    let (_, public) = pair(&site, P256);
    let secret = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &[7; 32]).await;
    done(&server, "keys/made", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/token", json!({"type": "ecdsa-p256", "storage": "token"})).await;
    done(&server, "keys/half/import", json!({"type": "ecdsa-p256", "public_key": public})).await;
    done(&server, "keys/secret/import", json!({"type": "aes256-gcm96", "ciphertext": secret})).await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let mut held = async || -> (i64, i64, i64) {
        let counted = "SELECT count(*) FILTER (WHERE v.key_state <> 'destroyed'), count(v.encrypted_key_material), count(v.hmac_key_material) \
             FROM (SELECT named_key_id, key_state, encrypted_key_material, hmac_key_material FROM private_keys \
                   UNION ALL SELECT named_key_id, key_state, encrypted_key_material, hmac_key_material FROM encryption_keys) v \
             JOIN named_keys n ON n.id = v.named_key_id WHERE n.name IN ('made', 'token', 'half', 'secret')";
        sqlx::query_as(counted).fetch_one(&mut superuser).await.unwrap()
    };
    assert_eq!(held().await, (4, 2, 4));
    for name in ["made", "token", "half", "secret"] {
        done(&server, &format!("keys/{name}/config"), json!({"deletion_allowed": true})).await;
        let deleted = server.ask(reqwest::Method::DELETE, &format!("transit/keys/{name}"), None).await.unwrap();
        assert_eq!(deleted.status, 204, "{name}: {deleted:?}");
    }
    assert_eq!(held().await, (0, 0, 0));
}

#[tokio::test]
async fn with_fips_a_wrapping_that_the_token_cannot_undo_itself_is_refused() {
    let (site, server) = started_with("fips = true").await;
    let (private, _) = pair(&site, P256);
    let ciphertext = wrapped(&server, &OAEP_SHA256_MGF1SHA256, &private).await;
    let body = json!({"type": "ecdsa-p256", "ciphertext": ciphertext});
    refused(&server, "keys/k/import", body, "and it is not to be undone outside it").await;
    let ciphertext = wrapped(&server, &OAEP_SHA1_MGF1SHA1, &private).await;
    done(&server, "keys/k/import", json!({"type": "ecdsa-p256", "ciphertext": ciphertext, "hash_function": "SHA1"}))
        .await;
}

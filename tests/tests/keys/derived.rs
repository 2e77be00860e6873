//! Derived and convergent keys.

use super::encrypt::bytes;
use super::{b64, done, exported, read, refused, started, started_with};
use crate::crypto::{ecb, gcm_open};
use aws_lc_rs::{digest, hmac};
use serde_json::{Value, json};
use tests::Server;

async fn encrypt(server: &Server, key: &str, body: Value) -> String {
    done(server, &format!("encrypt/{key}"), body).await.text("ciphertext").to_owned()
}

/// SHA-256 of the label and the context, as docs/KEY-HIERARCHY.md says.
fn labelled(label: &str, context: &str) -> [u8; 32] {
    digest::digest(&digest::SHA256, format!("clm-derive-v1 {label} {context}").as_bytes()).as_ref().try_into().unwrap()
}

const NO_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key";

#[tokio::test]
async fn a_context_has_a_key_of_its_own_which_the_exported_key_gives_by_aes_alone() {
    let (_site, server) = started().await;
    for (name, kind, length) in [("d128", "aes128-gcm96", 16), ("d256", "aes256-gcm96", 32)] {
        done(&server, &format!("keys/{name}"), json!({"type": kind, "derived": true, "exportable": true})).await;
        let shown = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        assert_eq!(
            (&shown["derived"], &shown["kdf"], &shown["convergent_encryption"]),
            (&json!(true), &json!("aes_ecb_encrypt_data"), &json!(false))
        );
        let base = exported(&server, "encryption-key", name).await;
        let body =
            |context: &str| json!({"plaintext": b64("hello"), "context": b64(context), "associated_data": b64("aad")});
        let ciphertext = encrypt(&server, name, body("ctx")).await;
        let derived = &ecb(&base, &labelled("cipher", "ctx"))[..length];
        assert_eq!(gcm_open(derived, &bytes(&ciphertext), b"aad").as_deref(), Some(&b"hello"[..]));
        assert_eq!(gcm_open(&base, &bytes(&ciphertext), b"aad"), None);
        assert_ne!(bytes(&encrypt(&server, name, body("ctx")).await)[..12], bytes(&ciphertext)[..12], "a fresh IV");
        let decrypt = |context: Option<&str>| json!({"ciphertext": ciphertext, "context": context.map(b64), "associated_data": b64("aad")});
        assert_eq!(
            done(&server, &format!("decrypt/{name}"), decrypt(Some("ctx"))).await.text("plaintext"),
            b64("hello")
        );
        let path = format!("decrypt/{name}");
        refused(&server, &path, decrypt(Some("other")), "cipher: message authentication failed").await;
        refused(&server, &path, decrypt(None), NO_CONTEXT).await;
        refused(&server, &format!("encrypt/{name}"), json!({"plaintext": ""}), NO_CONTEXT).await;
    }
    // A data key and a batch, too; and an upsert with a context makes a derived key.
    let made = done(&server, "datakey/plaintext/d256", json!({"context": b64("ctx")})).await;
    let body = json!({"ciphertext": made.text("ciphertext"), "context": b64("ctx")});
    assert_eq!(done(&server, "decrypt/d256", body).await.text("plaintext"), made.text("plaintext"));
    encrypt(&server, "new", json!({"plaintext": "", "context": b64("ctx")})).await;
    assert_eq!(read(&server, "keys/new").await.body["data"]["derived"], true);
    // One that is not derived does not look at it.
    done(&server, "keys/plain", json!({})).await;
    let ciphertext = encrypt(&server, "plain", json!({"plaintext": b64("m"), "context": b64("ctx")})).await;
    assert_eq!(done(&server, "decrypt/plain", json!({"ciphertext": ciphertext})).await.text("plaintext"), b64("m"));
}

#[tokio::test]
async fn convergent_ciphertexts_of_equal_plaintexts_are_equal_per_context_and_version() {
    let (site, mut server) = started().await;
    let wanted = json!({"derived": true, "convergent_encryption": true, "exportable": true});
    let made = done(&server, "keys/conv", wanted).await;
    assert_eq!(made.body["data"]["convergent_encryption_version"], -1, "{made:?}");
    let body = |plaintext: &str, context: &str| json!({"plaintext": b64(plaintext), "context": b64(context)});
    let first = encrypt(&server, "conv", body("hello", "ctx")).await;
    assert_eq!(encrypt(&server, "conv", body("hello", "ctx")).await, first);
    let base = exported(&server, "encryption-key", "conv").await;
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &ecb(&base, &labelled("nonce", "ctx"))), b"hello");
    assert_eq!(bytes(&first)[..12], mac.as_ref()[..12], "the IV is a MAC of the plaintext");
    assert_eq!(gcm_open(&ecb(&base, &labelled("cipher", "ctx")), &bytes(&first), b"").as_deref(), Some(&b"hello"[..]));
    // With other data authenticated the tag alone differs.
    let mut with_aad = body("hello", "ctx");
    with_aad["associated_data"] = b64("aad").into();
    let with_aad = bytes(&encrypt(&server, "conv", with_aad).await);
    assert_eq!(with_aad[..17], bytes(&first)[..17]);
    assert_ne!(with_aad[17..], bytes(&first)[17..]);
    for other in [body("hellp", "ctx"), body("hello", "other")] {
        assert_ne!(bytes(&encrypt(&server, "conv", other).await)[..12], bytes(&first)[..12]);
    }
    let rewrapped = done(&server, "rewrap/conv", json!({"ciphertext": first, "context": b64("ctx")})).await;
    assert_eq!(rewrapped.text("ciphertext"), first);
    done(&server, "keys/conv/rotate", json!({})).await;
    let second = encrypt(&server, "conv", body("hello", "ctx")).await;
    assert!(second.starts_with("vault:v2:") && bytes(&second)[..12] != bytes(&first)[..12]);
    refused(&server, "encrypt/conv", json!({"plaintext": ""}), NO_CONTEXT).await;

    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    assert_eq!(encrypt(&server, "conv", body("hello", "ctx")).await, second, "the same after a restart");
}

#[tokio::test]
async fn what_cannot_be_derived_here_is_refused_when_the_key_is_made() {
    let (_site, server) = started().await;
    for (body, ends) in [
        (json!({"convergent_encryption": true}), "convergent encryption requires derivation to be enabled"),
        (json!({"derived": true, "type": "rsa-2048"}), "not supported for keys of type rsa-2048"),
        (json!({"derived": true, "type": "ed25519"}), "and nothing is done in software instead"),
    ] {
        refused(&server, "keys/none", body, ends).await;
    }
    let (_site, server) = started_with("fips = true").await;
    refused(&server, "keys/none", json!({"derived": true}), "are not approved (SP 800-108)").await;
    refused(&server, "encrypt/none", json!({"plaintext": "", "context": b64("c")}), "are not approved (SP 800-108)")
        .await;
}

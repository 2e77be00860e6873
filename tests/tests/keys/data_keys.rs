//! Data keys and data key pairs. Of pairs the caller's side is `openssl`.

use super::import::openssl;
use super::{b64, done, refused, started, started_with};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::collections::HashSet;
use tests::Site;

#[tokio::test]
async fn a_data_key_is_as_long_as_asked_new_each_time_and_comes_back_by_decrypting() {
    let (site, mut server) = started().await;
    done(&server, "keys/app", json!({})).await;
    let mut seen = HashSet::new();
    for (body, length) in [
        (json!({}), 32),
        (json!({"bits": 128}), 16),
        (json!({"bits": "512"}), 64),
        (json!({"bits": 256, "associated_data": b64("aad")}), 32),
    ] {
        let aad = body["associated_data"].clone();
        let made = done(&server, "datakey/plaintext/app", body.clone()).await;
        let plaintext = made.text("plaintext").to_owned();
        assert_eq!(
            (BASE64_STANDARD.decode(&plaintext).unwrap().len(), &made.body["data"]["key_version"]),
            (length, &json!(1))
        );
        let decrypt = |ciphertext: &str| json!({"ciphertext": ciphertext, "associated_data": aad});
        let opened = done(&server, "decrypt/app", decrypt(made.text("ciphertext"))).await;
        assert_eq!(opened.text("plaintext"), plaintext);
        let wrapped = done(&server, "datakey/wrapped/app", body).await;
        assert!(wrapped.body["data"].get("plaintext").is_none(), "{wrapped:?}");
        let opened =
            done(&server, "decrypt/app", decrypt(wrapped.text("ciphertext"))).await.text("plaintext").to_owned();
        assert_eq!(BASE64_STANDARD.decode(&opened).unwrap().len(), length);
        assert!(seen.insert(plaintext) && seen.insert(opened), "twice the same");
    }
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    for (path, body, ends) in [
        ("datakey/plaintext/app", json!({"bits": 64}), "invalid bit length"),
        ("datakey/other/app", json!({}), "Invalid path, must be 'plaintext' or 'wrapped'"),
        ("datakey/plaintext/none", json!({}), "encryption key not found"),
        ("datakey/plaintext/ec", json!({}), "message encryption not supported for key type ecdsa-p256"),
        ("datakey/wrapped/app", json!({"key_version": 2}), "higher than the latest key version"),
    ] {
        "mistaken".clone_into(&mut server.user_agent);
        refused(&server, path, body, ends).await;
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let told = "SELECT event_data ->> 'in_clear', severity, count(*) FROM secure_audit_log WHERE event_type = 'key.datakey' AND result = 'success' GROUP BY 1, 2 ORDER BY 1";
    let told: Vec<(String, String, i64)> = sqlx::query_as(told).fetch_all(&mut superuser).await.unwrap();
    assert_eq!(told, [("false".to_owned(), "info".to_owned(), 4), ("true".to_owned(), "warning".to_owned(), 4)]);
    let mistakes = "SELECT count(*) FROM secure_audit_log WHERE user_agent = 'mistaken' AND event_type = 'key.datakey' AND result = 'failure'";
    let mistakes: i64 = sqlx::query_scalar(mistakes).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(mistakes, 5);
}

#[tokio::test]
async fn with_fips_a_data_key_leaves_only_encrypted() {
    let (_site, server) = started_with("fips = true").await;
    done(&server, "keys/app", json!({})).await;
    let refusal = "fips: data keys are not answered in the clear; ask for datakey/wrapped";
    refused(&server, "datakey/plaintext/app", json!({}), refusal).await;
    assert!(done(&server, "datakey/wrapped/app", json!({})).await.text("ciphertext").starts_with("vault:v1:"));
}

/// Whether `openssl` signs with a private key (PKCS#8, base64) what it verifies with a public one (PEM), and says that the halves are one pair.
fn pairs(site: &Site, private: &str, public: &str, signs: bool) -> bool {
    std::fs::write(site.path("private.der"), BASE64_STANDARD.decode(private).unwrap()).unwrap();
    std::fs::write(site.path("public.pem"), public).unwrap();
    std::fs::write(site.path("message"), "pay 100 to Alice").unwrap();
    let text = String::from_utf8(openssl(site, "pkey -inform DER -in private.der -check -noout")).unwrap();
    assert_eq!(text, "Key is valid\n");
    let own = String::from_utf8(openssl(site, "pkey -inform DER -in private.der -pubout")).unwrap();
    if signs {
        openssl(site, "dgst -sha256 -sign private.der -keyform DER -out signature message");
        let text = openssl(site, "dgst -sha256 -verify public.pem -signature signature message");
        assert_eq!(text, b"Verified OK\n");
    }
    own == public
}

#[tokio::test]
async fn the_private_half_of_a_data_key_pair_comes_back_by_decrypting_and_signs_what_the_public_half_verifies() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    done(&server, "keys/people", json!({"type": "aes128-gcm96", "derived": true})).await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    let bound = json!({"associated_data": b64("orders")});
    let mut seen = HashSet::new();
    for (kind, key, more) in [
        ("ecdsa-p256", "app", json!({})),
        ("ecdsa-p256", "people", json!({"context": b64("alice")})),
        ("ecdsa-p256", "rsa", json!({})),
        ("ecdsa-p384", "app", bound.clone()),
        ("ecdsa-p521", "app", json!({})),
        ("ecdh-p256", "app", json!({})),
        ("ecdh-p521", "people", json!({"context": b64("bob")})),
        ("rsa-2048", "app", bound),
        ("rsa-3072", "app", json!({})),
    ] {
        let with = |field: &str, value: &str| {
            let mut body = more.clone();
            body[field] = value.into();
            body
        };
        for word in ["plaintext", "wrapped"] {
            let made = done(&server, &format!("datakeypair/{word}/{key}"), with("key_type", kind)).await;
            let data = &made.body["data"];
            assert_eq!((&data["key_type"], &data["key_version"]), (&json!(kind), &json!(1)), "{made:?}");
            let opened = done(&server, &format!("decrypt/{key}"), with("ciphertext", made.text("ciphertext"))).await;
            let private = opened.text("plaintext");
            assert_eq!(
                data.get("plaintext").map(|shown| shown.as_str().unwrap()),
                (word == "plaintext").then_some(private)
            );
            assert!(pairs(&site, private, made.text("public_key"), !kind.starts_with("ecdh")), "{kind}: {made:?}");
            assert!(seen.insert(made.text("public_key").to_owned()), "twice the same");
        }
    }
    // Bound to what it was encrypted with, like any plaintext.
    let made =
        done(&server, "datakeypair/wrapped/app", json!({"key_type": "ecdsa-p256", "associated_data": b64("a")})).await;
    let body = json!({"ciphertext": made.text("ciphertext"), "associated_data": b64("b")});
    refused(&server, "decrypt/app", body, "cipher: message authentication failed").await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let told = "SELECT event_data ->> 'key_type', event_data ->> 'in_clear', severity, count(*) FROM secure_audit_log \
                WHERE event_type = 'key.datakeypair' AND result = 'success' AND event_data ->> 'key_type' LIKE 'rsa-%' GROUP BY 1, 2, 3 ORDER BY 1, 2";
    let told: Vec<(String, String, String, i64)> = sqlx::query_as(told).fetch_all(&mut superuser).await.unwrap();
    let expected = [
        ("rsa-2048", "false", "info"),
        ("rsa-2048", "true", "warning"),
        ("rsa-3072", "false", "info"),
        ("rsa-3072", "true", "warning"),
    ];
    assert_eq!(told, expected.map(|(kind, clear, severity)| (kind.into(), clear.into(), severity.into(), 1)));
}

#[tokio::test]
async fn no_data_key_pair_is_made_that_does_not_leave_the_token_or_that_nothing_encrypts() {
    let (site, mut server) = started().await;
    done(&server, "keys/app", json!({})).await;
    done(&server, "keys/people", json!({"derived": true})).await;
    done(&server, "keys/rsa", json!({"type": "rsa-2048"})).await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    "mistaken".clone_into(&mut server.user_agent);
    let p256 = json!({"key_type": "ecdsa-p256"});
    let mistakes = [
        (
            "datakeypair/wrapped/app",
            json!({"key_type": "ed25519"}),
            "this token cannot wrap keys of type ed25519, so that none leaves it: make one that stays there (transit/keys)",
        ),
        ("datakeypair/wrapped/app", json!({"key_type": "ml-dsa-44"}), "make one that stays there (transit/keys)"),
        ("datakeypair/wrapped/app", json!({}), "rsa-2048 … rsa-4096, ed25519 or x25519"),
        ("datakeypair/wrapped/app", json!({"key_type": "aes256-gcm96"}), "rsa-2048 … rsa-4096, ed25519 or x25519"),
        ("datakeypair/wrapped/app", json!({"key_type": "slh-dsa"}), "and nothing is done in software instead"),
        ("datakeypair/other/app", p256.clone(), "Invalid path, must be 'plaintext' or 'wrapped'"),
        ("datakeypair/plaintext/none", p256.clone(), "encryption key not found"),
        ("datakeypair/plaintext/ec", p256.clone(), "message encryption not supported for key type ecdsa-p256"),
        (
            "datakeypair/wrapped/app",
            json!({"key_type": "ecdsa-p256", "key_version": 2}),
            "higher than the latest key version",
        ),
        (
            "datakeypair/wrapped/app",
            json!({"key_type": "ecdsa-p256", "context": "!"}),
            "illegal base64 data at input byte 0",
        ),
        ("datakeypair/wrapped/people", p256.clone(), "in order to perform operations with the key"),
        ("datakeypair/wrapped/rsa", json!({"key_type": "rsa-2048"}), "bytes, where 190 fit"),
    ];
    for (path, body, ends) in mistakes.clone() {
        refused(&server, path, body, ends).await;
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let recorded = "SELECT count(*) FROM secure_audit_log WHERE user_agent = 'mistaken' AND event_type = 'key.datakeypair' AND result = 'failure'";
    let recorded: i64 = sqlx::query_scalar(recorded).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(usize::try_from(recorded).unwrap(), mistakes.len());
    // It is a use of the key that encrypts.
    done(&server, "keys/app/config", json!({"max_uses": 1})).await;
    done(&server, "datakeypair/wrapped/app", p256.clone()).await;
    refused(&server, "datakeypair/wrapped/app", p256, "has been used the 1 times that max_uses allows: rotate the key")
        .await;
}

#[tokio::test]
async fn with_fips_no_private_half_leaves_the_token_for_a_caller() {
    let (_site, server) = started_with("fips = true").await;
    done(&server, "keys/app", json!({})).await;
    for word in ["plaintext", "wrapped"] {
        let body = json!({"key_type": "ecdsa-p256"});
        refused(&server, &format!("datakeypair/{word}/app"), body, "whose private half stays there").await;
    }
}

//! Data keys.

use super::{b64, done, refused, started, started_with};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::collections::HashSet;

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

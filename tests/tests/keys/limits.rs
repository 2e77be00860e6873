//! How long, how often and for how much a version is used.

use super::{b64, done, read, refused, restarted, started};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_version_is_used_as_often_as_its_key_says_whichever_servers_are_asked() {
    let (site, server) = started().await;
    let uses = [
        ("ecdsa-p256", "sign", json!({"input": b64("m")})),
        ("aes256-gcm96", "encrypt", json!({"plaintext": b64("m")})),
        ("rsa-2048", "encrypt", json!({"plaintext": b64("m")})),
        ("hmac", "hmac", json!({"input": b64("m")})),
    ];
    for (kind, verb, _) in &uses {
        let size = (*kind == "hmac").then_some(32);
        done(&server, &format!("keys/{verb}-{kind}"), json!({"type": kind, "key_size": size, "max_uses": 20})).await;
    }
    let other = site.serve_for(&server.token).await.unwrap();
    for (kind, verb, body) in &uses {
        let path = format!("transit/{verb}/{verb}-{kind}");
        let asked = [&server, &other].into_iter().cycle().take(30).map(|server| server.put(&path, body.clone()));
        let answers = join_all(asked).await;
        let made = answers.iter().filter(|answer| answer.as_ref().unwrap().status == 200).count();
        assert_eq!(made, 20, "{kind}: {answers:?}");
    }
    drop(other);
    let server = restarted(&site, server).await;
    for (kind, verb, body) in &uses {
        let path = format!("{verb}/{verb}-{kind}");
        let says = "version 1 has been used the 20 times that max_uses allows: rotate the key";
        refused(&server, &path, body.clone(), says).await;
        done(&server, &format!("keys/{verb}-{kind}/rotate"), json!({})).await;
        done(&server, &path, body.clone()).await;
        // Of a limit that is raised the rest is there, for the old version as well.
        done(&server, &format!("keys/{verb}-{kind}/config"), json!({"max_uses": 22})).await;
        let mut old = body.clone();
        old["key_version"] = json!(1);
        done(&server, &path, old.clone()).await;
        done(&server, &path, old.clone()).await;
        refused(&server, &path, old, "the 22 times that max_uses allows: rotate the key").await;
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_version_protects_so_many_bytes_and_takes_them_in_blocks() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({"max_bytes": 4 << 20})).await;
    done(&server, "keys/pair", json!({"type": "ed25519", "max_bytes": 10})).await;
    for _ in 0..40 {
        done(&server, "encrypt/app", json!({"plaintext": b64([0; 100])})).await;
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let taken = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.reserve' AND event_data ? 'bytes'";
    let taken: i64 = sqlx::query_scalar(taken).fetch_one(&mut superuser).await.unwrap();
    assert!((1..=8).contains(&taken), "{taken} blocks for forty calls");
    let sign = |bytes: usize| json!({"input": b64(vec![0; bytes])});
    done(&server, "sign/pair", sign(6)).await;
    let says = "that is more than is left of the 10 bytes that max_bytes allows version 1: rotate the key";
    refused(&server, "sign/pair", sign(5), says).await;
    done(&server, "sign/pair", sign(4)).await;
    refused(&server, "sign/pair", sign(1), says).await;
    done(&server, "sign/pair", sign(0)).await;
}

#[tokio::test]
async fn a_version_protects_within_its_originator_period_and_is_read_within_its_recipient_period() {
    let (site, server) = started().await;
    for (wanted, says) in [
        (json!({"recipient_usage_period": "1h"}), "what is protected must be read, too"),
        (json!({"originator_usage_period": "2h", "recipient_usage_period": "1h"}), "must be read, too"),
        (json!({"max_uses": -1}), "max_uses cannot be -1"),
    ] {
        refused(&server, "keys/odd", wanted, says).await;
    }
    let periods = json!({"originator_usage_period": "10s", "recipient_usage_period": "20s"});
    done(&server, "keys/app", periods).await;
    let shown = read(&server, "keys/app").await.body["data"].clone();
    assert_eq!((&shown["originator_usage_period"], &shown["recipient_usage_period"]), (&json!(10), &json!(20)));
    let ciphertext = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    let status = async |path: &str, body: Value| server.put(&format!("transit/{path}"), body).await.unwrap().status;
    let patience = Duration::from_secs(60);
    tests::until(patience, "encryption's end", 400, async || {
        status("encrypt/app", json!({"plaintext": ""})).await.as_u16()
    })
    .await;
    let answer = server.put("transit/encrypt/app", json!({"plaintext": ""})).await.unwrap();
    assert!(answer.error().starts_with("the originator usage period of version 1 ended at "), "{answer:?}");
    let decrypt = json!({"ciphertext": ciphertext});
    tests::until(patience, "decryption's end", 400, async || status("decrypt/app", decrypt.clone()).await.as_u16())
        .await;
    let answer = server.put("transit/decrypt/app", decrypt.clone()).await.unwrap();
    assert!(answer.error().starts_with("the recipient usage period of version 1 ended at "), "{answer:?}");
    // A new version begins anew.
    done(&server, "keys/app/rotate", json!({})).await;
    done(&server, "encrypt/app", json!({"plaintext": ""})).await;

    // Nobody makes a version younger in the database.
    let mut superuser = site.secure.superuser().await.unwrap();
    let forged = "UPDATE encryption_keys SET activated_at = now() WHERE named_key_id IS NOT NULL AND key_version = 1";
    assert_eq!(sqlx::query(forged).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let server = restarted(&site, server).await;
    let answer = server.put("transit/decrypt/app", decrypt).await.unwrap();
    assert!(answer.status == 500 && answer.error().contains("of encryption_keys is not what"), "{answer:?}");
}

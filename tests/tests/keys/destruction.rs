//! Destruction that waits, and deletion that can be undone.

use super::{b64, done, read, refused, restarted, started, started_with};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_key_that_is_to_be_destroyed_does_nothing_and_whoever_uses_it_raises_an_alarm_until_it_is_cancelled() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    let ciphertext = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    let schedule = "keys/app/schedule-destruction";
    refused(&server, schedule, json!({}), "deletion is not allowed for this key").await;
    done(&server, "keys/app/config", json!({"deletion_allowed": true})).await;
    let bounds = "waiting_period must be between 604800 and 2592000 seconds here";
    for wait in ["6d", "31d"] {
        refused(&server, schedule, json!({"waiting_period": wait}), bounds).await;
    }
    refused(&server, "keys/app/cancel-destruction", json!({}), "key app is not scheduled for destruction").await;
    let scheduled = done(&server, schedule, json!({"waiting_period": "7d"})).await;
    let at = scheduled.text("destroy_at").to_owned();
    refused(&server, schedule, json!({}), &format!("key app is to be destroyed at {at} already")).await;

    let uses = [
        ("decrypt/app", json!({"ciphertext": ciphertext})),
        ("encrypt/app", json!({"plaintext": ""})),
        ("hmac/app", json!({"input": ""})),
        ("datakey/wrapped/app", json!({})),
        ("datakeypair/wrapped/app", json!({"key_type": "ecdsa-p256"})),
        ("rewrap/app", json!({"ciphertext": ciphertext})),
        ("keys/app/rotate", json!({})),
    ];
    for (path, body) in &uses {
        let refusal = format!("refusing to use key app: it is to be destroyed at {at}; cancel-destruction keeps it");
        refused(&server, path, body.clone(), &refusal).await;
    }
    let metrics = server.get("sys/metrics?format=prometheus").await.unwrap();
    let text = metrics.body.as_str().unwrap();
    assert!(text.lines().any(|line| line.ends_with(&format!("doomed_key_uses_total {}", uses.len()))), "{text}");
    let mut superuser = site.secure.superuser().await.unwrap();
    let alarms = "SELECT count(*) FROM secure_audit_log WHERE severity = 'critical' AND result = 'failure' AND event_data ? 'destroy_at'";
    let alarms: i64 = sqlx::query_scalar(alarms).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(usize::try_from(alarms).unwrap(), uses.len(), "each attempt is on record once");

    // It can be looked at, also after a restart, and whoever takes the plan out of the row is found out.
    let server = restarted(&site, server).await;
    assert_eq!(read(&server, "keys/app").await.text("destroy_at"), at);
    done(&server, "keys/app/cancel-destruction", json!({})).await;
    assert_eq!(done(&server, "decrypt/app", json!({"ciphertext": ciphertext})).await.text("plaintext"), b64("m"));
    done(&server, schedule, json!({})).await;
    sqlx::query("UPDATE named_keys SET destroy_at = NULL").execute(&mut superuser).await.unwrap();
    let server = restarted(&site, server).await;
    let answer = server.put("transit/decrypt/app", json!({"ciphertext": ciphertext})).await.unwrap();
    assert!(answer.error().contains("of named_keys is not what this service wrote"), "{answer:?}");
}

#[tokio::test]
async fn the_operator_bounds_the_waiting_period() {
    let (_site, server) = started_with("[keys.destruction]\nshortest = 60\nlongest = 120\n").await;
    done(&server, "keys/app", json!({})).await;
    done(&server, "keys/app/config", json!({"deletion_allowed": true})).await;
    let bounds = "waiting_period must be between 60 and 120 seconds here";
    refused(&server, "keys/app/schedule-destruction", json!({"waiting_period": 59}), bounds).await;
    done(&server, "keys/app/schedule-destruction", json!({"waiting_period": 60})).await;
}

#[tokio::test]
async fn a_soft_deleted_key_is_shown_and_configured_but_not_used_until_it_is_restored() {
    let (_site, server) = started().await;
    done(&server, "keys/app", json!({"type": "ecdsa-p256"})).await;
    let delete =
        async |name: &str| server.ask(Method::DELETE, &format!("transit/keys/{name}/soft-delete"), None).await.unwrap();
    assert_eq!(delete("none").await.status, 204);
    let deleted = delete("app").await;
    assert_eq!((deleted.status.as_u16(), &deleted.body["data"]["soft_deleted"]), (200, &json!(true)), "{deleted:?}");
    let again = delete("app").await;
    assert!(again.status == 200 && again.body["warnings"][0].as_str().unwrap().contains("already"), "{again:?}");
    for (path, body) in [("sign/app", json!({"input": ""})), ("keys/app/rotate", json!({}))] {
        refused(&server, path, body, "refusing to use soft-deleted key").await;
    }
    assert_eq!(read(&server, "keys/app").await.body["data"]["soft_deleted"], json!(true));
    done(&server, "keys/app/config", json!({"deletion_allowed": true})).await;
    let restored = done(&server, "keys/app/soft-delete-restore", json!({})).await;
    assert_eq!(restored.body["data"]["soft_deleted"], json!(false));
    done(&server, "sign/app", json!({"input": ""})).await;
    delete("app").await;
    assert_eq!(server.ask(Method::DELETE, "transit/keys/app", None).await.unwrap().status, 204, "it can be deleted");
}

//! Work that comes again and again.

use crate::{furnished, number, until};
use hsm_bridge::{Bridge, KeyType, Purpose};
use reqwest::Method;
use serde_json::{Value, json};
use tests::Site;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_by_themselves_when_their_newest_version_is_old_enough() {
    let site = Site::ready("").await.unwrap();
    let server = furnished(&site).await;
    for name in ["due", "young"] {
        for (kind, storage) in [("ecdsa-p256", "token"), ("aes256-gcm96", "wrapped")] {
            let wanted = json!({"type": kind, "storage": storage, "auto_rotate_period": "1h"});
            let made = server.put(&format!("transit/keys/{name}-{storage}"), wanted).await.unwrap();
            assert!(made.status.is_success(), "{made:?}");
        }
    }
    let mut secure = site.secure.superuser().await.unwrap();
    for table in ["private_keys", "encryption_keys"] {
        let older = format!(
            "UPDATE {table} v SET created_at = v.created_at - interval '61 minutes' FROM named_keys n WHERE named_key_id = n.id AND n.name LIKE 'due-%'"
        );
        sqlx::query(sqlx::AssertSqlSafe(older)).execute(&mut secure).await.unwrap();
    }
    let mut core = site.core.superuser().await.unwrap();
    until("jobs", 1, async || number(&mut core, "SELECT count(*) FROM jobs WHERE name = 'key.rotate'").await).await;
    sqlx::query("UPDATE jobs SET next_run_at = now() WHERE name = 'key.rotate'").execute(&mut core).await.unwrap();
    let finished =
        "SELECT count(*) FROM jobs WHERE name = 'key.rotate' AND last_finished_at IS NOT NULL AND last_error IS NULL";
    until("finished runs", 1, async || number(&mut core, finished).await).await;
    for (name, version) in [("due-token", 2), ("due-wrapped", 2), ("young-token", 1), ("young-wrapped", 1)] {
        let read = server.get(&format!("transit/keys/{name}")).await.unwrap();
        assert_eq!(read.body["data"]["latest_version"], json!(version), "{name}: {read:?}");
    }
    let signed = server.put("transit/sign/due-token", json!({"input": "YQ=="})).await.unwrap();
    assert!(signed.text("signature").starts_with("vault:v2:"), "{signed:?}");
    let recorded: Vec<Value> = sqlx::query_scalar(
        "SELECT event_data -> 'key' FROM secure_audit_log WHERE event_type = 'key.rotate' ORDER BY 1",
    )
    .fetch_all(&mut secure)
    .await
    .unwrap();
    assert_eq!(recorded, [json!("due-token"), json!("due-wrapped")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_together_is_found_counted_and_mended_without_being_asked() {
    let site = Site::ready("").await.unwrap();
    let server = furnished(&site).await;
    let mut secure = site.secure.superuser().await.unwrap();
    let object: Uuid = sqlx::query_scalar(
        "SELECT p.hsm_key_id FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id WHERE n.name = 'token'",
    )
    .fetch_one(&mut secure)
    .await
    .unwrap();
    server.put("leaving/keys/token/config", json!({"deletion_allowed": true})).await.unwrap();
    assert_eq!(server.ask(Method::DELETE, "leaving/keys/token", None).await.unwrap().status, 204);
    // A crash between database and token leaves the one, a stranger the other.
    let bridge = Bridge::open(site.hsm().unwrap()).await.unwrap();
    for id in [object, Uuid::new_v4()] {
        let label = format!("clm-key-{id}");
        bridge.generate_token_key(id, &label, KeyType::EcP256, Purpose::Signing).await.unwrap();
    }
    let mut core = site.core.superuser().await.unwrap();
    until("jobs", 1, async || number(&mut core, "SELECT count(*) FROM jobs WHERE name = 'integrity.check'").await)
        .await;
    sqlx::query("UPDATE jobs SET next_run_at = now() WHERE name = 'integrity.check'").execute(&mut core).await.unwrap();
    let finished = "SELECT count(*) FROM jobs WHERE name = 'integrity.check' AND last_finished_at IS NOT NULL AND last_error IS NULL";
    until("finished runs", 1, async || number(&mut core, finished).await).await;
    let metrics = server.get("sys/metrics?format=prometheus").await.unwrap();
    let text = metrics.body.as_str().unwrap();
    assert!(text.lines().any(|line| line.ends_with("integrity_orphans 1")), "{text}");
    let found = server.get("sys/hsm/integrity").await.unwrap();
    assert_eq!(found.body["data"]["orphans"][0]["kind"], json!("object_without_row"), "{found:?}");
    assert_eq!(found.body["data"]["orphans"].as_array().unwrap().len(), 1, "{found:?}");
}

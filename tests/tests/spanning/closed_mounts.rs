//! What becomes of a mount's keys when it is disabled.

use crate::{Change, ending_at, furnished, has_ended, mount, number, steps, until};
use hsm_bridge::Bridge;
use reqwest::Method;
use serde_json::json;
use tests::{Server, Site};

/// What the databases and the token say once nothing is left of the mount, which left for the `times`th time.
async fn is_gone_once_and_whole(site: &Site, server: &Server, point: &str, times: i64) {
    let mut secure = site.secure.superuser().await.unwrap();
    let mut core = site.core.superuser().await.unwrap();
    until(point, 0, async || number(&mut core, "SELECT count(*) FROM outbox").await).await;
    for (statement, expected) in [
        ("SELECT count(*) FROM named_keys WHERE deleted_at IS NULL", 1),
        ("SELECT count(*) FROM private_keys WHERE encrypted_key_material IS NOT NULL", 0),
        ("SELECT count(*) FROM encryption_keys WHERE encrypted_key_material IS NOT NULL", 0),
        ("SELECT count(*) FROM secure_audit_log WHERE event_type = 'mount.close'", times),
        ("SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.delete'", 3 * times),
    ] {
        assert_eq!(number(&mut secure, statement).await, expected, "{point}: {statement}");
    }
    let done = "SELECT count(*) FROM audit_log WHERE event_type = 'outbox.done'";
    assert_eq!(number(&mut core, done).await, times, "{point}: {done}");
    let mut objects: Vec<_> = Bridge::open(site.hsm().unwrap()).await.unwrap().find_objects("clm-key-").await.unwrap();
    objects.dedup_by_key(|object| object.id);
    assert_eq!(objects.len(), 1, "{point}: the token keeps {objects:?}");
    let signed = server.put("transit/sign/staying", json!({"input": "YQ=="})).await.unwrap();
    assert!(signed.status.is_success(), "{point}: {signed:?}");
    let checked = server.get("sys/hsm/integrity").await.unwrap();
    assert_eq!(checked.body["data"]["orphans"], json!([]), "{point}");
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_step_of_disabling_a_mount_loses_nothing_and_does_nothing_twice() {
    let mut site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let made = server.put("transit/keys/staying", json!({"type": "ecdsa-p256", "storage": "token"})).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
    let token = server.token.clone();
    drop(server);
    for ((_, step), times) in steps(Change::CloseMount).zip(1..) {
        let mut server = ending_at(&mut site, &step).await;
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        mount(&server).await;
        // Whether it could still answer depends on the step.
        drop(server.ask(Method::DELETE, "sys/mounts/leaving", None).await);
        has_ended(server, &step);

        // The lease of whoever was killed runs out.
        sqlx::query("UPDATE outbox SET leased_until = now()")
            .execute(&mut site.core.superuser().await.unwrap())
            .await
            .unwrap();
        let server = site.serve_for(&token).await.unwrap();
        let read = server.get("leaving/keys/wrapped").await.unwrap();
        assert_eq!(read.status, 404, "{step}: {read:?}");
        is_gone_once_and_whole(&site, &server, &step, times).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_close_a_mount_once_and_nothing_is_made_in_it_any_more() {
    let site = Site::ready("").await.unwrap();
    let server = furnished(&site).await;
    let other = site.serve_for(&server.token).await.unwrap();
    // Keys are being made through the other server while this one takes the mount away.
    let making = async {
        for number in 0.. {
            let made = other.put(&format!("leaving/keys/late-{number}"), json!({"type": "ecdsa-p256"})).await.unwrap();
            if !made.status.is_success() {
                // The other server knew already; or it learnt it from the vault.
                assert!(made.status == 404 || made.error() == "the mount was disabled meanwhile", "{made:?}");
                return;
            }
        }
    };
    let disabling = async {
        let disabled = server.ask(Method::DELETE, "sys/mounts/leaving", None).await.unwrap();
        assert_eq!(disabled.status, 204, "{disabled:?}");
    };
    tokio::join!(making, disabling);
    let mut secure = site.secure.superuser().await.unwrap();
    let living = "SELECT count(*) FROM named_keys WHERE deleted_at IS NULL";
    until("keys that live", 1, async || number(&mut secure, living).await).await;
    let mut core = site.core.superuser().await.unwrap();
    until("entries", 0, async || number(&mut core, "SELECT count(*) FROM outbox").await).await;
    let closed = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'mount.close'";
    assert_eq!(number(&mut secure, closed).await, 1);
    // The same path again is another mount, and empty.
    assert_eq!(server.put("sys/mounts/leaving", json!({"type": "transit"})).await.unwrap().status, 204);
    assert_eq!(server.ask(Method::from_bytes(b"LIST").unwrap(), "leaving/keys", None).await.unwrap().status, 404);
    let made = server.put("leaving/keys/wrapped", json!({"type": "ecdsa-p256"})).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_written_by_sql_destroys_nothing() {
    let site = Site::ready("").await.unwrap();
    let server = furnished(&site).await;
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query(
        "INSERT INTO outbox (id, organization_id, kind, resource_id, created_at, revision, row_mac) \
         SELECT gen_random_uuid(), organization_id, 'mount.close', id, now(), 1, sha256('') FROM mounts WHERE path = 'leaving/'",
    )
    .execute(&mut core)
    .await
    .unwrap();
    until("refusals", 1, async || {
        number(&mut core, "SELECT count(*) FROM outbox WHERE last_error LIKE '%behind the service''s back%'").await
    })
    .await;
    let read = server.get("leaving/keys/wrapped").await.unwrap();
    assert_eq!(read.status, 200, "{read:?}");
    let mut secure = site.secure.superuser().await.unwrap();
    assert_eq!(number(&mut secure, "SELECT count(*) FROM closed_mounts").await, 0);
    let alarm =
        "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'outbox'";
    assert_eq!(number(&mut core, alarm).await, 1);
}

//! Work that nobody waits for: changes that span both databases, and jobs. The process is killed at every step in between.
#![expect(clippy::unwrap_used, reason = "tests")]

use api::worker::CrashPoint;
use clap::ValueEnum;
use hsm_bridge::Bridge;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tests::{Server, Site};

/// Asks until the answer is the one that is waited for.
async fn until<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, mut ask: impl AsyncFnMut() -> T) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let is = ask().await;
        if is == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {is:?}, and not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn number(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

async fn furnished(site: &Site) -> Server {
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let made = server.put("transit/keys/staying", json!({"type": "ecdsa-p256", "storage": "token"})).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
    mount(&server).await;
    server
}

/// A mount that is going to leave, with a key of every storage.
async fn mount(server: &Server) {
    assert_eq!(server.put("sys/mounts/leaving", json!({"type": "transit"})).await.unwrap().status, 204);
    for (name, more) in [
        ("leaving/keys/wrapped", json!({"type": "ecdsa-p256"})),
        ("leaving/keys/symmetric", json!({"type": "aes256-gcm96"})),
        ("leaving/keys/token", json!({"type": "ecdsa-p256", "storage": "token"})),
    ] {
        let made = server.put(name, more).await.unwrap();
        assert!(made.status.is_success(), "{name}: {made:?}");
    }
}

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
    let steps = CrashPoint::value_variants();
    assert!(steps.len() >= 6);
    let mut site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let made = server.put("transit/keys/staying", json!({"type": "ecdsa-p256", "storage": "token"})).await.unwrap();
    assert!(made.status.is_success(), "{made:?}");
    let token = server.token.clone();
    drop(server);
    for (step, times) in steps.iter().zip(1..) {
        let name = step.to_possible_value().unwrap().get_name().to_owned();
        site.variables = vec![("CLM_CRASH_AT", name.clone())];
        let mut server = site.serve().await.unwrap();
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        mount(&server).await;
        // Whether it could still answer depends on the step.
        drop(server.ask(Method::DELETE, "sys/mounts/leaving", None).await);
        assert_eq!(server.wait().unwrap(), None, "{name}: it ended by a signal");
        drop(server);

        site.variables.clear();
        // The lease of whoever was killed runs out.
        sqlx::query("UPDATE outbox SET leased_until = now()")
            .execute(&mut site.core.superuser().await.unwrap())
            .await
            .unwrap();
        let mut server = site.serve().await.unwrap();
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        let mount = server.get("leaving/keys/wrapped").await.unwrap();
        assert_eq!(mount.status, 404, "{name}: {mount:?}");
        is_gone_once_and_whole(&site, &server, &name, times).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_close_a_mount_once_and_nothing_is_made_in_it_any_more() {
    let site = Site::ready("").await.unwrap();
    let server = furnished(&site).await;
    let mut other = site.serve().await.unwrap();
    other.token.clone_from(&server.token);
    other.until_health(200).await.unwrap();
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
    let object: uuid::Uuid = sqlx::query_scalar(
        "SELECT p.hsm_key_id FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id WHERE n.name = 'token'",
    )
    .fetch_one(&mut secure)
    .await
    .unwrap();
    server.put("leaving/keys/token/config", json!({"deletion_allowed": true})).await.unwrap();
    assert_eq!(server.ask(Method::DELETE, "leaving/keys/token", None).await.unwrap().status, 204);
    // A crash between database and token leaves the one, a stranger the other.
    let bridge = Bridge::open(site.hsm().unwrap()).await.unwrap();
    for id in [object, uuid::Uuid::new_v4()] {
        let label = format!("clm-key-{id}");
        bridge.generate_token_key(id, &label, hsm_bridge::KeyType::EcP256, hsm_bridge::Purpose::Signing).await.unwrap();
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

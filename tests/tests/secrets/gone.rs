//! What is left when secrets are destroyed: their rows, without what they held.

use super::{ask, done, started, started_at};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tests::Site;

async fn count(site: &Site, what: &str) -> i64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    let statement = format!("SELECT count(*) FROM {what}");
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut superuser).await.unwrap()
}

const READABLE: &str = "secret_versions WHERE encrypted_data IS NOT NULL OR value_hmac IS NOT NULL";

#[tokio::test]
async fn what_is_destroyed_dropped_or_deleted_for_good_has_no_ciphertext_any_more() {
    let (site, server) = started().await;
    for _ in 0..3 {
        done(&server, "POST secret/data/a {\"data\":{}}").await;
    }
    assert_eq!(count(&site, READABLE).await, 3);
    done(&server, "POST secret/destroy/a {\"versions\":[2]}").await;
    assert_eq!(count(&site, READABLE).await, 2);
    done(&server, "POST secret/metadata/a {\"max_versions\":1}").await;
    done(&server, "POST secret/data/a {\"data\":{}}").await;
    assert_eq!(count(&site, READABLE).await, 1);
    done(&server, "DELETE secret/metadata/a").await;
    assert_eq!((count(&site, READABLE).await, count(&site, "secret_versions").await), (0, 4));
    done(&server, "POST kv/a {\"x\":1}").await;
    done(&server, "POST kv/a {\"x\":2}").await;
    assert_eq!(count(&site, READABLE).await, 1);
    done(&server, "DELETE kv/a").await;
    assert_eq!(count(&site, READABLE).await, 0);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

/// Until so many are left.
async fn until(site: &Site, what: &str, left: i64) {
    tests::until(Duration::from_secs(40), what, left, async || count(site, what).await).await;
}

#[tokio::test]
async fn secrets_of_a_mount_that_is_disabled_are_destroyed_though_the_server_is_killed_meanwhile() {
    let mut site = Site::ready("").await.unwrap();
    let mut server = started_at(&site).await;
    for number in 0..60 {
        done(&server, &format!("POST secret/data/s{number} {{\"data\":{{}}}}")).await;
    }
    done(&server, "POST secret/config {\"max_versions\":5}").await;
    done(&server, "POST kv/a {\"x\":1}").await;
    let token = server.token.clone();
    drop(server);
    site.variables = vec![("CLM_CRASH_AT", "secrets-destroyed".into())];
    server = site.serve_for(&token).await.unwrap();
    done(&server, "DELETE sys/mounts/secret").await;
    assert_eq!(server.wait().unwrap(), None, "it ended by a signal");
    let left = count(&site, READABLE).await;
    assert!(1 < left && left < 61, "{left} are left");
    drop(server);
    site.variables.clear();
    // The lease of whoever was killed runs out.
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query("UPDATE outbox SET leased_until = now()").execute(&mut core).await.unwrap();
    server = site.serve_for(&token).await.unwrap();
    assert_eq!(ask(&server, "GET secret/data/s1").await.status, 404);
    until(&site, READABLE, 1).await;
    until(&site, "secrets WHERE deleted_at IS NULL", 1).await;
    done(&server, "POST sys/mounts/secret {\"type\":\"kv-v2\"}").await;
    assert_eq!(ask(&server, "GET secret/data/s1").await.status, 404);
    assert_eq!(ask(&server, "LIST secret/metadata").await.status, 404);
    assert_eq!(done(&server, "GET secret/config").await["max_versions"], 0);
    assert_eq!(done(&server, "GET kv/a").await, json!({"x": 1}));
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

/// As after a backup of clm_core_db that was put back.
#[tokio::test]
async fn secrets_stay_when_their_mount_was_lost_and_not_disabled_and_that_is_said() {
    let (site, server) = started().await;
    done(&server, "POST secret/data/a {\"data\":{}}").await;
    assert_eq!(done(&server, "GET sys/hsm/integrity").await["orphans"], json!([]));
    let mut core = site.core.superuser().await.unwrap();
    let lost = "DELETE FROM mounts WHERE path = 'secret/' RETURNING id";
    let mount: uuid::Uuid = sqlx::query_scalar(lost).fetch_one(&mut core).await.unwrap();
    let orphans = done(&server, "GET sys/hsm/integrity").await["orphans"].clone();
    let told = orphans.as_array().unwrap().iter().map(|orphan| (&orphan["kind"], &orphan["id"], &orphan["repairable"]));
    let expected = (&json!("secrets_without_mount"), &json!(mount), &json!(false));
    assert_eq!(told.collect::<Vec<_>>(), [expected]);
    done(&server, "POST sys/hsm/integrity").await;
    assert_eq!((count(&site, READABLE).await, count(&site, "secrets WHERE deleted_at IS NULL").await), (1, 1));
}

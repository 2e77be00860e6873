//! Rotation of the data key.

use super::{ask, done, started_at};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tests::{Site, until};

/// For the half of the work before the server is killed, and again for the other.
const PATIENCE: Duration = Duration::from_secs(30);

async fn count(site: &Site, statement: &str) -> i64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap()
}

const OUTDATED: &str = "SELECT count(*) FROM secret_versions v JOIN encryption_keys k ON k.id = v.encryption_key_id WHERE k.key_state <> 'active'";

#[tokio::test]
async fn old_versions_are_read_while_they_are_encrypted_anew_and_a_killed_server_loses_none() {
    let site = Site::ready("").await.unwrap();
    let mut server = started_at(&site).await;
    for number in 0..100 {
        done(&server, &format!("POST secret/data/s{number} {{\"data\":{{\"n\":{number}}}}}")).await;
    }
    done(&server, "POST secret/destroy/s99 {\"versions\":[1]}").await;
    let before = done(&server, "GET sys/key-status").await;
    assert_eq!((&before["term"], &before["encryptions"]), (&json!(1), &json!(100)));
    done(&server, "POST sys/rotate").await;
    assert_eq!(ask(&server, "GET sys/rotate").await.status, 405);
    assert_eq!(done(&server, "GET sys/key-status").await["term"], 2);
    // At once: what was there is read, what is new is under the new key.
    assert_eq!(done(&server, "GET secret/data/s7").await["data"], json!({"n": 7}));
    done(&server, "POST secret/data/new {\"data\":{}}").await;
    let newest = "SELECT k.key_version::bigint FROM secret_versions v JOIN encryption_keys k ON k.id = v.encryption_key_id JOIN secrets s ON s.id = v.secret_id WHERE s.secret_path = 'new'";
    assert_eq!(count(&site, newest).await, 2);
    // Killed as soon as the work has begun, and rotated once more meanwhile.
    let began = async || count(&site, OUTDATED).await <= 80;
    until(PATIENCE, "something is encrypted anew", true, began).await;
    let token = server.token.clone();
    drop(server);
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query("UPDATE jobs SET leased_until = now() WHERE leased_until IS NOT NULL")
        .execute(&mut core)
        .await
        .unwrap();
    server = site.serve_for(&token).await.unwrap();
    done(&server, "PUT sys/rotate/keyring").await;
    // Of what stays under an older key one was destroyed.
    until(PATIENCE, "under an older key, and under way", (true, 0), async || {
        for number in [0, 50, 98] {
            assert_eq!(done(&server, &format!("GET secret/data/s{number}")).await["data"], json!({"n": number}));
        }
        (count(&site, OUTDATED).await <= 1, count(&site, UNDER_WAY).await)
    })
    .await;
    for number in 0..99 {
        assert_eq!(done(&server, &format!("GET secret/data/s{number}")).await["data"], json!({"n": number}));
    }
    let status = done(&server, "GET sys/key-status").await;
    assert_eq!((&status["term"], &status["encryptions"]), (&json!(3), &json!(100)));
    let moved = "SELECT sum(items_re_encrypted)::bigint FROM key_rotation_history WHERE rotation_status = 'completed'";
    assert!(count(&site, moved).await >= 100);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

const UNDER_WAY: &str = "SELECT count(*) FROM key_rotation_history WHERE rotation_status = 'in_progress'";

//! Both databases by way of PgBouncer in transaction mode, with a direct connection for notifications beside it.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tests::{Pooler, Server, Site, until};

/// The site's service goes through the pooler from its next start on.
fn pool(site: &mut Site, pooler: &Pooler, pooled: bool) {
    let (secure, core) = (site.secure.url("clm_secure_app"), site.core.url("clm_core_app"));
    site.variables = vec![
        ("CLM_SECURE_DATABASE__URL", pooler.through(&secure).unwrap()),
        ("CLM_SECURE_DATABASE__LISTEN_URL", secure),
        ("CLM_SECURE_DATABASE__POOLER", pooled.to_string()),
        ("CLM_CORE_DATABASE__URL", pooler.through(&core).unwrap()),
        ("CLM_CORE_DATABASE__LISTEN_URL", core),
        ("CLM_CORE_DATABASE__POOLER", pooled.to_string()),
    ];
}

/// Everything that touches a database in its own way, many at a time.
async fn works(server: &Server) {
    for (path, body) in [
        ("sys/policies/acl/p", json!({"policy": "path \"transit/*\" { capabilities = [\"update\"] }"})),
        ("transit/keys/k", json!({"type": "ecdsa-p256"})),
        ("transit/keys/s", json!({})),
        ("sys/mounts/secret", json!({"type": "kv-v2"})),
        ("secret/data/a", json!({"data": {"kept": "once"}})),
        ("cubbyhole/a", json!({"kept": "once"})),
        ("sys/mounts/leaving", json!({"type": "transit"})),
        ("leaving/keys/k", json!({"type": "ecdsa-p256"})),
    ] {
        let answer = server.put(path, body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }
    let requests = (0..60).map(async |number| {
        let (path, body) = match number % 4 {
            0 => ("transit/sign/k", json!({"input": "YQ=="})),
            1 => ("transit/encrypt/s", json!({"plaintext": "YQ=="})),
            2 => ("auth/token/create", json!({"policies": "p", "num_uses": 3})),
            _ => ("secret/data/a", json!({"data": {"kept": number}})),
        };
        (path, server.put(path, body).await.unwrap())
    });
    for (path, answer) in futures_util::future::join_all(requests).await {
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }
    assert_eq!(server.ask(Method::DELETE, "sys/mounts/leaving", None).await.unwrap().status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_work_through_pgbouncer_in_transaction_mode_and_hear_of_each_others_changes() {
    let mut site = Site::ready("").await.unwrap();
    let pooler = Pooler::start("server_reset_query_always = 1").await.unwrap();
    pool(&mut site, &pooler, true);
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let mut other = site.serve_for(&server.token).await.unwrap();
    works(&server).await;
    works_on_the_other(&server, &mut other).await;
    let mut core = site.core.superuser().await.unwrap();
    until(Duration::from_secs(30), "entries of the outbox", 0i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&mut core).await.unwrap()
    })
    .await;
    let jobs = "SELECT count(*) FROM jobs WHERE last_finished_at IS NOT NULL AND last_error IS NULL";
    until(Duration::from_secs(60), "a job is done", true, async || {
        let done: i64 = sqlx::query_scalar(jobs).fetch_one(&mut core).await.unwrap();
        done > 0
    })
    .await;
    let doctor = site.command(&["doctor"]).unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for database in ["clm_secure_db", "clm_core_db"] {
        assert!(!said.lines().any(|line| line.contains("FAILED") && line.contains(database)), "{said}");
    }
    for database in ["secure", "core"] {
        let checkpoint = site.path(&format!("{database}.jsonl"));
        site.succeeds(&["audit", "export", "--database", database, "--out", checkpoint.to_str().unwrap()]).unwrap();
    }
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    drop((server, other));
    assert!(!pooler.log().contains("prepared statement"), "{}", pooler.log());
}

/// A change through one is at once known to the other.
async fn works_on_the_other(server: &Server, other: &mut Server) {
    let made = server.put("auth/token/create", json!({"policies": "p"})).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut other.token);
    let signs = async || other.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap().status.is_success();
    assert!(signs().await, "its policy allows it");
    let narrowed = json!({"policy": "path \"transit/other\" { capabilities = [\"update\"] }"});
    assert_eq!(server.put("sys/policies/acl/p", narrowed).await.unwrap().status, 204);
    until(Duration::from_secs(5), "may sign", false, signs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_without_a_direct_connection_beside_it_is_refused() {
    let mut site = Site::ready("").await.unwrap();
    site.variables = vec![("CLM_CORE_DATABASE__POOLER", "true".to_owned())];
    let said = site.fails(&["server"]).unwrap();
    assert!(said.contains("set core_database.listen_url to a direct connection"), "{said}");
}

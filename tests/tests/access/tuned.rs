//! Settings of the mount that makes tokens.

use super::{policy, started};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;
use tests::{Answer, Server, until};

const PATIENCE: Duration = Duration::from_secs(10);

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

/// Made with that body: how long it lasts, and what was said to it.
async fn lasts(server: &Server, path: &str, body: Value) -> (u64, String) {
    let made = server.put(path, body).await.unwrap();
    assert_eq!(made.status, 200, "{path}: {made:?}");
    (made.body["auth"]["lease_duration"].as_u64().unwrap(), made.body["warnings"].to_string())
}

#[tokio::test]
async fn the_token_mount_is_tuned_like_others_and_its_times_count_for_what_it_makes() {
    let (site, server) = started().await;
    policy(&server, "p1", "path \"sys/mounts\" { capabilities = [\"read\"] }").await;
    assert_eq!(server.put("sys/namespaces/team", json!({})).await.unwrap().status, 200);
    let one = || json!({"policies": ["p1"]});
    let tune = "sys/auth/token/tune";
    let listed = async |server: &Server| server.get("sys/auth").await.unwrap().body["data"]["token/"].clone();
    let (untuned, before) = (server.get(tune).await.unwrap(), listed(&server).await);
    for (field, value) in [
        ("default_lease_ttl", json!(2_764_800)),
        ("max_lease_ttl", json!(2_764_800)),
        ("token_type", json!("default-service")),
    ] {
        assert_eq!(untuned.body["data"][field], value, "{untuned:?}");
    }
    let times = json!({"default_lease_ttl": "10m", "max_lease_ttl": "1h", "description": "short ones"});
    assert_eq!(server.put(tune, times).await.unwrap().status, 204);
    let tuned = server.get(tune).await.unwrap();
    for (field, value) in
        [("default_lease_ttl", json!(600)), ("max_lease_ttl", json!(3600)), ("description", json!("short ones"))]
    {
        assert_eq!(tuned.body["data"][field], value, "{tuned:?}");
    }
    assert_eq!(server.get("sys/mounts/auth/token/tune").await.unwrap().body["data"], tuned.body["data"]);
    let after = listed(&server).await;
    assert_eq!(
        (&after["accessor"], &after["uuid"], &after["type"]),
        (&before["accessor"], &before["uuid"], &json!("token"))
    );
    assert_eq!((&after["config"]["max_lease_ttl"], &after["description"]), (&json!(3600), &json!("short ones")));

    for (path, body, ttl, says) in [
        ("auth/token/create", one(), 600, "null"),
        ("auth/token/create", json!({"policies": ["p1"], "type": "batch"}), 600, "null"),
        ("auth/token/create-orphan", one(), 600, "null"),
        ("auth/token/create", json!({"policies": ["p1"], "ttl": "2h"}), 3600, "effective max_ttl of \\\"1h\\\""),
        // A root token ends only where somebody says so; another namespace's mount is another.
        ("auth/token/create", json!({}), 0, "null"),
        ("team/auth/token/create", json!({"policies": ["default"]}), 2_764_800, ""),
    ] {
        let (lease, warnings) = lasts(&server, path, body.clone()).await;
        assert!(lease == ttl && warnings.contains(says), "{path} {body}: {lease} {warnings}");
    }
    let short = server.put("auth/token/create", json!({"policies": ["p1"], "ttl": "5m"})).await.unwrap();
    let named = json!({"token": short.body["auth"]["client_token"], "increment": "3h"});
    let renewed = server.put("auth/token/renew", named).await.unwrap();
    let lease = renewed.body["auth"]["lease_duration"].as_u64().unwrap();
    assert!((3500..=3600).contains(&lease), "{renewed:?}");

    for (path, body, why) in [
        (tune, json!({"token_type": "batch"}), "'token_type' cannot be set for 'token'"),
        (tune, json!({"default_lease_ttl": "2h"}), "greater than given max lease TTL"),
        (tune, json!({"options": {"version": "2"}}), "has no option `version`"),
        ("sys/mounts/transit/tune", json!({"token_type": "service"}), "can only be modified on auth mounts"),
        ("sys/mounts/sys/tune", json!({"description": "x"}), "cannot tune \"sys/\""),
        ("sys/mounts/cubbyhole/tune", json!({"max_lease_ttl": 60}), "cannot tune \"cubbyhole/\""),
        ("sys/mounts/identity/tune", json!({"description": "x"}), "cannot tune \"identity/\""),
    ] {
        told(&server.put(path, body).await.unwrap(), 400, why);
    }
    told(&server.ask(Method::DELETE, "sys/auth/token", None).await.unwrap(), 400, "cannot be disabled");

    // Another server has it from its row, and tunes on from there; the first hears of it.
    let second = site.serve_for(&server.token).await.unwrap();
    assert_eq!(lasts(&second, "auth/token/create", one()).await.0, 600);
    assert_eq!(second.put(tune, json!({"default_lease_ttl": "5m"})).await.unwrap().status, 204);
    until(PATIENCE, "it is heard", 300, async || lasts(&server, "auth/token/create", one()).await.0).await;
    let system = json!({"default_lease_ttl": "system", "max_lease_ttl": 0});
    assert_eq!(server.put(tune, system).await.unwrap().status, 204);
    assert_eq!(lasts(&server, "auth/token/create", one()).await.0, 2_764_800);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));

    // SQL gives nobody longer tokens: with a row that was edited there is no mount.
    let mut superuser = site.core.superuser().await.unwrap();
    let edit = async |superuser: &mut PgConnection, ttl: u32| {
        let statement = format!(
            "UPDATE mounts SET config = jsonb_set(config, '{{max_lease_ttl}}', '{ttl}') WHERE path = 'token/' AND organization_id = '{}'",
            clm_core::ROOT_ORGANIZATION
        );
        sqlx::query(AssertSqlSafe(statement)).execute(superuser).await.unwrap().rows_affected()
    };
    assert_eq!(edit(&mut superuser, 99_999_999).await, 1);
    let made = async || server.put("auth/token/create", one()).await.unwrap().status.as_u16();
    until(PATIENCE, "the forged row is refused", 404, made).await;
    let refused =
        "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'mounts'";
    assert!(sqlx::query_scalar::<_, i64>(refused).fetch_one(&mut superuser).await.unwrap() > 0);
    assert_eq!(edit(&mut superuser, 0).await, 1);
    until(PATIENCE, "the row is back", 200, made).await;
}

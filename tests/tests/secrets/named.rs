//! Secrets by their names: another view of the same store.

use super::{ask, done, started, token};
use serde_json::{Value, json};
use sqlx::Row;

fn keys(found: &Value) -> Vec<&str> {
    found["keys"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_name_and_its_path_are_the_same_secret_with_the_same_versions_and_records() {
    let (site, mut server) = started().await;
    "both ways".clone_into(&mut server.user_agent);
    let name = "prod.db.postgres.billing-db.password";
    let path = "prod/db/postgres/billing-db/password";
    done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{\"n\":1}},\"options\":{{\"cas\":0}}}}")).await;
    let read = done(&server, &format!("GET secret/data/{path}")).await;
    assert_eq!((&read["data"], &read["metadata"]["version"]), (&json!({"n": 1}), &json!(1)));
    done(&server, &format!("POST secret/data/{path} {{\"data\":{{\"n\":2}}}}")).await;
    done(&server, &format!("PATCH clm/secrets/{name} {{\"data\":{{\"m\":3}}}}")).await;
    let read = done(&server, &format!("GET clm/secrets/{name}")).await;
    assert_eq!((&read["data"], &read["metadata"]["version"]), (&json!({"n": 2, "m": 3}), &json!(3)));
    assert_eq!((&read["name"], &read["path"]), (&json!(name), &json!(format!("secret/{path}"))));
    assert_eq!(done(&server, &format!("GET clm/secrets/{name}?version=1")).await["data"], json!({"n": 1}));
    let stale = ask(&server, &format!("POST clm/secrets/{name} {{\"data\":{{}},\"options\":{{\"cas\":1}}}}")).await;
    assert_eq!(stale.error(), "check-and-set parameter did not match the current version");
    done(&server, &format!("DELETE clm/secrets/{name}")).await;
    assert_eq!(ask(&server, &format!("GET secret/data/{path}")).await.status, 404);
    let gone = ask(&server, &format!("GET clm/secrets/{name}")).await;
    assert_eq!((gone.status.as_u16(), &gone.body["data"]["data"]), (404, &Value::Null));
    done(&server, &format!("POST secret/undelete/{path} {{\"versions\":[3]}}")).await;
    done(&server, &format!("GET clm/secrets/{name}")).await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let rows = sqlx::query(
        "SELECT event_type, event_data ->> 'secret', result FROM secure_audit_log WHERE user_agent = 'both ways' ORDER BY seq",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let told: Vec<[String; 3]> = rows.iter().map(|row| [0, 1, 2].map(|column| row.get(column))).collect();
    assert!(told.iter().all(|record| record[1] == path), "{told:?}");
    let types: Vec<&str> = told.iter().map(|record| record[0].as_str()).collect();
    let (read, write) = ("secret.read", "secret.write");
    assert_eq!(
        types,
        [write, read, write, "secret.patch", read, read, write, "secret.delete", read, read, "secret.undelete", read]
    );
    done(&server, &format!("DELETE clm/secrets/{name}/metadata")).await;
    assert_eq!(ask(&server, &format!("GET secret/metadata/{path}")).await.status, 404);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn what_is_no_name_is_refused_and_says_what_one_is() {
    let (_site, server) = started().await;
    let longest = "a".repeat(500);
    done(&server, &format!("POST clm/secrets/{longest} {{\"data\":{{}}}}")).await;
    for bad in ["a..b", "a.", "-a.b", "a/b", "%20", "ä", &"a".repeat(501)] {
        let answer = ask(&server, &format!("POST clm/secrets/{bad} {{\"data\":{{}}}}")).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
        assert!(answer.error().contains("the name of a secret"), "{bad}: {answer:?}");
    }
    // Without the mount there is nothing to name.
    done(&server, "DELETE sys/mounts/secret").await;
    let answer = ask(&server, "GET clm/secrets/a.b").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.error().contains("KV engine of version 2 at secret/"), "{answer:?}");
}

#[tokio::test]
async fn secrets_are_found_by_name_tag_and_age() {
    let (site, server) = started().await;
    for (name, tags) in [
        ("prod.db.postgres.password", "db,critical"),
        ("prod.db.redis.password", "db"),
        ("prod.web.tls_key", "critical"),
        ("test.db.postgres.password", ""),
    ] {
        done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{\"x\":1}}}}")).await;
        done(
            &server,
            &format!("POST clm/secrets/{name}/metadata {{\"tags\":\"{tags}\",\"description\":\"of {name}\"}}"),
        )
        .await;
    }
    // It has no name, and is not shown among those that have.
    done(&server, "POST secret/data/prod/db/with.dot {\"data\":{}}").await;
    let (db, redis) = ("prod.db.postgres.password", "prod.db.redis.password");
    for (query, found) in [
        ("", &[db, redis, "prod.web.tls_key", "test.db.postgres.password"][..]),
        ("?name=prod.db.*", &[db, redis]),
        ("?name=*.postgres.*", &[db, "test.db.postgres.password"]),
        ("?name=prod.db.postgres.password", &[db]),
        ("?name=prod.db", &[]),
        ("?name=prod.web.tls_*", &["prod.web.tls_key"]),
        ("?name=prod.web.tls%25key", &[]),
        ("?tag=critical", &[db, "prod.web.tls_key"]),
        ("?tag=critical&name=prod.db.*", &[db]),
        ("?older_than=1h", &[]),
        ("?older_than=0s", &[db, redis, "prod.web.tls_key", "test.db.postgres.password"]),
    ] {
        assert_eq!(keys(&done(&server, &format!("GET clm/secrets{query}")).await), found, "{query}");
    }
    assert_eq!(keys(&done(&server, "LIST clm/secrets").await).len(), 4);
    let shown = &done(&server, "GET clm/secrets?name=prod.db.postgres.*").await["key_info"][db];
    assert_eq!((&shown["description"], &shown["tags"]), (&json!(format!("of {db}")), &json!(["critical", "db"])));
    assert!(shown.get("data").is_none(), "{shown}");
    // By pages.
    let first = done(&server, "GET clm/secrets?limit=3").await;
    assert_eq!((keys(&first).len(), &first["next"]), (3, &json!("prod.web.tls_key")));
    let rest = done(&server, "GET clm/secrets?limit=3&after=prod.web.tls_key").await;
    assert_eq!((keys(&rest), &rest["next"]), (vec!["test.db.postgres.password"], &Value::Null));
    // A description changes nothing of the value's age; the value does.
    let mut superuser = site.secure.superuser().await.unwrap();
    let older = sqlx::query(
        "UPDATE secret_versions SET created_at = created_at - interval '90 days' WHERE secret_id IN (SELECT id FROM secrets WHERE secret_path LIKE 'prod/db/%')",
    );
    older.execute(&mut superuser).await.unwrap();
    assert_eq!(keys(&done(&server, "GET clm/secrets?older_than=2000h").await), [db, redis]);
}

#[tokio::test]
async fn what_a_secret_is_beside_its_value_is_kept_and_a_row_that_says_otherwise_is_refused() {
    let (site, server) = started().await;
    done(&server, "POST clm/secrets/prod.a/metadata {\"description\":\"d\",\"tags\":[\"t\"],\"custom_metadata\":{\"k\":\"v\"},\"expires_at\":\"2099-01-01T00:00:00Z\",\"rotation_enabled\":true,\"rotation_schedule\":\"0 3 * * *\",\"generator\":{\"type\":\"password\",\"length\":20}}").await;
    let shown = done(&server, "GET clm/secrets/prod.a/metadata").await;
    for (field, value) in [
        ("description", json!("d")),
        ("tags", json!(["t"])),
        ("custom_metadata", json!({"k": "v"})),
        ("expires_at", json!("2099-01-01T00:00:00.000000000Z")),
        ("rotation_enabled", json!(true)),
        ("rotation_schedule", json!("0 3 * * *")),
        ("last_rotated_at", json!("")),
        ("current_version", json!(0)),
        ("name", json!("prod.a")),
        ("path", json!("secret/prod/a")),
        (
            "generator",
            json!({"type": "password", "length": 20, "classes": ["digits", "lower", "symbols", "upper"], "field": "password"}),
        ),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert!(shown["next_rotation_at"].as_str().unwrap().ends_with("T03:00:00.000000000Z"), "{shown}");
    // The KV engine's own view shows its own part, and keeps the rest.
    assert_eq!(done(&server, "GET secret/metadata/prod/a").await["custom_metadata"], json!({"k": "v"}));
    done(&server, "POST secret/metadata/prod/a {\"max_versions\":3}").await;
    assert_eq!(done(&server, "GET clm/secrets/prod.a/metadata").await["description"], "d");
    for bad in [
        "{\"rotation_enabled\":true,\"rotation_schedule\":\"\"}",
        "{\"rotation_schedule\":\"often\"}",
        "{\"rotation_schedule\":\"0 0 30 2 *\"}",
        "{\"expires_at\":\"tomorrow\"}",
        "{\"tags\":[\"a,b\"]}",
        "{\"generator\":{\"type\":\"password\",\"length\":3}}",
        "{\"generator\":{\"type\":\"key_pair\",\"algorithm\":\"dsa\"}}",
        "{\"generator\":{\"type\":\"dice\"}}",
    ] {
        let answer = ask(&server, &format!("POST clm/secrets/prod.a/metadata {bad}")).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
    let mut superuser = site.secure.superuser().await.unwrap();
    for change in [
        "description = 'other'",
        "tags = '{other}'",
        "expires_at = NULL",
        "generator = '{\"type\":\"password\",\"length\":8}'",
        "rotation_schedule = '* * * * *'",
        "next_rotation_at = now()",
        "last_rotated_at = now()",
        "public_key = 'mine'",
    ] {
        sqlx::query("CREATE TABLE kept AS TABLE secrets").execute(&mut superuser).await.unwrap();
        let statement = sqlx::AssertSqlSafe(format!("UPDATE secrets SET {change}"));
        sqlx::query(statement).execute(&mut superuser).await.unwrap();
        for line in ["GET clm/secrets/prod.a/metadata", "GET clm/secrets", "POST clm/secrets/prod.a {\"data\":{}}"] {
            let answer = ask(&server, line).await;
            assert_eq!(answer.status, 500, "{change}: {line}: {answer:?}");
        }
        let back = "UPDATE secrets s SET description = k.description, tags = k.tags, expires_at = k.expires_at, generator = k.generator, \
                    rotation_schedule = k.rotation_schedule, next_rotation_at = k.next_rotation_at, last_rotated_at = k.last_rotated_at, \
                    public_key = k.public_key FROM kept k WHERE k.id = s.id";
        sqlx::query(back).execute(&mut superuser).await.unwrap();
        sqlx::query("DROP TABLE kept").execute(&mut superuser).await.unwrap();
        done(&server, "GET clm/secrets/prod.a/metadata").await;
    }
}

#[tokio::test]
async fn an_expired_secret_is_shown_as_deleted_until_it_gets_another_end() {
    let (_site, server) = started().await;
    done(&server, "POST clm/secrets/a.b {\"data\":{\"x\":1}}").await;
    done(&server, "POST clm/secrets/a.b/metadata {\"expires_at\":\"2099-01-01T00:00:00Z\"}").await;
    assert_eq!(
        done(&server, "GET secret/data/a/b").await["metadata"]["deletion_time"],
        "2099-01-01T00:00:00.000000000Z"
    );
    done(&server, "POST clm/secrets/a.b/metadata {\"expires_at\":\"2026-01-01T00:00:00Z\"}").await;
    for line in
        ["GET clm/secrets/a.b", "GET secret/data/a/b", "GET secret/data/a/b?version=1", "GET secret/subkeys/a/b"]
    {
        let answer = ask(&server, line).await;
        assert_eq!(answer.status, 404, "{line}: {answer:?}");
        assert_eq!(answer.body["data"]["metadata"]["deletion_time"], "2026-01-01T00:00:00.000000000Z", "{line}");
        assert!(!answer.body.to_string().contains("\"x\""), "{line}: {answer:?}");
    }
    assert_eq!(ask(&server, "PATCH secret/data/a/b {\"data\":{\"y\":1}}").await.status, 404);
    done(&server, "POST secret/undelete/a/b {\"versions\":[1]}").await;
    assert_eq!(ask(&server, "GET secret/data/a/b").await.status, 404);
    let refused = ask(&server, "POST secret/data/a/b {\"data\":{}}").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("expired at 2026-01-01"), "{refused:?}");
    done(&server, "POST clm/secrets/a.b/metadata {\"expires_at\":\"\"}").await;
    assert_eq!(done(&server, "GET secret/data/a/b").await["data"], json!({"x": 1}));
}

#[tokio::test]
async fn a_request_by_name_needs_what_the_path_needs_and_a_search_shows_what_the_token_may_see() {
    let (_site, mut server) = started().await;
    for name in ["prod.a", "prod.b", "test.a"] {
        done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{}}}}")).await;
    }
    let root = server.token.clone();
    server.token = token(
        &server,
        "path \"secret/data/prod/*\" { capabilities = [\"read\"] } path \"secret/metadata/prod/*\" { capabilities = [\"list\"] } \
         path \"clm/secrets\" { capabilities = [\"read\"] } path \"clm/secrets/prod.b\" { capabilities = [\"deny\"] } \
         path \"sys/capabilities-self\" { capabilities = [\"update\"] }",
    )
    .await;
    done(&server, "GET clm/secrets/prod.a").await;
    done(&server, "GET secret/data/prod/b").await;
    for refused in [
        "GET clm/secrets/prod.b",
        "GET clm/secrets/test.a",
        "POST clm/secrets/prod.a {\"data\":{}}",
        "GET clm/secrets/prod.a/metadata",
        "POST clm/secrets/prod.a/rotate {}",
        "GET clm/secrets/prod/a",
    ] {
        assert_eq!(ask(&server, refused).await.status, 403, "{refused}");
    }
    assert_eq!(keys(&done(&server, "GET clm/secrets").await), ["prod.a", "prod.b"]);
    let asked = "POST sys/capabilities-self {\"paths\":[\"clm/secrets/prod.a\",\"clm/secrets/prod.b\"]}";
    let capabilities = done(&server, asked).await;
    assert_eq!(capabilities["clm/secrets/prod.a"], json!(["read"]));
    assert_eq!(capabilities["clm/secrets/prod.b"], json!(["deny"]));
    // On the name's own path a rule grants nothing.
    server.token = root;
    server.token = token(&server, "path \"clm/*\" { capabilities = [\"read\"] }").await;
    assert_eq!(ask(&server, "GET clm/secrets/prod.a").await.status, 403);
    assert_eq!(keys(&done(&server, "GET clm/secrets").await), [""; 0]);
}

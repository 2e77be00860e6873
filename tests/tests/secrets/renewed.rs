//! Rotation of secrets: by hand, by a generator, and by people who are told.

use super::{ask, done, started, started_at, token};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;
use tests::{Server, Site, until};

/// What is due is done within this: due at the next full minute, a look every five seconds, a run every ten.
const PATIENCE: Duration = Duration::from_secs(120);

async fn describe(server: &Server, name: &str, what: Value) {
    let written = server.put(&format!("clm/secrets/{name}/metadata"), what).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
}

async fn told(server: &Server) -> Vec<Value> {
    let listed = ask(server, "LIST clm/notifications").await;
    let keys = listed.body["data"]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|id| listed.body["data"]["key_info"][id.as_str().unwrap()].clone()).collect()
}

#[tokio::test]
async fn a_password_is_made_as_its_generator_says_and_the_other_fields_stay() {
    let (_site, server) = started().await;
    done(&server, "POST clm/secrets/prod.db {\"data\":{\"user\":\"app\",\"password\":\"old\"}}").await;
    let refused = ask(&server, "POST clm/secrets/prod.db/rotate").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("has no generator: send its new `data`"), "{refused:?}");
    describe(
        &server,
        "prod.db",
        json!({"generator": {"type": "password", "length": 40, "classes": ["lower", "digits"]}}),
    )
    .await;
    let mut made = HashSet::new();
    for version in 2..=4 {
        assert_eq!(done(&server, "POST clm/secrets/prod.db/rotate").await["version"], version);
        let data = done(&server, "GET secret/data/prod/db").await["data"].clone();
        assert_eq!(data["user"], "app");
        let password = data["password"].as_str().unwrap().to_owned();
        assert_eq!(password.len(), 40);
        assert!(password.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit()), "{password}");
        assert!(
            password.chars().any(|one| one.is_ascii_lowercase()) && password.chars().any(|one| one.is_ascii_digit())
        );
        assert!(made.insert(password), "the same password twice");
    }
    // By hand, to something else.
    done(&server, "POST clm/secrets/prod.db/rotate {\"data\":{\"password\":\"chosen\"}}").await;
    assert_eq!(done(&server, "GET clm/secrets/prod.db?version=5").await["data"], json!({"password": "chosen"}));
    let shown = done(&server, "GET clm/secrets/prod.db/metadata").await;
    assert_ne!(shown["last_rotated_at"], "");
    assert_eq!(ask(&server, "POST clm/secrets/prod.none/rotate {}").await.status, 404);
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_key_pair_is_one_that_openssl_takes_and_its_public_half_is_in_the_metadata() {
    let mut site = Site::ready("").await.unwrap();
    site.variables = vec![("CLM_HSM__DEADLINE_MS", "60000".into())];
    let server = started_at(&site).await;
    for algorithm in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048", "rsa-3072"] {
        let name = format!("keys.{algorithm}");
        done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{\"user\":\"app\"}}}}")).await;
        describe(&server, &name, json!({"generator": {"type": "key_pair", "algorithm": algorithm}})).await;
        done(&server, &format!("POST clm/secrets/{name}/rotate")).await;
        let read = done(&server, &format!("GET clm/secrets/{name}")).await["data"].clone();
        assert_eq!(read["user"], "app");
        let file = site.path("pair.pem");
        std::fs::write(&file, read["private_key"].as_str().unwrap()).unwrap();
        let file = file.to_str().unwrap();
        let public = openssl(&["pkey", "-in", file, "-pubout"]);
        assert_eq!(public.trim(), read["public_key"].as_str().unwrap().trim(), "{algorithm}");
        let metadata = done(&server, &format!("GET clm/secrets/{name}/metadata")).await;
        assert_eq!(metadata["public_key"].as_str().unwrap().trim(), public.trim());
        assert!(read["private_key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");
        if !algorithm.starts_with("ed") {
            openssl(&["pkey", "-in", file, "-check", "-noout"]);
        }
        // Another one each time.
        done(&server, &format!("POST clm/secrets/{name}/rotate")).await;
        let again = done(&server, &format!("GET clm/secrets/{name}")).await["data"].clone();
        assert_ne!(again["public_key"], read["public_key"]);
    }
}

#[tokio::test]
async fn with_fips_no_key_pair_is_made_as_a_value() {
    let site = Site::ready("fips = true\n").await.unwrap();
    let server = started_at(&site).await;
    let wanted = json!({"generator": {"type": "key_pair", "algorithm": "ecdsa-p256"}});
    let refused = server.put("clm/secrets/a.b/metadata", wanted).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.error().starts_with("fips: key pairs are not made as values of secrets"), "{refused:?}");
    describe(&server, "a.b", json!({"generator": {"type": "password", "length": 20}})).await;
    done(&server, "POST clm/secrets/a.b/rotate").await;
}

#[tokio::test]
async fn what_is_due_rotates_by_its_generator_or_people_are_told_once_for_each_time() {
    let (site, mut server) = started().await;
    for name in ["prod.made", "prod.told", "prod.quiet"] {
        done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{\"password\":\"old\"}}}}")).await;
    }
    let yearly = json!({"rotation_enabled": true, "rotation_schedule": "0 0 1 1 *"});
    describe(&server, "prod.quiet", yearly.clone()).await;
    let often = json!({"rotation_enabled": true, "rotation_schedule": "* * * * *"});
    describe(&server, "prod.told", often.clone()).await;
    let mut made = often;
    made["generator"] = json!({"type": "password", "length": 16});
    describe(&server, "prod.made", made).await;
    let versions = async |name: &str| {
        done(&server, &format!("GET clm/secrets/{name}/metadata")).await["current_version"].as_i64().unwrap()
    };
    until(PATIENCE, "it is rotated, and people are told", true, async || {
        versions("prod.made").await >= 2 && !told(&server).await.is_empty()
    })
    .await;
    describe(&server, "prod.made", yearly.clone()).await;
    describe(&server, "prod.told", yearly).await;
    assert_ne!(done(&server, "GET clm/secrets/prod.made").await["data"]["password"], "old");
    let all = told(&server).await;
    let times: HashSet<&str> = all.iter().map(|one| one["details"]["due_at"].as_str().unwrap()).collect();
    assert_eq!(times.len(), all.len(), "twice of one time: {all:?}");
    for one in &all {
        assert_eq!((&one["type"], &one["details"]["name"]), (&json!("secret.rotation_due"), &json!("prod.told")));
        assert!(one["title"].as_str().unwrap().contains("prod.told is due for rotation"), "{one}");
        assert_eq!((&one["is_read"], &one["priority"]), (&json!(false), &json!("high")));
    }
    assert_eq!(versions("prod.told").await, 1, "nobody wrote a value for people");
    // Whoever reads them says so.
    let id = all[0]["id"].as_str().unwrap();
    done(&server, &format!("POST clm/notifications/{id}/read")).await;
    done(&server, &format!("POST clm/notifications/{id}/read")).await;
    let read = done(&server, &format!("GET clm/notifications/{id}")).await;
    assert_eq!(read["is_read"], true);
    let unread = ask(&server, "LIST clm/notifications?unread=true").await;
    assert!(!unread.body.to_string().contains(id), "{unread:?}");
    let nobody = uuid::Uuid::nil();
    assert_eq!(ask(&server, &format!("GET clm/notifications/{nobody}")).await.status, 404);
    assert_eq!(ask(&server, &format!("POST clm/notifications/{nobody}/read")).await.status, 404);
    // What people then write is the rotation.
    done(&server, "POST secret/data/prod/told {\"data\":{\"password\":\"new\"}}").await;
    assert_ne!(done(&server, "GET clm/secrets/prod.told/metadata").await["last_rotated_at"], "");
    assert_eq!(done(&server, "GET clm/secrets/prod.quiet/metadata").await["last_rotated_at"], "");
    let mut secure = site.secure.superuser().await.unwrap();
    let rotated: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'secret.rotate' AND result = 'success'",
    )
    .fetch_one(&mut secure)
    .await
    .unwrap();
    assert_eq!(rotated + 1, versions("prod.made").await);
    server.token = token(&server, "path \"clm/notifications\" { capabilities = [\"list\"] }").await;
    assert_eq!(told(&server).await.len(), all.len());
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn people_are_told_once_though_the_server_is_killed_before_it_has_noted_that_they_were() {
    let mut site = Site::ready("").await.unwrap();
    let mut server = started_at(&site).await;
    let never = json!({"rotation_enabled": true, "rotation_schedule": "0 0 1 1 *"});
    describe(&server, "prod.told", never).await;
    let root = server.token.clone();
    drop(server);
    site.variables = vec![("CLM_CRASH_AT", "people-told".into())];
    server = site.serve_for(&root).await.unwrap();
    // Due by the clock of the database, which is what counts: the row is written by the service, the clock asked there.
    describe(&server, "prod.told", json!({"rotation_schedule": "* * * * *"})).await;
    assert_eq!(server.wait().unwrap(), None, "it ended by a signal");
    site.variables.clear();
    drop(server);
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query("UPDATE jobs SET leased_until = now() WHERE leased_until IS NOT NULL")
        .execute(&mut core)
        .await
        .unwrap();
    let due = "SELECT next_rotation_at FROM secrets";
    let mut secure = site.secure.superuser().await.unwrap();
    let due_at: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due).fetch_one(&mut secure).await.unwrap();
    server = site.serve_for(&root).await.unwrap();
    until(PATIENCE, "its row goes on", true, async || {
        let now: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due).fetch_one(&mut secure).await.unwrap();
        now != due_at
    })
    .await;
    describe(&server, "prod.told", json!({"rotation_enabled": false})).await;
    let of_that_time: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM notifications WHERE (notification_data ->> 'due_at')::timestamptz = $1",
    )
    .bind(due_at)
    .fetch_one(&mut core)
    .await
    .unwrap();
    assert_eq!(of_that_time, 1);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

//! People from outside: they log in with names and passwords.
#![expect(clippy::unwrap_used, reason = "tests")]

mod lockout;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    assert_eq!(server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap().status, 204);
    let policy = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"});
    assert_eq!(server.put("sys/policies/acl/p1", policy).await.unwrap().status, 204);
    (site, server)
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("auth/userpass/{path}"), body).await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn login(server: &mut Server, name: &str, password: &str) -> Answer {
    let root = std::mem::take(&mut server.token);
    let answer = post(server, &format!("login/{name}"), json!({"password": password})).await;
    server.token = root;
    answer
}

async fn text_of(site: &Site, statement: &str) -> String {
    let mut superuser = site.core.superuser().await.unwrap();
    let found: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap();
    found.unwrap_or_default()
}

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

const REFUSED: &str = "invalid username or password";

#[tokio::test]
async fn a_person_logs_in_under_a_name_in_any_case() {
    let (site, mut server) = started().await;
    done(&post(&server, "users/bob", json!({"password": "pw", "token_policies": "p1", "token_ttl": "1h"})).await, 204);
    let auth = login(&mut server, "BOB", "pw").await.body["auth"].clone();
    assert_eq!(
        (&auth["policies"], &auth["metadata"], &auth["lease_duration"], &auth["orphan"]),
        (&json!(["default", "p1"]), &json!({"username": "bob"}), &json!(3600), &json!(true))
    );
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let root = std::mem::replace(&mut server.token, token);
    assert_eq!(server.get("sys/mounts").await.unwrap().status, 200);
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().text("display_name"), "userpass-bob");
    server.token = root;
    let hash = text_of(&site, "SELECT password_hash FROM users").await;
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");

    let keys = server.ask(Method::from_bytes(b"LIST").unwrap(), "auth/userpass/users", None).await.unwrap();
    assert_eq!(keys.body["data"]["keys"], json!(["bob"]));
    assert_eq!(server.get("auth/userpass/users/bob").await.unwrap().body["data"]["token_policies"], json!(["p1"]));
    done(&post(&server, "users/bob/password", json!({"password": "new"})).await, 204);
    told(&login(&mut server, "bob", "pw").await, 400, REFUSED);
    done(&post(&server, "users/bob/policies", json!({"token_policies": "p2"})).await, 204);
    assert_eq!(login(&mut server, "bob", "new").await.body["auth"]["policies"], json!(["default", "p2"]));

    told(&login(&mut server, "nobody", "pw").await, 400, REFUSED);
    told(&post(&server, "login/bob", json!({})).await, 400, "missing password");
    told(&post(&server, "users/new", json!({})).await, 400, "must provide either password or password_hash");
    told(&post(&server, "users/nobody/password", json!({"password": "x"})).await, 400, "username does not exist");

    done(&server.ask(Method::DELETE, "auth/userpass/users/bob", None).await.unwrap(), 204);
    done(&server.ask(Method::DELETE, "auth/userpass/users/bob", None).await.unwrap(), 204);
    told(&login(&mut server, "bob", "new").await, 400, REFUSED);
    assert_eq!(text_of(&site, "SELECT concat(status, password_hash) FROM users").await, "inactive");
    done(&post(&server, "users/bob", json!({"password": "again"})).await, 204);
    assert_eq!(login(&mut server, "bob", "again").await.status, 200);
    assert_eq!(text_of(&site, "SELECT count(*)::text FROM users").await, "1", "the same person");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn settings_by_their_old_names_count_and_are_read_back_by_both() {
    let (_site, mut server) = started().await;
    let body = json!({"password": "pw", "policies": "p1", "ttl": "10m", "max_ttl": "1h", "bound_cidrs": "127.0.0.0/8"});
    done(&post(&server, "users/bob", body).await, 204);
    let shown = server.get("auth/userpass/users/bob").await.unwrap().body["data"].clone();
    for (name, value) in [
        ("policies", json!(["p1"])),
        ("ttl", json!(600)),
        ("max_ttl", json!(3600)),
        ("bound_cidrs", json!(["127.0.0.0/8"])),
    ] {
        assert_eq!((&shown[name], &shown[format!("token_{name}")]), (&value, &value), "{name}");
    }
    let given = login(&mut server, "bob", "pw").await;
    assert_eq!(given.body["auth"]["lease_duration"], 600, "{given:?}");
    let token = json!({"token": given.body["auth"]["client_token"]});
    let info = server.put("auth/token/lookup", token.clone()).await.unwrap();
    assert_eq!(info.body["data"]["bound_cidrs"], json!(["127.0.0.0/8"]));
    done(&post(&server, "users/bob", json!({"token_ttl": "20m", "bound_cidrs": "10.1.0.0/16"})).await, 204);
    let shown = server.get("auth/userpass/users/bob").await.unwrap().body["data"].clone();
    assert_eq!((shown.get("ttl"), &shown["token_ttl"], &shown["max_ttl"]), (None, &json!(1200), &json!(3600)));
    told(&login(&mut server, "bob", "pw").await, 403, "permission denied");

    // Who is taken away here has no token renewed.
    done(&server.put("auth/token/renew", token.clone()).await.unwrap(), 200);
    done(&server.ask(Method::DELETE, "auth/userpass/users/bob", None).await.unwrap(), 204);
    told(&server.put("auth/token/renew", token).await.unwrap(), 400, "does not exist during renewal");
}

#[tokio::test]
async fn more_than_five_failures_in_five_minutes_are_told_once_by_name_and_by_address() {
    let (site, mut server) = started().await;
    for _ in 0..8 {
        told(&login(&mut server, "nobody", "pw").await, 400, REFUSED);
    }
    let alerts = "SELECT string_agg(concat_ws(' ', resource_id, event_data ->> 'by', severity), ', ' ORDER BY resource_id) FROM audit_log WHERE event_type = 'login.alert'";
    assert_eq!(text_of(&site, alerts).await, "127.0.0.1 source warning, auth/userpass/login/nobody path warning");
    let metrics = reqwest::Client::new()
        .get(format!("{}/v1/sys/metrics?format=prometheus", server.address()))
        .header("X-Vault-Token", &server.token)
        .send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(metrics.contains("clm_login_alerts_total 2"), "{metrics}");
}

#[tokio::test]
async fn a_password_given_by_sql_opens_nothing() {
    let (site, mut server) = started().await;
    done(&post(&server, "users/bob", json!({"password": "pw", "token_policies": "p1"})).await, 204);
    done(&post(&server, "users/eve", json!({"password": "eves"})).await, 204);
    let stolen = "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE username = 'eve') WHERE username = 'bob'";
    assert_eq!(sql(&site, stolen).await, 1);
    told(&login(&mut server, "bob", "eves").await, 500, "changed behind the service's back");
    let swapped = "UPDATE auth_roles SET config = jsonb_set(config, '{token,policies}', '[\"p1\"]') WHERE name = 'eve'";
    assert_eq!(sql(&site, swapped).await, 1);
    told(&login(&mut server, "eve", "eves").await, 500, "changed behind the service's back");
}

//! AppRole from outside: programs log in, and what ends their SecretIDs.
#![expect(clippy::unwrap_used, reason = "tests")]

mod again;
mod roles;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};
use tests::{Answer, Server, Site, until};

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    assert_eq!(server.put("sys/auth/approle", json!({"type": "approle"})).await.unwrap().status, 204);
    for name in ["p1", "p2"] {
        let policy = "path \"sys/mounts\" { capabilities = [\"read\"] }";
        assert_eq!(
            server.put(&format!("sys/policies/acl/{name}"), json!({"policy": policy})).await.unwrap().status,
            204
        );
    }
    (site, server)
}

fn done(answer: &Answer, status: u16) -> &Answer {
    assert_eq!(answer.status, status, "{answer:?}");
    answer
}

fn told<'a>(answer: &'a Answer, status: u16, text: &str) -> &'a Answer {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
    answer
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("auth/approle/{path}"), body).await.unwrap()
}

async fn role_id(server: &Server, role: &str) -> String {
    server.get(&format!("auth/approle/role/{role}/role-id")).await.unwrap().text("role_id").to_owned()
}

async fn secret_id(server: &Server, role: &str, body: Value) -> (String, String) {
    let made = post(server, &format!("role/{role}/secret-id"), body).await;
    done(&made, 200);
    (made.text("secret_id").to_owned(), made.text("secret_id_accessor").to_owned())
}

/// As somebody who has no token.
async fn login(server: &mut Server, role_id: &str, secret_id: &str) -> Answer {
    let root = std::mem::take(&mut server.token);
    let answer = post(server, "login", json!({"role_id": role_id, "secret_id": secret_id})).await;
    server.token = root;
    answer
}

async fn as_token(server: &mut Server, token: &str, path: &str) -> u16 {
    let root = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.get(path).await.unwrap();
    server.token = root;
    answer.status.as_u16()
}

async fn text_of(site: &Site, statement: &str) -> String {
    let mut superuser = site.core.superuser().await.unwrap();
    let found: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap();
    found.unwrap_or_default()
}

#[tokio::test]
async fn a_program_logs_in_and_its_token_is_as_the_role_says() {
    let (site, mut server) = started().await;
    done(&post(&server, "role/R", json!({})).await, 204);
    let shown = server.get("auth/approle/role/r").await.unwrap();
    assert_eq!(
        shown.body["data"],
        json!({"bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": null, "secret_id_num_uses": 0, "secret_id_ttl": 0,
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 0,
            "token_period": 0, "token_policies": [], "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default"})
    );
    let full = json!({"token_policies": "p1,p2", "token_ttl": "20m", "token_max_ttl": "1h", "secret_id_ttl": "10m", "secret_id_num_uses": 2,
        "token_num_uses": 5, "token_bound_cidrs": "127.0.0.0/8", "secret_id_bound_cidrs": ["127.0.0.0/8"], "role_id": "my-role"});
    done(&post(&server, "role/full", full).await, 204);
    assert_eq!(role_id(&server, "full").await, "my-role");
    let body = json!({"metadata": "{\"a\":\"b\"}", "cidr_list": ["127.0.0.1/32"], "ttl": "5m", "num_uses": 1});
    let (secret, accessor) = secret_id(&server, "full", body).await;
    let seen = post(&server, "role/full/secret-id/lookup", json!({"secret_id": secret})).await;
    let data = &seen.body["data"];
    assert_eq!(
        (
            &data["secret_id_accessor"],
            &data["secret_id_num_uses"],
            &data["secret_id_ttl"],
            &data["metadata"],
            &data["cidr_list"]
        ),
        (&json!(accessor), &json!(1), &json!(300), &json!({"a": "b"}), &json!(["127.0.0.1/32"]))
    );
    let stored = text_of(&site, "SELECT string_agg(s::text, ' ') FROM app_role_secret_ids s").await;
    assert!(!stored.contains(&secret) && stored.contains(&accessor), "a SecretID's text is in the database");

    let auth = login(&mut server, "my-role", &secret).await.body["auth"].clone();
    assert_eq!(auth["policies"], json!(["default", "p1", "p2"]));
    assert_eq!(auth["metadata"], json!({"a": "b", "role_name": "full"}));
    assert_eq!(
        (&auth["lease_duration"], &auth["renewable"], &auth["token_type"], &auth["orphan"], &auth["num_uses"]),
        (&json!(1200), &json!(true), &json!("service"), &json!(true), &json!(5))
    );
    let token = auth["client_token"].as_str().unwrap().to_owned();
    assert_eq!(as_token(&mut server, &token, "sys/mounts").await, 200);
    // Renewed within the role's maximum, whatever is asked.
    let renewed = server.put("auth/token/renew", json!({"token": token, "increment": "9h"})).await.unwrap();
    let lease = renewed.body["auth"]["lease_duration"].as_u64().unwrap();
    assert!((3500..=3600).contains(&lease), "{renewed:?}");
    told(&login(&mut server, "my-role", &secret).await, 400, "invalid role or secret ID");
    assert_eq!(post(&server, "role/full/secret-id/lookup", json!({"secret_id": secret})).await.status, 204);
}

#[tokio::test]
async fn a_wrong_role_and_a_wrong_secret_get_the_same_answer_and_are_counted() {
    let (site, mut server) = started().await;
    done(&post(&server, "role/r", json!({"token_policies": "p1"})).await, 204);
    done(&post(&server, "role/other", json!({})).await, 204);
    let id = role_id(&server, "r").await;
    let (secret, _) = secret_id(&server, "r", json!({})).await;
    let (others, _) = secret_id(&server, "other", json!({})).await;
    let mut bodies = Vec::new();
    for (role, secret) in [("nosuch", secret.as_str()), (&id, "wrong"), (&id, &others), ("nosuch", "wrong")] {
        let answer = login(&mut server, role, secret).await;
        told(&answer, 400, "invalid role or secret ID");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let root = std::mem::take(&mut server.token);
    told(&post(&server, "login", json!({"role_id": id})).await, 400, "missing secret_id");
    told(&post(&server, "login", json!({"secret_id": secret})).await, 400, "missing role_id");
    assert_eq!(server.get("auth/approle/login").await.unwrap().status, 405);
    assert_eq!(server.get("auth/approle/role/r").await.unwrap().status, 403);
    server.token = root;
    assert_eq!(login(&mut server, &id, &secret).await.status, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    let counted = "SELECT sum((event_data ->> 'count')::bigint)::text FROM audit_log WHERE event_type = 'request.unauthenticated' AND resource_id = 'auth/approle/'";
    while text_of(&site, counted).await.parse::<u64>().unwrap_or(0) < 6 {
        assert!(Instant::now() < deadline, "refused logins are not counted: {}", text_of(&site, counted).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn many_logins_at_once_do_not_get_more_out_of_a_limited_secret_id() {
    let (_site, mut server) = started().await;
    done(&post(&server, "role/r", json!({"role_id": "r", "secret_id_num_uses": 3})).await, 204);
    let (secret, accessor) = secret_id(&server, "r", json!({})).await;
    let root = std::mem::take(&mut server.token);
    let body = json!({"role_id": "r", "secret_id": secret});
    let answers = futures_util::future::join_all((0..12).map(|_| post(&server, "login", body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    server.token = root;
    let gone = post(&server, "role/r/secret-id-accessor/lookup", json!({"secret_id_accessor": accessor})).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    assert!(gone.text("error").starts_with("failed to find accessor entry for secret_id_accessor"));
}

#[tokio::test]
async fn secret_ids_end_by_destruction_by_their_role_and_with_their_time() {
    let (site, mut server) = started().await;
    done(&post(&server, "role/r", json!({"role_id": "r"})).await, 204);
    let (first, first_accessor) = secret_id(&server, "r", json!({})).await;
    let (second, second_accessor) = secret_id(&server, "r", json!({})).await;
    let (short, _) = secret_id(&server, "r", json!({"ttl": 1})).await;
    done(&post(&server, "role/r/custom-secret-id", json!({"secret_id": "chosen"})).await, 200);
    told(&post(&server, "role/r/custom-secret-id", json!({"secret_id": "chosen"})).await, 400, "already registered");
    assert_eq!(login(&mut server, "r", "chosen").await.status, 200);

    done(&post(&server, "role/r/secret-id/destroy", json!({"secret_id": first})).await, 204);
    done(&post(&server, "role/r/secret-id/destroy", json!({"secret_id": first})).await, 204);
    told(&login(&mut server, "r", &first).await, 400, "invalid role or secret ID");
    let accessors =
        server.ask(Method::from_bytes(b"LIST").unwrap(), "auth/approle/role/r/secret-id", None).await.unwrap();
    assert!(
        !accessors.body.to_string().contains(&first_accessor) && accessors.body.to_string().contains(&second_accessor)
    );
    let path = format!("auth/approle/role/r/secret-id-accessor/destroy?secret_id_accessor={second_accessor}");
    done(&server.ask(Method::DELETE, &path, None).await.unwrap(), 204);
    told(&login(&mut server, "r", &second).await, 400, "invalid role or secret ID");
    assert_eq!(server.ask(Method::DELETE, &path, None).await.unwrap().status, 404);

    let deadline = Instant::now() + Duration::from_secs(10);
    while login(&mut server, "r", &short).await.status == 200 {
        assert!(Instant::now() < deadline, "it outlives its time");
    }
    done(&post(&server, "tidy/secret-id", json!({})).await, 202);

    done(&server.ask(Method::DELETE, "auth/approle/role/r", None).await.unwrap(), 204);
    told(&login(&mut server, "r", "chosen").await, 400, "invalid role or secret ID");
    assert_eq!(server.get("auth/approle/role/r").await.unwrap().status, 404);
    told(&post(&server, "role/r/secret-id", json!({})).await, 404, "role \"r\" does not exist");
    let accessor = json!({"secret_id_accessor": second_accessor});
    told(&post(&server, "role/r/secret-id-accessor/lookup", accessor).await, 500, "role \"r\" does not exist");
    assert_eq!(text_of(&site, "SELECT count(*)::text FROM app_role_secret_ids").await, "0");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn addresses_and_constraints_are_kept() {
    let (_site, mut server) = started().await;
    let far = json!({"role_id": "far", "secret_id_bound_cidrs": "10.0.0.0/8"});
    done(&post(&server, "role/far", far).await, 204);
    let (secret, _) = secret_id(&server, "far", json!({})).await;
    told(&login(&mut server, "far", &secret).await, 400, "unauthorized by CIDR restrictions");
    told(&post(&server, "role/far/secret-id", json!({"cidr_list": "11.0.0.0/8"})).await, 400, "subset");
    told(
        &post(&server, "role/far/secret-id", json!({"cidr_list": "bad"})).await,
        400,
        "neither an address nor a network",
    );
    told(&post(&server, "role/x", json!({"bind_secret_id": false})).await, 400, "at least one constraint");
    told(&post(&server, "role/x", json!({"role_id": "far"})).await, 400, "role_id already in use");
    told(
        &post(&server, "role/x", json!({"token_ttl": "2h", "token_max_ttl": "1h"})).await,
        400,
        "cannot be greater than",
    );
    told(&post(&server, "role/x", json!({"token_policies": "root"})).await, 400, "cannot create root tokens");

    let open = json!({"role_id": "open", "bind_secret_id": false, "token_bound_cidrs": "127.0.0.1,::1"});
    done(&post(&server, "role/open", open).await, 204);
    let root = std::mem::take(&mut server.token);
    let auth = post(&server, "login", json!({"role_id": "open"})).await;
    server.token = root;
    let token = done(&auth, 200).body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(as_token(&mut server, &token, "auth/token/lookup-self").await, 200);
    assert_eq!(
        server.get("auth/approle/role/open").await.unwrap().body["data"]["token_bound_cidrs"],
        json!(["127.0.0.1", "::1"])
    );

    done(&post(&server, "role/limited", json!({"secret_id_ttl": "10m", "secret_id_num_uses": 2})).await, 204);
    for body in [json!({"ttl": "1h"}), json!({"num_uses": 5}), json!({"num_uses": 0}), json!({"metadata": {"a": "b"}})]
    {
        assert_eq!(post(&server, "role/limited/secret-id", body.clone()).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_role_or_a_secret_id_changed_by_sql_lets_nobody_in() {
    let (site, mut server) = started().await;
    done(&post(&server, "role/r", json!({"role_id": "r", "token_policies": "p1"})).await, 204);
    let (secret, _) = secret_id(&server, "r", json!({"ttl": "1h"})).await;
    assert_eq!(login(&mut server, "r", &secret).await.status, 200);
    let mut superuser = site.core.superuser().await.unwrap();
    for (change, back) in [
        (
            "UPDATE app_role_secret_ids SET expires_at = NULL",
            "UPDATE app_role_secret_ids SET expires_at = created_at + interval '1 hour'",
        ),
        ("UPDATE app_roles SET token_policies = '{p1,p2}'", "UPDATE app_roles SET token_policies = '{p1}'"),
        (
            "UPDATE app_roles SET ttl_seconds = 1, max_ttl_seconds = 999999999",
            "UPDATE app_roles SET ttl_seconds = 0, max_ttl_seconds = 0",
        ),
    ] {
        sqlx::query(AssertSqlSafe(change.to_owned())).execute(&mut superuser).await.unwrap();
        // Until the server has heard of it, it gives what was there before.
        let refused = async || {
            let answer = login(&mut server, "r", &secret).await;
            (answer.status.as_u16(), answer.error().contains("changed behind the service's back"))
        };
        until(Duration::from_secs(10), change, (500, true), refused).await;
        sqlx::query(AssertSqlSafe(back.to_owned())).execute(&mut superuser).await.unwrap();
        for _ in 0..2 {
            assert_eq!(login(&mut server, "r", &secret).await.status, 200, "{back}");
        }
    }
}

#[tokio::test]
async fn a_disabled_method_takes_its_tokens_roles_and_secret_ids_along() {
    let (site, mut server) = started().await;
    done(
        &server
            .put(
                "sys/auth/second",
                json!({"type": "approle", "config": {"default_lease_ttl": "7m", "token_type": "default-batch"}}),
            )
            .await
            .unwrap(),
        204,
    );
    let shown = server.get("sys/auth/second").await.unwrap();
    assert_eq!((shown.text("type"), &shown.body["config"]["token_type"]), ("approle", &json!("default-batch")));
    assert!(shown.text("accessor").starts_with("auth_approle_"));
    done(&server.put("auth/second/role/b", json!({"role_id": "b"})).await.unwrap(), 204);
    let made = server.put("auth/second/role/b/secret-id", json!({})).await.unwrap();
    let root = std::mem::take(&mut server.token);
    let batch =
        server.put("auth/second/login", json!({"role_id": "b", "secret_id": made.text("secret_id")})).await.unwrap();
    server.token = root;
    let auth = &done(&batch, 200).body["auth"];
    assert_eq!(
        (&auth["token_type"], &auth["lease_duration"], &auth["accessor"]),
        (&json!("batch"), &json!(420), &json!(""))
    );
    done(
        &server.put("sys/auth/second/tune", json!({"default_lease_ttl": "9m", "token_type": "service"})).await.unwrap(),
        204,
    );
    let tuned = server.get("sys/auth/second/tune").await.unwrap();
    assert_eq!((&tuned.body["default_lease_ttl"], &tuned.body["token_type"]), (&json!(540), &json!("service")));
    assert_eq!(server.get("sys/mounts/auth/second/tune").await.unwrap().body["data"], tuned.body["data"]);

    done(&post(&server, "role/r", json!({"role_id": "r", "token_policies": "p1"})).await, 204);
    let (secret, _) = secret_id(&server, "r", json!({})).await;
    let token = login(&mut server, "r", &secret).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(as_token(&mut server, &token, "sys/mounts").await, 200);
    done(&server.ask(Method::DELETE, "sys/auth/approle", None).await.unwrap(), 204);
    done(&server.ask(Method::DELETE, "sys/auth/approle", None).await.unwrap(), 204);
    assert_eq!(as_token(&mut server, &token, "sys/mounts").await, 403);
    assert_eq!(login(&mut server, "r", &secret).await.status, 403, "an unknown path is not told from a forbidden one");
    let left = "SELECT concat((SELECT count(*) FROM app_roles), (SELECT count(*) FROM app_role_secret_ids))";
    assert_eq!(text_of(&site, left).await, "11", "the other method keeps its own");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));

    for (path, body, told_text) in [
        ("sys/auth/x", json!({"type": "nosuch"}), "plugin not found in the catalog: nosuch"),
        ("sys/auth/x", json!({}), "backend type must be specified as a string"),
        ("sys/auth/token", json!({"type": "approle"}), "path is already in use at token/"),
        ("sys/auth/second/below", json!({"type": "approle"}), "path is already in use at second/"),
        ("sys/auth/second/tune", json!({"token_type": "weird"}), "token_type"),
    ] {
        told(&server.put(path, body).await.unwrap(), 400, told_text);
    }
    told(&server.get("sys/auth/nosuch").await.unwrap(), 400, "No auth engine at nosuch/");
    assert_eq!(server.ask(Method::DELETE, "sys/auth/token", None).await.unwrap().status, 400);
    done(&server.put("sys/remount", json!({"from": "auth/second", "to": "auth/third"})).await.unwrap(), 200);
    assert_eq!(server.get("auth/third/role/b/role-id").await.unwrap().text("role_id"), "b");
}

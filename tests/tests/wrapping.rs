//! Answers in wrapping tokens, and what tokens keep for themselves.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

fn list() -> Method {
    Method::from_bytes(b"LIST").unwrap()
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

const INVALID: &str = "wrapping token is not valid or does not exist";

async fn wrapped(server: &mut Server, method: Method, path: &str, body: Value, ttl: &str) -> Answer {
    ttl.clone_into(&mut server.wrap_ttl);
    let answer = server.ask(method, path, Some(body.to_string().into())).await.unwrap();
    server.wrap_ttl.clear();
    answer
}

/// A request with another token than the server's own; empty: none.
async fn by(server: &mut Server, token: &str, method: Method, path: &str, body: &str) -> Answer {
    let root = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.ask(method, path, Some(body.into())).await.unwrap();
    server.token = root;
    answer
}

fn wrapping_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["wrap_info"]["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn token(server: &Server, body: Value) -> String {
    let made = server.put("auth/token/create", body).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().to_owned()
}

async fn count(site: &Site, statement: &str) -> i64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test]
async fn an_answer_is_wrapped_looked_at_and_taken_out_once() {
    let (site, mut server) = started().await;
    let plain = server.get("sys/policies/acl/default").await.unwrap();
    let answer = wrapped(&mut server, Method::GET, "sys/policies/acl/default", json!({}), "1m0s").await;
    let info = answer.body["wrap_info"].clone();
    assert_eq!(
        (&answer.body["request_id"], &answer.body["data"], &answer.body["auth"], &answer.body["warnings"]),
        (&json!(""), &Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(60), &json!("sys/policies/acl/default")));
    assert_eq!(info.get("wrapped_accessor"), None);
    let w = wrapping_token(&answer);

    for _ in 0..2 {
        let seen = by(&mut server, "", Method::PUT, "sys/wrapping/lookup", &json!({"token": w}).to_string()).await;
        assert_eq!(
            (
                &seen.body["data"]["creation_path"],
                &seen.body["data"]["creation_ttl"],
                &seen.body["data"]["creation_time"]
            ),
            (&info["creation_path"], &json!(60), &info["creation_time"])
        );
        assert_eq!(by(&mut server, &w, Method::GET, "sys/wrapping/lookup", "").await.body["data"], seen.body["data"]);
    }
    // Nobody, and somebody who may not: neither takes it out, nor spends it.
    let body = json!({"token": w}).to_string();
    told(&by(&mut server, "", Method::PUT, "sys/wrapping/unwrap", &body).await, 403, "permission denied");
    let bare = token(&server, json!({"policies": ["nothing"], "no_default_policy": true})).await;
    told(&by(&mut server, &bare, Method::PUT, "sys/wrapping/unwrap", &body).await, 403, "permission denied");

    let taken = by(&mut server, &w, Method::PUT, "sys/wrapping/unwrap", "").await;
    assert_eq!((taken.status.as_u16(), &taken.body["data"]), (200, &plain.body["data"]), "{taken:?}");
    assert!(!taken.body["request_id"].as_str().unwrap().is_empty());
    for again in [
        by(&mut server, &w, Method::PUT, "sys/wrapping/unwrap", "").await,
        server.put("sys/wrapping/unwrap", json!({"token": w})).await.unwrap(),
    ] {
        told(&again, 400, INVALID);
    }
    told(&server.put("sys/wrapping/lookup", json!({"token": w})).await.unwrap(), 400, INVALID);
    told(&by(&mut server, "", Method::PUT, "sys/wrapping/unwrap", "{}").await, 403, "permission denied");
    told(&by(&mut server, &bare, Method::PUT, "sys/wrapping/unwrap", "{}").await, 400, INVALID);
    assert_eq!(count(&site, "SELECT count(*) FROM cubbyhole_entries").await, 0);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn of_many_who_unwrap_at_once_one_is_given_the_answer() {
    let (_site, mut server) = started().await;
    let w = wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"a": 1}), "60").await);
    let body = json!({"token": w});
    let answers =
        futures_util::future::join_all((0..12).map(|_| server.put("sys/wrapping/unwrap", body.clone()))).await;
    let given: Vec<_> = answers.iter().flatten().filter(|answer| answer.status == 200).collect();
    assert_eq!(given.len(), 1, "{answers:?}");
    assert_eq!(given[0].body["data"], json!({"a": 1}));
}

#[tokio::test]
async fn what_is_wrapped_is_in_no_database_in_the_clear_and_no_row_can_be_moved_to_another_token() {
    let (site, mut server) = started().await;
    let secret = "correct-horse-battery-staple";
    let first =
        wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"s": secret}), "60").await);
    let second =
        wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"s": "other"}), "60").await);
    let mut superuser = site.secure.superuser().await.unwrap();
    let rows: String = sqlx::query_scalar(
        "SELECT string_agg(e::text || encode(encrypted_data, 'escape'), ' ') FROM cubbyhole_entries e",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert!(!rows.contains(secret));
    // The first answer under the second token, by SQL.
    let swap = "UPDATE cubbyhole_entries e SET encrypted_data = o.encrypted_data FROM cubbyhole_entries o WHERE o.id <> e.id AND e.created_at > o.created_at";
    assert_eq!(sqlx::query(swap).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    told(
        &by(&mut server, &second, Method::PUT, "sys/wrapping/unwrap", "").await,
        500,
        "changed behind the service's back",
    );
    assert_eq!(
        by(&mut server, &first, Method::PUT, "sys/wrapping/unwrap", "").await.body["data"],
        json!({"s": secret})
    );
    let large = "x".repeat(3 << 20);
    let w = wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"s": large}), "60").await);
    assert_eq!(by(&mut server, &w, Method::PUT, "sys/wrapping/unwrap", "").await.body["data"]["s"], json!(large));
}

#[tokio::test]
async fn answers_that_say_nothing_are_not_wrapped_and_bad_times_are_refused() {
    let (_site, mut server) = started().await;
    let policy = json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    assert_eq!(wrapped(&mut server, Method::PUT, "sys/policies/acl/a", policy, "60").await.status, 204);
    assert_eq!(wrapped(&mut server, Method::GET, "sys/policies/acl/absent", json!({}), "60").await.status, 404);
    assert_eq!(wrapped(&mut server, Method::GET, "sys/health", json!({}), "60").await.body["sealed"], false);
    let unwrapped = wrapped(&mut server, Method::GET, "sys/policies/acl/a", json!({}), "0").await;
    assert_eq!(unwrapped.text("name"), "a");
    for ttl in ["-1", "abc"] {
        told(
            &wrapped(&mut server, Method::GET, "sys/policies/acl/a", json!({}), ttl).await,
            400,
            "error parsing X-Vault-Wrap-TTL header",
        );
    }
    told(
        &server.put("sys/wrapping/wrap", json!({"a": 1})).await.unwrap(),
        400,
        "endpoint requires response wrapping to be used",
    );
    let listed = wrapped(&mut server, list(), "sys/policies/acl", json!({}), "60").await;
    assert_eq!(listed.body["wrap_info"]["creation_path"], "sys/policies/acl/");
    told(
        &server
            .put("sys/policies/acl/response-wrapping", json!({"policy": "path \"*\" { capabilities = [\"read\"] }"}))
            .await
            .unwrap(),
        400,
        "cannot update",
    );

    // A policy may ask for it.
    let bounded = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] min_wrapping_ttl = \"10s\" max_wrapping_ttl = \"90s\" }"});
    assert_eq!(server.put("sys/policies/acl/bounded", bounded).await.unwrap().status, 204);
    let bounded = token(&server, json!({"policies": ["bounded"]})).await;
    let root = std::mem::replace(&mut server.token, bounded);
    for (ttl, status) in [("", 403), ("5", 403), ("10", 200), ("90", 200), ("2m", 403)] {
        assert_eq!(wrapped(&mut server, Method::GET, "sys/mounts", json!({}), ttl).await.status, status, "{ttl:?}");
    }
    server.token = root;
}

#[tokio::test]
async fn a_wrapped_token_is_given_by_its_accessor_and_a_rewrapped_one_lives_on_in_another() {
    let (_site, mut server) = started().await;
    let made = wrapped(&mut server, Method::PUT, "auth/token/create", json!({"policies": ["default"]}), "5m").await;
    let accessor = made.body["wrap_info"]["wrapped_accessor"].as_str().unwrap().to_owned();
    let old = wrapping_token(&made);
    let again = server.put("sys/wrapping/rewrap", json!({"token": old})).await.unwrap();
    assert_eq!(
        (&again.body["wrap_info"]["creation_path"], &again.body["wrap_info"]["ttl"]),
        (&json!("auth/token/create"), &json!(300))
    );
    told(&server.put("sys/wrapping/unwrap", json!({"token": old})).await.unwrap(), 400, INVALID);
    // The inner token can be ended before anybody has it.
    assert_eq!(server.put("auth/token/revoke-accessor", json!({"accessor": accessor})).await.unwrap().status, 204);
    let new = wrapping_token(&again);
    let taken = by(&mut server, &new, Method::PUT, "sys/wrapping/unwrap", "").await;
    assert_eq!(taken.body["auth"]["accessor"], json!(accessor));
    let inner = taken.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(by(&mut server, &inner, Method::GET, "auth/token/lookup-self", "").await.status, 403);

    // Good for nothing else, and a try spends it.
    let spent = wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({}), "60").await);
    told(&by(&mut server, &spent, Method::GET, "auth/token/lookup-self", "").await, 403, "permission denied");
    told(&by(&mut server, &spent, Method::PUT, "sys/wrapping/unwrap", "").await, 400, INVALID);
    // As clients of old take it out.
    let w = wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"a": 1}), "60").await);
    let read = by(&mut server, &w, Method::GET, "cubbyhole/response", "").await;
    let inside: Value = serde_json::from_str(read.text("response")).unwrap();
    assert_eq!(inside["data"], json!({"a": 1}));
    assert_eq!(by(&mut server, &w, Method::GET, "cubbyhole/response", "").await.status, 403);
}

#[tokio::test]
async fn a_wrapping_token_ends_with_its_time_and_its_content_with_it() {
    let (site, mut server) = started().await;
    let w = wrapping_token(&wrapped(&mut server, Method::PUT, "sys/wrapping/wrap", json!({"a": 1}), "1").await);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.put("sys/wrapping/lookup", json!({"token": w})).await.unwrap().status == 200 {
        assert!(Instant::now() < deadline, "it outlives its time");
    }
    told(&by(&mut server, &w, Method::PUT, "sys/wrapping/unwrap", "").await, 400, INVALID);
    until_nothing_is_kept(&site).await;
}

async fn until_nothing_is_kept(site: &Site) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while count(site, "SELECT count(*) FROM cubbyhole_entries").await > 0 {
        assert!(Instant::now() < deadline, "something stays");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_token_keeps_things_for_itself() {
    let (site, mut server) = started().await;
    let mine = token(&server, json!({"policies": ["default"], "ttl": "1h"})).await;
    let other = token(&server, json!({"policies": ["default"], "ttl": "1h"})).await;
    for (path, body) in [
        ("cubbyhole/foo", json!({"a": 1, "path": "kept"})),
        ("cubbyhole/dir/x", json!({"b": [true]})),
        ("cubbyhole/dir/y", json!({"c": null})),
    ] {
        assert_eq!(by(&mut server, &mine, Method::PUT, path, &body.to_string()).await.status, 204);
        let read = by(&mut server, &mine, Method::GET, path, "").await;
        assert_eq!((&read.body["data"], &read.body["lease_duration"]), (&body, &json!(0)));
        assert_eq!(by(&mut server, &other, Method::GET, path, "").await.status, 404);
    }
    assert_eq!(by(&mut server, &mine, list(), "cubbyhole", "").await.body["data"]["keys"], json!(["dir/", "foo"]));
    assert_eq!(by(&mut server, &mine, list(), "cubbyhole/dir", "").await.body["data"]["keys"], json!(["x", "y"]));
    assert_eq!(by(&mut server, &other, list(), "cubbyhole", "").await.status, 404);
    assert_eq!(by(&mut server, &mine, Method::PUT, "cubbyhole/foo", "{\"a\":2}").await.status, 204);
    assert_eq!(by(&mut server, &mine, Method::GET, "cubbyhole/foo", "").await.body["data"], json!({"a": 2}));
    told(&by(&mut server, &mine, Method::PUT, "cubbyhole/foo", "").await, 400, "missing data fields");
    assert_eq!(by(&mut server, &mine, Method::DELETE, "cubbyhole/foo", "").await.status, 204);
    assert_eq!(by(&mut server, &mine, Method::GET, "cubbyhole/foo", "").await.status, 404);
    let batch = token(&server, json!({"policies": ["default"], "type": "batch", "ttl": "1h"})).await;
    told(&by(&mut server, &batch, Method::PUT, "cubbyhole/foo", "{\"a\":1}").await, 400, "only supported by");

    // Gone with its token, as far as it is not so young that the token might only be about to be written.
    assert_eq!(server.put("auth/token/revoke", json!({"token": mine})).await.unwrap().status, 204);
    let mut superuser = site.secure.superuser().await.unwrap();
    let older = "UPDATE cubbyhole_entries SET created_at = created_at - interval '10 minutes'";
    assert_eq!(sqlx::query(older).execute(&mut superuser).await.unwrap().rows_affected(), 2);
    until_nothing_is_kept(&site).await;
}

/// What the agent asks, and what it needs of each answer: AppRole with a wrapped SecretID.
#[tokio::test]
async fn the_agents_first_steps_are_answered_as_it_needs() {
    let (_site, mut server) = started().await;
    assert_eq!(server.put("sys/auth/approle", json!({"type": "approle"})).await.unwrap().status, 204);
    assert_eq!(server.put("auth/approle/role/app", json!({"token_ttl": "20m"})).await.unwrap().status, 204);
    let role_id = server.get("auth/approle/role/app/role-id").await.unwrap().text("role_id").to_owned();
    "60".clone_into(&mut server.wrap_ttl);
    let made = server.ask(Method::PUT, "auth/approle/role/app/secret-id", None).await.unwrap();
    server.wrap_ttl.clear();
    let w = wrapping_token(&made);
    assert!(made.body["wrap_info"]["wrapped_accessor"].is_string());

    let health = "sys/health?standbycode=299&sealedcode=299&uninitcode=299&drsecondarycode=299&performancestandbycode=299&removedcode=299&haunhealhty=299";
    assert_eq!(by(&mut server, "", Method::GET, health, "").await.status, 200);
    let seen = by(&mut server, &w, Method::GET, "sys/wrapping/lookup", "").await;
    assert_eq!(seen.text("creation_path"), "auth/approle/role/app/secret-id");
    let taken = by(&mut server, &w, Method::PUT, "sys/wrapping/unwrap", "").await;
    let secret_id = taken.text("secret_id").to_owned();
    let body = json!({"role_id": role_id, "secret_id": secret_id}).to_string();
    let auth = by(&mut server, "", Method::PUT, "auth/approle/login", &body).await.body["auth"].clone();
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(1200), &json!(true)));
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let renewed = by(&mut server, &token, Method::PUT, "auth/token/renew-self", "{\"increment\":0}").await;
    assert_eq!(
        (&renewed.body["auth"]["lease_duration"], &renewed.body["auth"]["renewable"]),
        (&json!(1200), &json!(true))
    );
    // A login's own answer can be wrapped as well.
    let secret_id =
        server.put("auth/approle/role/app/secret-id", json!({})).await.unwrap().text("secret_id").to_owned();
    let root = std::mem::take(&mut server.token);
    let login = wrapped(
        &mut server,
        Method::PUT,
        "auth/approle/login",
        json!({"role_id": role_id, "secret_id": secret_id}),
        "60",
    )
    .await;
    server.token = root;
    let inside = by(&mut server, &wrapping_token(&login), Method::PUT, "sys/wrapping/unwrap", "").await;
    assert_eq!(inside.body["auth"]["metadata"]["role_name"], "app");
    assert_eq!(login.body["wrap_info"]["wrapped_accessor"], inside.body["auth"]["accessor"]);
}

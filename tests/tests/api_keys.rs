//! API keys from outside.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    done(&server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap(), 204);
    done(&server.put("sys/auth/api-key", json!({"type": "api-key"})).await.unwrap(), 204);
    done(&server.put("auth/userpass/users/bob", json!({"password": "pw"})).await.unwrap(), 204);
    (site, server)
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

async fn create(server: &Server, body: Value) -> Answer {
    server.put("auth/api-key/keys", body).await.unwrap()
}

async fn login(server: &Server, key: &str) -> Answer {
    server.put("auth/api-key/login", json!({"api_key": key})).await.unwrap()
}

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

#[tokio::test]
async fn a_key_is_shown_once_acts_for_its_person_and_ends_when_it_is_revoked() {
    let (site, mut server) = started().await;
    let made = create(&server, json!({"username": "bob", "key_name": "ci", "scopes": "p1", "ttl": "1h"})).await;
    done(&made, 200);
    let (key, id) = (made.text("api_key").to_owned(), made.text("id").to_owned());
    let (prefix, secret) = key.split_once('.').unwrap();
    assert_eq!((prefix, prefix.len(), secret.len()), (made.text("key_prefix"), 8, 40));

    let answer = login(&server, &key).await;
    done(&answer, 200);
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "p1"]));
    assert_eq!(auth["metadata"], json!({"key_name": "ci", "key_prefix": prefix, "username": "bob"}));
    let lasts = auth["lease_duration"].as_u64().unwrap();
    assert!((3500..=3600).contains(&lasts), "no token outlives its key: {lasts}");
    let person = server.put("auth/userpass/login/bob", json!({"password": "pw"})).await.unwrap();
    assert_eq!(person.body["auth"]["entity_id"], auth["entity_id"], "the same person");

    let read = server.get(&format!("auth/api-key/keys/{id}")).await.unwrap();
    assert_eq!(
        (&read.body["data"]["usage_count"], &read.body["data"]["last_used_ip"]),
        (&json!(1), &json!("127.0.0.1"))
    );
    assert!(!read.body.to_string().contains(secret));
    let listed = server.ask(Method::from_bytes(b"LIST").unwrap(), "auth/api-key/keys", None).await.unwrap();
    assert_eq!((&listed.body["data"]["keys"], listed.body.to_string().contains(secret)), (&json!([id]), false));
    let mut superuser = site.core.superuser().await.unwrap();
    let rows: String = sqlx::query_scalar("SELECT jsonb_agg(to_jsonb(k))::text FROM api_keys k")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert!(!rows.contains(secret), "{rows}");

    let path = format!("auth/api-key/keys/{id}");
    // What it gave ends with it, and what was made of that; what another key gave does not.
    let given = auth["client_token"].as_str().unwrap();
    let of_other = create(&server, json!({"username": "bob", "scopes": "p1"})).await.text("api_key").to_owned();
    let other = login(&server, &of_other).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    let own_policy = json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"});
    done(&server.put("sys/policies/acl/p1", own_policy).await.unwrap(), 204);
    let root = std::mem::replace(&mut server.token, given.to_owned());
    let child = server.put("auth/token/create", json!({})).await.unwrap();
    let child = child.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.token = root;
    for _ in 0..2 {
        done(&server.ask(Method::DELETE, &path, None).await.unwrap(), 204);
    }
    told(&login(&server, &key).await, 400, "invalid API key");
    for (token, status) in [(given, 403), (child.as_str(), 403), (other.as_str(), 200)] {
        let root = std::mem::replace(&mut server.token, token.to_owned());
        done(&server.get("auth/token/lookup-self").await.unwrap(), status);
        server.token = root;
    }
    assert_eq!(server.get(&path).await.unwrap().body["data"]["is_active"], false);
    // Which person revoked one stays with it.
    let ends = json!({"policy": "path \"auth/api-key/keys/*\" { capabilities = [\"delete\"] }"});
    done(&server.put("sys/policies/acl/ends", ends).await.unwrap(), 204);
    done(&server.put("auth/userpass/users/bob", json!({"token_policies": "ends"})).await.unwrap(), 204);
    let third = create(&server, json!({"username": "bob", "scopes": "p1"})).await;
    let third = format!("auth/api-key/keys/{}", third.text("id"));
    let bob = server.put("auth/userpass/login/bob", json!({"password": "pw"})).await.unwrap();
    let root = std::mem::replace(&mut server.token, bob.body["auth"]["client_token"].as_str().unwrap().to_owned());
    done(&server.ask(Method::DELETE, &third, None).await.unwrap(), 204);
    server.token = root;
    let read = server.get(&third).await.unwrap().body["data"].clone();
    assert!(read["revoked_at"].is_string() && read["revoked_by_user_id"] == read["user_id"], "{read}");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn what_is_no_good_key_opens_nothing() {
    let (site, server) = started().await;
    for (wrong, why) in [
        (json!({"username": "nobody", "scopes": "p1"}), "no person is called"),
        (json!({"username": "bob"}), "scopes name the policies"),
        (json!({"username": "bob", "scopes": "root"}), "never root"),
    ] {
        told(&create(&server, wrong).await, 400, why);
    }
    let made = create(&server, json!({"username": "bob", "scopes": "p1"})).await;
    let key = made.text("api_key").to_owned();
    let mut other = key.clone();
    let last = if other.pop() == Some('a') { 'b' } else { 'a' };
    other.push(last);
    for wrong in [other.as_str(), "a.b", ".", &"x".repeat(1000)] {
        told(&login(&server, wrong).await, 400, "invalid API key");
    }
    told(&server.put("auth/api-key/login", json!({})).await.unwrap(), 400, "missing api_key");
    // Of another mount it is none.
    done(&server.put("sys/auth/other", json!({"type": "api-key"})).await.unwrap(), 204);
    told(&server.put("auth/other/login", json!({"api_key": key})).await.unwrap(), 400, "invalid API key");
    done(&login(&server, &key).await, 200);
    let past = "UPDATE api_keys SET expires_at = now() - interval '1 second'";
    for (statement, back) in [
        (past, "UPDATE api_keys SET expires_at = NULL"),
        ("UPDATE api_keys SET scopes = '{mighty}'", "UPDATE api_keys SET scopes = '{p1}'"),
    ] {
        assert_eq!(sql(&site, statement).await, 1);
        told(&login(&server, &key).await, 500, "changed behind the service's back");
        assert_eq!(sql(&site, back).await, 1);
    }
    let short = create(&server, json!({"username": "bob", "scopes": "p1", "ttl": 1})).await.text("api_key").to_owned();
    tests::until(std::time::Duration::from_secs(10), "the key ends", 400, async || {
        login(&server, &short).await.status.as_u16()
    })
    .await;
    // Whoever may not log in has no key, either.
    done(&server.ask(Method::DELETE, "auth/userpass/users/bob", None).await.unwrap(), 204);
    told(&login(&server, &key).await, 400, "invalid API key");
    done(&server.ask(Method::DELETE, "sys/auth/api-key", None).await.unwrap(), 204);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

//! Organizations as namespaces: how requests come into one, what is done inside, what stays outside, and how much one may have.
#![expect(clippy::unwrap_used, reason = "tests")]

mod above;
mod entered;
mod inside;
mod locked;
mod made;
mod quotas;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

/// A policy that allows all that its namespace has.
const EVERYTHING: &str =
    r#"path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo"] }"#;

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

/// Does it, and must succeed.
async fn done(server: &Server, path: &str, body: Value) -> Answer {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

async fn refused(server: &Server, path: &str, body: Value, status: u16, says: &str) {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status == status && answer.error().contains(says), "{path}: {answer:?}");
}

async fn list(server: &Server, path: &str) -> Answer {
    server.ask(Method::from_bytes(b"LIST").unwrap(), path, None).await.unwrap()
}

/// A namespace with `transit/` and a key `k`, and the token of its administrator, who has logged in with a password.
async fn namespace(server: &mut Server, code: &str) -> String {
    done(server, &format!("sys/namespaces/{code}"), json!({})).await;
    let (_, root) = server.enter(code, &server.token.clone());
    done(server, "sys/policies/acl/admin", json!({"policy": EVERYTHING})).await;
    done(server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    let person = json!({"password": "a good one", "token_policies": "admin"});
    done(server, &format!("auth/userpass/users/admin-of-{code}"), person).await;
    server.token.clear();
    let login = format!("auth/userpass/login/admin-of-{code}");
    let login = done(server, &login, json!({"password": "a good one"})).await;
    let token = login.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.enter(code, &token);
    done(server, "sys/mounts/transit", json!({"type": "transit"})).await;
    done(server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    server.enter("", &root);
    token
}

/// A signature by `transit/keys/k` of where the next request acts.
async fn sign(server: &Server) -> Answer {
    server.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap()
}

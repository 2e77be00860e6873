//! Secrets, from outside.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod access_policies;
mod clients;
mod gone;
mod killed;
mod model;
mod named;
mod property;
mod races;
mod reference;
mod renewed;
mod rotated;
mod single;
mod spent;
mod tampered;
mod wrapped;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

/// With `secret/`, which keeps versions, and `kv/`, which does not.
async fn started() -> (Site, Server) {
    let site = Site::ready("").await.unwrap();
    let server = started_at(&site).await;
    (site, server)
}

async fn started_at(site: &Site) -> Server {
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    for (path, kind) in [("sys/mounts/secret", "kv-v2"), ("sys/mounts/kv", "kv-v1")] {
        assert_eq!(server.put(path, json!({"type": kind})).await.unwrap().status, 204);
    }
    server
}

/// `POST path {body}`; the body may be left out.
async fn ask(server: &Server, line: &str) -> Answer {
    let mut parts = line.splitn(3, ' ');
    let method = Method::from_bytes(parts.next().unwrap().as_bytes()).unwrap();
    let path = parts.next().unwrap();
    server.ask(method, path, parts.next().map(|body| body.as_bytes().to_vec())).await.unwrap()
}

/// A call that must succeed; its data.
async fn done(server: &Server, line: &str) -> Value {
    let answer = ask(server, line).await;
    assert!(answer.status.is_success(), "{line}: {answer:?}");
    answer.body["data"].clone()
}

/// A token with these policies alone.
async fn token(server: &Server, policy: &str) -> String {
    let written = server.put("sys/policies/acl/p", json!({"policy": policy})).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
    let made = server.put("auth/token/create", json!({"policies": ["p"], "no_default_policy": true})).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().to_owned()
}

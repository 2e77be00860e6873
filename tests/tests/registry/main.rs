//! What is kept by code below `clm/`: organizations that are suspended, deleted and forged; what is deleted softly and comes back whole; fields that
//! name what is not there.
#![expect(clippy::unwrap_used, reason = "tests")]

mod deleted;
mod organizations;
mod references;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

/// Does it, and must succeed.
async fn done(server: &Server, path: &str, body: Value) -> Answer {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

async fn delete(server: &Server, path: &str) {
    let answer = server.ask(Method::DELETE, path, None).await.unwrap();
    assert_eq!(answer.status, 204, "{path}: {answer:?}");
}

/// What a list has; of nothing it is 404.
async fn list(server: &Server, path: &str) -> Vec<String> {
    let answer = server.ask(Method::from_bytes(b"LIST").unwrap(), path, None).await.unwrap();
    assert!(answer.status == 200 || answer.status == 404, "{path}: {answer:?}");
    let keys = answer.body["data"]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// An organization, and a root token of it.
async fn organization(server: &Server, code: &str) -> (String, String) {
    done(server, &format!("clm/organizations/{code}"), json!({})).await;
    let id = server.get(&format!("clm/organizations/{code}")).await.unwrap().text("id").to_owned();
    let token = done(server, &format!("clm/organization-tokens/{code}"), json!({})).await;
    (id, token.text("token").to_owned())
}

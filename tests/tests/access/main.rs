//! Who may do what, and the record of it: which policy decided, why, roles of people and their second factor.
#![expect(clippy::unwrap_used, reason = "tests")]

mod clients;
mod cluster;
mod explained;
mod offered;
mod roles;
mod small;
mod told;
mod totp;
mod tuned;

use serde_json::{Value, json};
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

async fn policy(server: &Server, name: &str, text: &str) {
    let written = server.put(&format!("sys/policies/acl/{name}"), json!({ "policy": text })).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
}

/// A token with these policies and no other; its text and its accessor.
async fn token(server: &Server, policies: &[&str]) -> (String, String) {
    let made = server.put("auth/token/create", json!({"policies": policies, "no_default_policy": true})).await.unwrap();
    let text = |field: &str| made.body["auth"][field].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

/// As somebody else.
async fn by(server: &mut Server, token: &str, path: &str, body: Value) -> Answer {
    let own = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.put(path, body).await.unwrap();
    server.token = own;
    answer
}

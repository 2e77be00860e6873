//! Every route of the API, from the table that the server itself is made of: refused without a token, refused without the capability,
//! recorded once when it succeeds, and with its secrets made in the token.
#![expect(clippy::unwrap_used, reason = "tests")]

mod evidence;
mod kinds;
mod outside;
mod permissions;
mod recorded;
mod refused;
mod table;

use table::{Row, TABLE};
use tests::{Server, Site};

#[test]
fn the_table_names_every_route_and_no_other() {
    let mut offered: Vec<&str> = api::http::routes().map(|route| route.operation_id).collect();
    let mut known: Vec<&str> = TABLE.iter().map(|row| row.id).collect();
    offered.sort_unstable();
    known.sort_unstable();
    assert_eq!(offered, known, "say in tests/routes/table/ how the new route is called and what it records");
    for route in api::http::routes() {
        let row = TABLE.iter().find(|row| row.id == route.operation_id).unwrap();
        assert_eq!(route.audited, row.event.is_some(), "{}: is it audited?", row.id);
        assert_eq!(route.unauthenticated, row.open, "{}: a route that asks for no token must be reviewed", row.id);
    }
}

/// A route with what its row says of it: method and path below `/v1/`.
struct Request {
    row: &'static Row,
    method: reqwest::Method,
    path: String,
}

fn requests() -> Vec<Request> {
    TABLE
        .iter()
        .map(|row| {
            let (method, path) = called(row, row.name);
            Request { row, method, path }
        })
        .collect()
}

/// How a row is called for something of that name.
fn called(row: &Row, name: &str) -> (reqwest::Method, String) {
    let route = api::http::routes().find(|route| route.operation_id == row.id).unwrap();
    let mut path = route.path.strip_prefix("/v1/").unwrap().replace("{urlalgorithm}", "sha2-256");
    let words = [
        ("{plaintext}", "plaintext"),
        ("{destination}", "recipient"),
        ("{into}", "shared"),
        ("{plugin_type}", "secret"),
        ("{type}", "public-key"),
        ("{version}", "latest"),
        ("{property}", "token-ttl"),
        ("{source}", "platform"),
        ("{urlbytes}", "8"),
        ("{url_mac_length}", "8"),
        ("{username}", "ann"),
    ];
    for (capture, word) in words {
        path = path.replace(capture, word);
    }
    for capture in
        ["{name}", "{+name}", "{+path}", "{+prefix}", "{+url_lease_id}", "{id}", "{alias}", "{kind}", "{role}"]
    {
        path = path.replace(capture, name);
    }
    assert!(!path.contains('{'), "{path}");
    if route.method == "LIST" {
        path = path.trim_end_matches('/').to_owned();
    }
    if row.body.starts_with('?') {
        path.push_str(row.body);
    }
    (reqwest::Method::from_bytes(route.method.as_bytes()).unwrap(), path)
}

/// What is there beside `transit/`.
const MOUNTS: [(&str, &str); 8] = [
    ("sys/auth/api-key", "api-key"),
    ("sys/auth/approle", "approle"),
    ("sys/auth/cert", "cert"),
    ("sys/auth/jwt", "jwt"),
    ("sys/auth/kubernetes", "kubernetes"),
    ("sys/auth/userpass", "userpass"),
    ("sys/mounts/kv", "kv-v1"),
    ("sys/mounts/secret", "kv-v2"),
];

async fn started() -> (Site, Server) {
    let (site, server) = Site::started("").await.unwrap();
    for (path, kind) in MOUNTS {
        assert_eq!(server.put(path, serde_json::json!({"type": kind})).await.unwrap().status, 204, "{path}");
    }
    (site, server)
}

async fn policy(server: &Server, name: &str, capabilities: &[&str]) {
    let policy = serde_json::json!({"path": {"*": {"capabilities": capabilities}}}).to_string();
    let written = server.put(&format!("sys/policies/acl/{name}"), serde_json::json!({"policy": policy})).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
}

/// A token with these policies and no other; its text and its accessor.
async fn token(server: &Server, policies: &[&str]) -> (String, String) {
    let wanted = serde_json::json!({"policies": policies, "no_default_policy": true, "ttl": "1h"});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    let text = |field: &str| made.body["auth"][field].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

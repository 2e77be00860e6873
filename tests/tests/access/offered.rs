//! What callers are told of the API, and of what they may do with it.

use super::{by, policy, started, token};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::Answer;

const OPENAPI: &str = "sys/internal/specs/openapi";

fn paths(told: &Answer) -> BTreeSet<&str> {
    told.body["paths"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// Whether a list of types stands anywhere, which OpenAPI 3.0 does not know.
fn has_a_list_of_types(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_a_list_of_types),
        Value::Object(fields) => {
            fields.get("type").is_some_and(Value::is_array) || fields.values().any(has_a_list_of_types)
        }
        _ => false,
    }
}

/// Ids of all operations, with those that are there twice.
fn operations(told: &Answer) -> Vec<&str> {
    let items = told.body["paths"].as_object().unwrap().values().filter_map(Value::as_object);
    items.flat_map(|item| item.values()).filter_map(|operation| operation["operationId"].as_str()).collect()
}

#[tokio::test]
async fn the_api_is_told_to_whom_it_is_offered_and_where_it_is_mounted() {
    let (site, mut server) = started().await;
    assert_eq!(server.put("sys/mounts/team-keys", json!({"type": "transit"})).await.unwrap().status, 204);
    assert_eq!(server.put("sys/auth/machines", json!({"type": "approle"})).await.unwrap().status, 204);
    let told = server.get(OPENAPI).await.unwrap();
    assert_eq!((&told.body["openapi"], &told.body["servers"]), (&json!("3.0.2"), &json!([{"url": "/v1"}])));
    let offered = paths(&told);
    for path in [
        "/team-keys/keys/{name}",
        "/transit/sign/{name}",
        "/auth/machines/login",
        "/auth/token/create",
        "/sys/mounts/{path}",
        "/cubbyhole/{path}",
        "/identity/entity/id/{id}",
    ] {
        assert!(offered.contains(path), "{path}: {offered:?}");
    }
    assert!(!offered.iter().any(|path| path.starts_with("/auth/approle/") || path.starts_with("/kv/")), "{offered:?}");
    assert!(!has_a_list_of_types(&told.body));
    let ids = operations(&told);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each operation has an id of its own");

    // For programs that are made once, and told where things are mounted.
    let generic = server.get(&format!("{OPENAPI}?generic_mount_paths=true")).await.unwrap();
    let item = &generic.body["paths"]["/{transit_mount_path}/keys/{name}"];
    let names: Vec<_> = item["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
    assert_eq!(names, ["transit_mount_path", "name"]);
    assert_eq!(item["parameters"][0]["schema"]["default"], "transit");
    let in_general = paths(&generic);
    assert!(in_general.contains("/auth/{approle_mount_path}/login") && in_general.contains("/auth/token/create"));
    assert!(!in_general.iter().any(|path| path.starts_with("/team-keys/")), "{in_general:?}");

    let help = server.get("team-keys/keys/k?help=1").await.unwrap();
    assert_eq!(help.body["openapi"]["openapi"], "3.0.2");
    assert!(!has_a_list_of_types(&help.body));

    policy(&server, "few", "path \"team-keys/sign/*\" { capabilities = [\"update\"] }").await;
    let (few, _) = token(&server, &["few"]).await;
    let root = std::mem::replace(&mut server.token, few);
    let told = server.get(OPENAPI).await.unwrap();
    assert!(!paths(&told).is_empty() && paths(&told).iter().all(|path| path.starts_with("/team-keys/")), "{told:?}");
    server.token = "hvs.nobody".to_owned();
    assert_eq!(server.get(OPENAPI).await.unwrap().status, 403);
    server.token.clear();
    let told = server.get(OPENAPI).await.unwrap();
    assert_eq!((told.status.as_u16(), &told.body["paths"]), (200, &json!({})), "strangers are told nothing");
    server.token = root;
    assert!(site.succeeds(&["audit", "verify"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn whoever_asks_what_a_token_may_is_told_which_rule_decides_if_that_is_wanted() {
    let (_site, mut server) = started().await;
    policy(&server, "reads", "path \"transit/keys/*\" { capabilities = [\"read\", \"list\"] }").await;
    policy(&server, "not-k", "path \"transit/keys/k\" { capabilities = [\"deny\"] }").await;
    let (text, accessor) = token(&server, &["not-k", "reads"]).await;
    let asked = |more: Value| {
        let mut body = json!({"paths": ["transit/keys/k", "transit/keys/other", "sys/mounts"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let told = server.put("sys/capabilities", asked(json!({"token": text, "explain": true}))).await.unwrap();
    let data = &told.body["data"];
    assert_eq!((&data["transit/keys/k"], &data["transit/keys/other"]), (&json!(["deny"]), &json!(["list", "read"])));
    let decisions = &data["decisions"];
    assert_eq!(
        decisions["transit/keys/k"]["read"],
        json!({"allowed": false, "reason": "the rule denies", "rule": "transit/keys/k", "policies": ["not-k"]})
    );
    assert_eq!(
        decisions["transit/keys/other"]["read"],
        json!({"allowed": true, "reason": "granted", "rule": "transit/keys/*", "policies": ["reads"]})
    );
    assert_eq!(decisions["transit/keys/other"]["update"]["reason"], "the rule does not grant the operation");
    assert_eq!(
        decisions["sys/mounts"]["read"],
        json!({"allowed": false, "reason": "no rule matches the path", "rule": null, "policies": []})
    );
    let same = server.put("sys/capabilities-accessor", asked(json!({"accessor": accessor, "explain": true})));
    assert_eq!(&same.await.unwrap().body["data"]["decisions"], decisions);
    policy(&server, "reads", "path \"transit/keys/*\" { capabilities = [\"read\"] } path \"sys/capabilities-self\" { capabilities = [\"update\"] }").await;
    let own = by(&mut server, &text, "sys/capabilities-self", asked(json!({"explain": true}))).await;
    assert_eq!(own.body["data"]["decisions"]["transit/keys/k"], decisions["transit/keys/k"]);
    // Clients that do not ask for it have nothing in their answer that is no path.
    let plain = server.put("sys/capabilities", asked(json!({"token": text}))).await.unwrap();
    let keys: Vec<_> = plain.body["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["transit/keys/k", "transit/keys/other", "sys/mounts"]);
}

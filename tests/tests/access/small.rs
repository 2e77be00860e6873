//! What people ask of a service besides its work.

use super::{by, policy, started, token};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Server, until};

#[tokio::test]
async fn the_service_tells_of_its_machine_its_requests_and_how_much_there_is() {
    let (_site, mut server) = started().await;
    let host = server.get("sys/host-info").await.unwrap().body["data"].clone();
    assert_eq!(host["host"]["os"], "linux");
    assert!(host["memory"]["total"].as_u64() > host["memory"]["available"].as_u64(), "{host}");

    let under_way = server.get("sys/in-flight-req").await.unwrap();
    let own: Vec<_> = under_way.body.as_object().unwrap().values().collect();
    assert_eq!(own.len(), 1, "the request itself, and none that was answered: {under_way:?}");
    assert_eq!((&own[0]["request_path"], &own[0]["request_method"]), (&json!("/v1/sys/in-flight-req"), &json!("GET")));
    assert_eq!(own[0]["client_remote_address"], "127.0.0.1");

    let count = async |server: &Server, what: &str, of: &str| {
        server.get(&format!("sys/internal/counters/{what}")).await.unwrap().body["data"]["counters"][of]["total"]
            .clone()
    };
    let tokens = count(&server, "tokens", "service_tokens").await.as_u64().unwrap();
    policy(&server, "any", "path \"x\" { capabilities = [\"read\"] }").await;
    let (nobody, _) = token(&server, &["any"]).await;
    assert_eq!(count(&server, "tokens", "service_tokens").await, tokens + 1);
    assert_eq!(count(&server, "entities", "entities").await, 0);
    assert_eq!(server.put("identity/entity", json!({"name": "a"})).await.unwrap().status, 200);
    assert_eq!(count(&server, "entities", "entities").await, 1);
    assert_eq!(by(&mut server, &nobody, "sys/config/ui/headers/x-a", json!({"values": "1"})).await.status, 403);
}

#[tokio::test]
async fn answers_below_ui_have_the_headers_that_were_set() {
    let (_site, server) = started().await;
    let below_ui = async || reqwest::get(format!("{}/ui/", server.address())).await.unwrap();
    let path = "sys/config/ui/headers/X-Frame-Options";
    assert_eq!(server.put(path, json!({"values": ["DENY", "SAMEORIGIN"]})).await.unwrap().status, 204);
    let read = server.get(path).await.unwrap().body;
    assert_eq!((&read["data"]["value"], &read["values"]), (&json!("DENY"), &json!(["DENY", "SAMEORIGIN"])));
    let listed = server.ask(Method::from_bytes(b"LIST").unwrap(), "sys/config/ui/headers", None).await.unwrap();
    assert_eq!(listed.body["data"]["keys"], json!(["x-frame-options"]));
    let values: Vec<_> = below_ui()
        .await
        .headers()
        .get_all("x-frame-options")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(values, ["DENY", "SAMEORIGIN"]);
    for (name, body, why) in [
        ("X-Vault-Token", json!({"values": "x"}), "X-Vault headers cannot be set"),
        ("x-a", json!({"values": "a\nb"}), "values must be"),
        ("x-a", json!({}), "values must be"),
    ] {
        let refused = server.put(&format!("sys/config/ui/headers/{name}"), body).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains(why), "{name}: {refused:?}");
    }
    assert_eq!(server.ask(Method::DELETE, path, None).await.unwrap().status, 204);
    assert_eq!(server.get(path).await.unwrap().status, 404);
    assert!(below_ui().await.headers().get("x-frame-options").is_none());
}

#[tokio::test]
async fn each_start_is_on_record_and_each_version_that_has_worked_here_is_told() {
    let (site, mut server) = started().await;
    policy(&server, "history", "path \"sys/version-history\" { capabilities = [\"list\"] }").await;
    let root = server.token.clone();
    let told = async |server: &Server| {
        let list = Method::from_bytes(b"LIST").unwrap();
        server.ask(list, "sys/version-history", None).await.unwrap()
    };
    // No sudo is needed, only the path.
    let (reader, _) = token(&server, &["history"]).await;
    server.token.clone_from(&reader);
    let version = server.get("sys/health").await.unwrap().body["version"].as_str().unwrap().to_owned();
    let soon = std::time::Duration::from_secs(10);
    until(soon, "the first start is kept", json!([version]), async || told(&server).await.body["data"]["keys"].clone())
        .await;
    let first = told(&server).await.body["data"]["key_info"][&version].clone();
    assert_eq!((&first["previous_version"], &first["build_date"]), (&Value::Null, &Value::Null));
    assert!(first["timestamp_installed"].as_str().unwrap().ends_with('Z'), "{first}");
    drop(server);
    // Another start of the same version is on record, and no other version.
    let server = site.serve_for(&reader).await.unwrap();
    assert_eq!(told(&server).await.body["data"]["key_info"][&version], first);
    let mut superuser = site.core.superuser().await.unwrap();
    let counted = "SELECT event_type, count(*), max(event_data ->> 'version') FROM audit_log \
                   WHERE event_type IN ('system.unseal', 'system.version') GROUP BY 1 ORDER BY 1";
    until(
        soon,
        "both starts are on record",
        vec![("system.unseal".to_owned(), 2, Some(version)), ("system.version".to_owned(), 1, None)],
        async || {
            let rows: Vec<(String, i64, Option<String>)> =
                sqlx::query_as(counted).fetch_all(&mut superuser).await.unwrap();
            rows
        },
    )
    .await;
    // It is of the whole service.
    let root = site.serve_for(&root).await.unwrap();
    assert_eq!(root.put("sys/namespaces/team", json!({})).await.unwrap().status, 200);
    let inside = root.ask(Method::from_bytes(b"LIST").unwrap(), "team/sys/version-history", None).await.unwrap();
    assert!(inside.status == 400 && inside.error().contains("unavailable in namespaces"), "{inside:?}");
}

//! What clients that know clusters, plugins and raw storage are told here.

use super::{policy, started, token};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

async fn list(server: &Server, path: &str) -> Answer {
    server.ask(Method::from_bytes(b"LIST").unwrap(), path, None).await.unwrap()
}

#[tokio::test]
async fn all_servers_are_equal_and_none_has_anything_to_give_up() {
    let (site, server) = started().await;
    for method in [Method::PUT, Method::POST] {
        let answer = server.ask(method, "sys/step-down", None).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (204, Value::Null));
    }
    assert_eq!(server.get("sys/step-down").await.unwrap().status, 405);
    let recorded = "SELECT count(*) FROM audit_log WHERE event_type = 'system.step_down' AND action_result = 'success'";
    let mut superuser = site.core.superuser().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(&mut superuser).await.unwrap(), 2);
    let made = server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
    assert_eq!(made.status, 200, "it goes on serving: {made:?}");

    let told = server.get("sys/ha-status").await.unwrap();
    assert_eq!(told.body["nodes"], told.body["data"]["nodes"]);
    let node = &told.body["nodes"][0];
    let port = server.address().rsplit(':').next().unwrap();
    assert_eq!(node["api_address"], format!("http://127.0.0.1:{port}"));
    assert_eq!((&node["active_node"], &node["last_echo"]), (&json!(true), &Value::Null));
    assert_eq!(node["hostname"], std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    assert_eq!(node["version"], server.get("sys/health").await.unwrap().body["version"]);
    for path in ["status", "dr/status", "performance/status"] {
        let told = server.get(&format!("sys/replication/{path}")).await.unwrap();
        assert_eq!((told.status.as_u16(), &told.body["data"]), (200, &json!({"mode": "disabled"})));
    }
    let licence = server.get("sys/license/status").await.unwrap();
    let none = json!({"autoloading_used": false, "autoloaded": null, "persisted_autoload": null});
    assert_eq!((licence.status.as_u16(), &licence.body["data"]), (200, &none));
}

#[tokio::test]
async fn settings_are_shown_without_what_is_secret_or_leads_there() {
    let (site, mut server) = Site::started("fips = true\n[server]\nrequest_timeout_ms = 61000\n").await.unwrap();
    let told = server.get("sys/config/state/sanitized").await.unwrap();
    let data = &told.body["data"];
    assert_eq!((&data["fips"], &data["default_max_request_duration"]), (&json!(true), &json!(61)), "{told:?}");
    assert_eq!(data["seals"], json!([{"type": "pkcs11", "disabled": false}]));
    assert_eq!(data["storage"], json!({"type": "postgresql"}));
    assert_eq!(data["listeners"][0]["config"]["tls_disable"], true);
    assert_eq!(data["listeners"][0]["config"]["max_request_size"], 32 << 20);
    let text = told.body.to_string();
    // Databases, token, module and the files with its PIN, which settings name.
    let settings = std::fs::read_to_string(site.path("clm.toml")).unwrap();
    let values: Vec<&str> = settings.split('\'').skip(1).step_by(2).collect();
    assert!(values.len() > 8, "{settings}");
    for value in values {
        assert!(!text.contains(value), "{value} is in {text}");
    }
    for hidden in ["clm_secure_app", "clm_migrate", "softhsm", "/pin"] {
        assert!(settings.contains(hidden) && !text.contains(hidden), "{hidden} is in {text}");
    }
    policy(&server, "other", "path \"sys/config/*\" { capabilities = [\"list\"] }").await;
    server.token = token(&server, &["other"]).await.0;
    assert_eq!(server.get("sys/config/state/sanitized").await.unwrap().status, 403);
}

#[tokio::test]
async fn engines_and_login_methods_are_told_as_plugins_and_none_can_be_registered() {
    let (_site, server) = started().await;
    let catalog = server.get("sys/plugins/catalog").await.unwrap();
    let data = &catalog.body["data"];
    assert_eq!((&data["secret"], &data["database"]), (&json!(["kv", "transit"]), &json!([])), "{catalog:?}");
    let logins = list(&server, "sys/plugins/catalog/auth").await;
    assert_eq!(logins.body["data"]["keys"], data["auth"]);
    // What is told can be mounted or enabled, and nothing else.
    for (plugin_type, at) in [("auth", "sys/auth"), ("secret", "sys/mounts")] {
        for name in data[plugin_type].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let mounted = server.put(&format!("{at}/own-{name}"), json!({"type": name})).await.unwrap();
            assert_eq!(mounted.status, 204, "{name}: {mounted:?}");
            let read = server.get(&format!("sys/plugins/catalog/{plugin_type}/{name}")).await.unwrap();
            assert_eq!((&read.body["data"]["builtin"], &read.body["data"]["name"]), (&json!(true), &json!(name)));
            let detail = data["detailed"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
            assert_eq!((&detail["type"], &detail["deprecation_status"]), (&json!(plugin_type), &json!("supported")));
        }
    }
    assert_eq!(list(&server, "sys/plugins/catalog/database").await.status, 404);
    assert_eq!(list(&server, "sys/plugins/catalog/none").await.status, 400);
    assert_eq!(server.get("sys/plugins/catalog/secret/aws").await.unwrap().status, 404);
    for (method, path) in [
        (Method::PUT, "sys/plugins/catalog/secret/own"),
        (Method::DELETE, "sys/plugins/catalog/secret/transit"),
        (Method::PUT, "sys/plugins/reload/backend"),
    ] {
        let body = json!({"command": "own", "sha256": "00", "plugin": "own"}).to_string();
        let refused = server.ask(method, path, Some(body.into())).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains("part of this program"), "{path}: {refused:?}");
    }
    let unknown = server.put("sys/mounts/own", json!({"type": "own"})).await.unwrap();
    assert_eq!(unknown.error(), "plugin not found in the catalog: own");
}

#[tokio::test]
async fn raw_storage_is_nobody_s_and_who_asked_for_it_is_on_record() {
    let (site, mut server) = started().await;
    "raw".clone_into(&mut server.user_agent);
    for (method, path) in [
        ("GET", "sys/raw/core/keyring"),
        ("LIST", "sys/raw"),
        ("LIST", "sys/raw/core"),
        ("PUT", "sys/raw/core/keyring"),
        ("DELETE", "sys/raw/core/keyring"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let refused = server.ask(method, path, Some(br#"{"value":"x"}"#.to_vec())).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains("no access to its raw storage"), "{refused:?}");
    }
    let recorded = "SELECT count(*) FROM audit_log WHERE user_agent = 'raw' AND action_result = 'failure'";
    let mut superuser = site.core.superuser().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(&mut superuser).await.unwrap(), 5);
}

#[tokio::test]
async fn counters_are_json_unless_prometheus_is_asked_for() {
    let (_site, server) = started().await;
    let told = server.get("sys/metrics").await.unwrap();
    let kinds: Vec<_> = told.body.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["Timestamp", "Gauges", "Points", "Counters", "Samples"], "bare, without the envelope");
    let find = |kind: &str, name: &str, operation: &str| {
        let all = told.body[kind].as_array().unwrap();
        let found = all
            .iter()
            .find(|one| one["Name"] == name && (operation.is_empty() || one["Labels"]["operation"] == operation));
        found.unwrap_or_else(|| panic!("no {name} in {told:?}")).clone()
    };
    assert_eq!(find("Gauges", "clm_unsealed", "")["Value"], 1.0);
    assert_eq!(find("Gauges", "clm_http_requests_in_flight", "")["Value"], 1.0);
    assert_eq!(find("Counters", "clm_http_requests", "init")["Count"], 1);
    let init = find("Samples", "clm_http_request_duration_seconds", "init");
    assert!(init["Count"] == 1 && init["Sum"].as_f64() > Some(0.0) && init["Mean"] == init["Sum"], "{init}");
    assert_eq!(server.get("sys/metrics?format=").await.unwrap().body["Points"], json!([]));

    let text = server.get("sys/metrics?format=prometheus").await.unwrap();
    assert!(text.body.as_str().unwrap().contains("\nclm_unsealed 1\n"), "{text:?}");
    let refused = server.get("sys/metrics?format=graphite").await.unwrap();
    assert!(refused.status == 400 && refused.error().contains("ask for prometheus"), "{refused:?}");
}

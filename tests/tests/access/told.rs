//! What records tell of a request beside what was done.

use super::{by, policy, started, token};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::TestDatabase;

/// What the newest record of a type says: its data, with outcome, address and request under their columns' names.
async fn newest(database: &TestDatabase, table: &str, event_type: &str) -> Value {
    let result = if table == "audit_log" { "action_result" } else { "result" };
    let statement = format!(
        "SELECT event_data || jsonb_build_object('outcome', {result}, 'ip_address', host(ip_address), 'request_id', request_id) \
         FROM {table} WHERE event_type = $1 ORDER BY event_timestamp DESC LIMIT 1"
    );
    let mut superuser = database.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement)).bind(event_type).fetch_one(&mut superuser).await.unwrap()
}

fn took_some_time(record: &Value) {
    let micros = record["response_us"].as_i64().unwrap();
    assert!((1..60_000_000).contains(&micros), "{record}");
}

#[tokio::test]
async fn records_tell_which_rule_of_which_policy_decided_and_how_long_it_took() {
    let (site, mut server) = started().await;
    server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
    policy(&server, "signs", "path \"transit/sign/*\" { capabilities = [\"update\"] }").await;
    policy(&server, "signs-too", "path \"transit/sign/*\" { capabilities = [\"create\"] }").await;
    policy(&server, "not-k", "path \"transit/verify/k\" { capabilities = [\"deny\"] }").await;
    let (signer, _) = token(&server, &["not-k", "signs", "signs-too"]).await;

    let signed = by(&mut server, &signer, "transit/sign/k", json!({"input": "YQ=="})).await;
    assert_eq!(signed.status, 200);
    let record = newest(&site.secure, "secure_audit_log", "key.sign").await;
    assert_eq!(
        (&record["decision"], &record["rule"], &record["policies"], &record["denial_reason"]),
        (&json!("granted"), &json!("transit/sign/*"), &json!(["signs", "signs-too"]), &Value::Null)
    );
    assert_eq!((&record["ip_address"], &record["request_id"]), (&json!("127.0.0.1"), &signed.body["request_id"]));
    assert_eq!(record["correlation_id"], Value::Null);
    took_some_time(&record);
    // What the client calls its work goes with it.
    let body = json!({"input": "YQ=="}).to_string();
    let url = format!("{}/v1/transit/sign/k", server.address());
    let sent = reqwest::Client::new().put(url).header("X-Vault-Token", &signer).header("X-Correlation-ID", "order 7");
    assert_eq!(sent.body(body).send().await.unwrap().status(), 200);
    let record = newest(&site.secure, "secure_audit_log", "key.sign").await;
    assert_eq!((&record["correlation_id"], &record["display_name"]), (&json!("order7"), &json!("token")));

    // Denied by a rule; and by none.
    assert_eq!(by(&mut server, &signer, "transit/verify/k", json!({"input": "YQ=="})).await.status, 403);
    let record = newest(&site.core, "audit_log", "access.denied").await;
    assert_eq!(
        (&record["decision"], &record["rule"], &record["policies"], &record["denial_reason"]),
        (&json!("denied"), &json!("transit/verify/k"), &json!(["not-k"]), &json!("the rule denies"))
    );
    took_some_time(&record);
    assert_eq!(by(&mut server, &signer, "sys/policies/acl/x", json!({"policy": "x"})).await.status, 403);
    let record = newest(&site.core, "audit_log", "access.denied").await;
    assert_eq!(
        (&record["decision"], &record["rule"], &record["denial_reason"]),
        (&json!("denied"), &Value::Null, &json!("no rule matches the path"))
    );

    // Allowed, and failed all the same.
    assert_eq!(by(&mut server, &signer, "transit/sign/nosuch", json!({"input": "YQ=="})).await.status, 400);
    let record = newest(&site.secure, "secure_audit_log", "key.sign").await;
    assert_eq!((&record["outcome"], &record["decision"]), (&json!("failure"), &json!("granted")));

    // Whoever may do everything, and whoever needs no token.
    policy(&server, "more", "path \"x\" { capabilities = [\"read\"] }").await;
    let record = newest(&site.core, "audit_log", "policy.write").await;
    assert_eq!((&record["decision"], &record["rule"]), (&json!("root"), &Value::Null));
    took_some_time(&record);
    server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap();
    server.put("auth/userpass/users/bob", json!({"password": "pw"})).await.unwrap();
    assert_eq!(by(&mut server, "", "auth/userpass/login/bob", json!({"password": "pw"})).await.status, 200);
    let record = newest(&site.core, "audit_log", "login.userpass").await;
    assert_eq!(record["decision"], json!("open"));
    took_some_time(&record);

    // Whoever is behind a token is named in either log, also when the token is gone.
    server.put("auth/userpass/users/bob", json!({"token_policies": "signs"})).await.unwrap();
    let auth = by(&mut server, "", "auth/userpass/login/bob", json!({"password": "pw"})).await.body["auth"].take();
    let bob = auth["client_token"].as_str().unwrap().to_owned();
    assert_eq!(by(&mut server, &bob, "transit/sign/k", json!({"input": "YQ=="})).await.status, 200);
    assert_eq!(by(&mut server, &bob, "transit/keys/k", json!({})).await.status, 403);
    for record in [
        newest(&site.secure, "secure_audit_log", "key.sign").await,
        newest(&site.core, "audit_log", "access.denied").await,
    ] {
        assert_eq!(
            (&record["display_name"], &record["caller_entity_id"]),
            (&json!("userpass-bob"), &auth["entity_id"])
        );
    }
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn audit_devices_name_the_policies_that_granted_and_hear_of_requests_without_a_token() {
    let site = tests::Site::ready("[audit]\ndevices = true\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    policy(&server, "caps", "path \"sys/capabilities-self\" { capabilities = [\"update\"] }").await;
    let (asker, _) = token(&server, &["caps"]).await;
    let file = site.path("audit.json");
    let options = json!({"type": "file", "options": {"file_path": file.display().to_string()}});
    assert_eq!(server.put("sys/audit/file", options).await.unwrap().status, 204);
    assert_eq!(by(&mut server, &asker, "sys/capabilities-self", json!({"paths": ["x"]})).await.status, 200);
    assert_eq!(by(&mut server, &asker, "sys/mounts/x", json!({})).await.status, 403);
    // Nobody in particular: no token, and one that is none.
    assert_eq!(by(&mut server, "", "sys/mounts/y", json!({})).await.status, 403);
    assert_eq!(by(&mut server, "hvs.none", "sys/mounts/z", json!({})).await.status, 403);
    // A good token of another namespace.
    assert_eq!(server.put("sys/namespaces/team", json!({})).await.unwrap().status, 200);
    let theirs = server.put("clm/organization-tokens/team", json!({})).await.unwrap().text("token").to_owned();
    assert_eq!(by(&mut server, &theirs, "sys/mounts/w", json!({})).await.status, 403);
    let told = async || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole
            .filter(|line| {
                line["request"]["path"].as_str().unwrap().starts_with("sys/mounts/")
                    || line["request"]["path"] == "sys/capabilities-self"
            })
            .collect()
    };
    let patience = std::time::Duration::from_secs(10);
    tests::until(patience, "requests and answers", 10, async || told().await.len()).await;
    let told = told().await;
    let results: Vec<&Value> = told
        .iter()
        .filter(|line| line["auth"]["display_name"] == "token" && line["type"] == "request")
        .map(|line| &line["auth"]["policy_results"])
        .collect();
    let granting = json!([{"name": "caps", "namespace_id": "root", "type": "acl"}]);
    assert_eq!(results, [&json!({"allowed": true, "granting_policies": granting}), &json!({"allowed": false})]);
    for path in ["sys/mounts/w", "sys/mounts/y", "sys/mounts/z"] {
        let lines: Vec<&Value> = told.iter().filter(|line| line["request"]["path"] == path).collect();
        let kinds: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
        assert_eq!(kinds, ["request", "response"], "{path}");
        let tells =
            |line: &Value| line["error"] == "permission denied" && line["auth"]["policy_results"] == Value::Null;
        assert!(tells(lines[0]), "{}", lines[0]);
    }
    assert!(!format!("{told:?}").contains("hvs.none"), "tokens that are none are not told, either");
}

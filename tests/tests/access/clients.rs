//! How many clients there are, told by what is on record.

use super::{by, policy, started, token};
use serde_json::{Value, json};
use tests::Server;

async fn activity(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("sys/internal/counters/activity{query}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].clone()
}

/// Under all their names.
fn counts(entities: u64, others: u64) -> Value {
    json!({"clients": entities + others, "entity_clients": entities, "distinct_entities": entities,
        "non_entity_clients": others, "non_entity_tokens": others})
}

async fn log_in(server: &Server, name: &str) {
    let body = json!({"password": "pw", "token_type": "batch"});
    let written = server.put(&format!("auth/userpass/users/{name}"), body).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
    for _ in 0..2 {
        let login = server.put(&format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await.unwrap();
        assert_eq!(login.status, 200, "{login:?}");
    }
}

#[tokio::test]
async fn who_was_given_a_token_is_one_client_a_month_however_often_he_comes() {
    let (site, mut server) = started().await;
    let nobody = activity(&server, "").await;
    assert_eq!((&nobody["total"], &nobody["months"].as_array().unwrap().len()), (&counts(0, 0), &12));
    assert_eq!(nobody["months"][11]["counts"], Value::Null, "root tokens are nobody's: {nobody}");

    server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap();
    log_in(&server, "ann").await;
    log_in(&server, "bob").await;
    let wrong = server.put("auth/userpass/login/bob", json!({"password": "no"})).await.unwrap();
    assert_eq!(wrong.status, 400, "{wrong:?}");
    policy(&server, "one", "path \"auth/token/create\" { capabilities = [\"update\"] }").await;
    policy(&server, "two", "path \"x\" { capabilities = [\"read\"] }").await;
    // Of two policies, one of which makes a child of the same; wrapped or not.
    let (first, _) = token(&server, &["one"]).await;
    assert_eq!(by(&mut server, &first, "auth/token/create", json!({"no_default_policy": true})).await.status, 200);
    "60".clone_into(&mut server.wrap_ttl);
    assert_eq!(server.put("auth/token/create", json!({"policies": ["two"]})).await.unwrap().status, 200);
    server.wrap_ttl.clear();
    // In a namespace.
    assert_eq!(server.put("sys/namespaces/team", json!({})).await.unwrap().status, 200);
    let made = server.put("team/auth/token/create", json!({"policies": ["default"], "ttl": "1h"})).await.unwrap();
    assert_eq!(made.status, 200, "{made:?}");

    let told = activity(&server, "").await;
    assert_eq!(told["total"], counts(2, 3), "{told}");
    let spaces: Vec<_> = told["by_namespace"].as_array().unwrap().iter().collect();
    assert_eq!((&spaces[0]["namespace_id"], &spaces[0]["namespace_path"]), (&json!("root"), &json!("")));
    assert_eq!((&spaces[0]["counts"], &spaces[1]["counts"]), (&counts(2, 2), &counts(0, 1)), "{told}");
    assert_eq!(spaces[1]["namespace_path"], "team/");
    let inside = server.get("team/sys/internal/counters/activity").await.unwrap();
    assert_eq!(inside.body["data"]["total"], counts(0, 1), "no more than its own: {inside:?}");
    let monthly = server.get("sys/internal/counters/activity/monthly").await.unwrap();
    assert_eq!((&monthly.body["data"]["clients"], &monthly.body["data"]["distinct_entities"]), (&json!(5), &json!(2)));

    // All tokens are revoked, the server is another one, and ann came in the month before, too.
    for made_at in ["auth/userpass", "auth/token/create"] {
        server.put(&format!("sys/leases/revoke-prefix/{made_at}"), json!({})).await.unwrap();
    }
    let before = "INSERT INTO audit_log (chain_id, seq, previous_hash, record_hash, encoding_version, event_id, event_type, event_category, severity, organization_id, \
                  resource_type, action, action_result, request_id, event_data, event_timestamp) \
                  SELECT gen_random_uuid(), 1, previous_hash, record_hash, encoding_version, gen_random_uuid(), event_type, event_category, severity, organization_id, \
                  resource_type, action, action_result, request_id, event_data, event_timestamp - interval '1 month' \
                  FROM audit_log WHERE event_type = 'login.userpass' AND event_data ->> 'token_display_name' = 'userpass-ann'";
    let mut superuser = site.core.superuser().await.unwrap();
    assert_eq!(sqlx::query(before).execute(&mut superuser).await.unwrap().rows_affected(), 2);
    let root = server.token.clone();
    drop(server);
    let server = site.serve_for(&root).await.unwrap();
    let told = activity(&server, "").await;
    assert_eq!(told["total"], counts(2, 3), "ann is one client: {told}");
    let month = |back: usize| &told["months"][11 - back];
    assert_eq!((&month(1)["counts"], &month(1)["new_clients"]["counts"]), (&counts(1, 0), &counts(1, 0)), "{told}");
    assert_eq!((&month(0)["counts"], &month(0)["new_clients"]["counts"]), (&counts(2, 3), &counts(1, 3)), "{told}");
    let last = month(1)["timestamp"].as_str().unwrap();
    let of_it = activity(&server, &format!("?start_time={last}&end_time={last}")).await;
    assert_eq!((&of_it["total"], &of_it["start_time"]), (&counts(1, 0), &json!(last)), "{of_it}");
    assert_eq!(of_it["months"].as_array().unwrap().len(), 1);
    let refused = server.get("sys/internal/counters/activity?start_time=soon").await.unwrap();
    assert!(refused.status == 400 && refused.error().contains("RFC 3339"), "{refused:?}");
}

//! Policies about secrets: whom they let do what, whichever way is asked.

use super::{ask, done, started};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;
use std::time::Duration;
use tests::{Answer, Server, Site, until};

async fn write_policy(server: &Server, name: &str, policy: Value) {
    let written = server.put(&format!("clm/access-policies/{name}"), policy).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
}

fn document(secrets: &[&str], operations: &[&str]) -> Value {
    json!({"policy_document": {"allowed_secrets": secrets, "allowed_operations": operations}})
}

async fn token_with(server: &Server, policies: &[&str]) -> String {
    let wanted = json!({"policies": policies, "no_default_policy": true});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().to_owned()
}

async fn by(server: &mut Server, token: &str, line: &str) -> Answer {
    let own = std::mem::replace(&mut server.token, token.to_owned());
    let answer = ask(server, line).await;
    server.token = own;
    answer
}

async fn furnished() -> (Site, Server) {
    let (site, server) = started().await;
    for name in ["prod.db.password", "prod.web.key", "test.db.password"] {
        done(&server, &format!("POST clm/secrets/{name} {{\"data\":{{\"x\":1}}}}")).await;
    }
    (site, server)
}

/// Both ways to one secret.
async fn reads(server: &mut Server, token: &str, name: &str) -> [u16; 2] {
    let path = name.replace('.', "/");
    let by_name = by(server, token, &format!("GET clm/secrets/{name}")).await.status.as_u16();
    [by_name, by(server, token, &format!("GET secret/data/{path}")).await.status.as_u16()]
}

#[tokio::test]
async fn a_policy_decides_on_names_and_on_paths_and_a_change_is_felt_at_once() {
    let (site, mut server) = furnished().await;
    write_policy(&server, "prod-db", document(&["prod.db.*"], &["read", "list"])).await;
    let token = token_with(&server, &["prod-db"]).await;
    assert_eq!(reads(&mut server, &token, "prod.db.password").await, [200, 200]);
    assert_eq!(reads(&mut server, &token, "prod.web.key").await, [403, 403]);
    assert_eq!(by(&mut server, &token, "POST secret/data/prod/db/password {\"data\":{}}").await.status, 403);
    let found = by(&mut server, &token, "GET clm/secrets").await;
    assert_eq!(found.body["data"]["keys"], json!(["prod.db.password"]));
    assert_eq!(by(&mut server, &token, "LIST secret/metadata/prod/db").await.status, 200);
    assert_eq!(by(&mut server, &token, "LIST secret/metadata/prod").await.status, 403);
    // Wider, for a token that lives; then narrower than another grants.
    write_policy(&server, "prod-db", document(&["prod.*"], &["read"])).await;
    assert_eq!(reads(&mut server, &token, "prod.web.key").await, [200, 200]);
    let mut denial = document(&["*.web.*"], &["read"]);
    denial["deny_policy"] = json!(true);
    write_policy(&server, "no-web", denial).await;
    let both = token_with(&server, &["no-web", "prod-db"]).await;
    assert_eq!(reads(&mut server, &both, "prod.web.key").await, [403, 403]);
    assert_eq!(reads(&mut server, &both, "prod.db.password").await, [200, 200]);
    assert_eq!(reads(&mut server, &token, "prod.web.key").await, [200, 200]);
    // A narrower rule on paths does not get around it.
    done(&server, "POST sys/policies/acl/exact {\"policy\":\"path \\\"secret/data/prod/web/key\\\" { capabilities = [\\\"read\\\"] }\"}").await;
    let three = token_with(&server, &["exact", "no-web"]).await;
    assert_eq!(reads(&mut server, &three, "prod.web.key").await, [403, 403]);
    done(&server, "DELETE clm/access-policies/no-web").await;
    assert_eq!(reads(&mut server, &three, "prod.web.key").await, [200, 200]);
    done(&server, "DELETE clm/access-policies/prod-db").await;
    assert_eq!(reads(&mut server, &token, "prod.db.password").await, [403, 403]);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn policies_of_both_kinds_share_their_names_and_each_is_changed_at_its_own_path() {
    let (site, server) = started().await;
    write_policy(&server, "s", document(&["a.*"], &["read"])).await;
    done(&server, "POST sys/policies/acl/p {\"policy\":\"path \\\"x\\\" { capabilities = [\\\"read\\\"] }\"}").await;
    assert_eq!(done(&server, "LIST clm/access-policies").await["keys"], json!(["s"]));
    assert_eq!(done(&server, "LIST sys/policies/acl").await["keys"], json!(["default", "p", "s", "root"]));
    for (line, says) in [
        ("POST sys/policies/acl/s {\"policy\":\"path \\\"x\\\" {}\"}", "change it at clm/access-policies/s"),
        ("DELETE sys/policies/acl/s", "change it at clm/access-policies/s"),
        ("DELETE clm/access-policies/p", "change it at sys/policies/acl/p"),
        (
            "POST clm/access-policies/default {\"policy_document\":{\"allowed_secrets\":[\"a\"],\"allowed_operations\":[\"read\"]}}",
            "is no policy about secrets",
        ),
        ("POST clm/access-policies/t {}", "'policy_document' must be an object"),
        (
            "POST clm/access-policies/t {\"policy_document\":{\"allowed_secrets\":[\"a/b\"],\"allowed_operations\":[\"read\"]}}",
            "is no name with wildcards",
        ),
        (
            "POST clm/access-policies/t {\"policy_document\":{\"allowed_secrets\":[\"a\"],\"allowed_operations\":[\"fly\"]}}",
            "unknown variant",
        ),
        (
            "POST clm/access-policies/t {\"policy_document\":{\"allowed_secrets\":[\"a\"],\"allowed_operations\":[\"read\"]},\"entity_bindings\":[\"user:nobody\"]}",
            "is nobody here",
        ),
    ] {
        let answer = ask(&server, line).await;
        assert_eq!(answer.status, 400, "{line}: {answer:?}");
        assert!(answer.error().contains(says), "{line}: {answer:?}");
    }
    assert_eq!(ask(&server, "GET clm/access-policies/p").await.status, 404);
    let shown = done(&server, "GET clm/access-policies/s").await;
    let expected = document(&["a.*"], &["read"]);
    assert_eq!((&shown["policy_document"], &shown["deny_policy"]), (&expected["policy_document"], &json!(false)));
    let mut core = site.core.superuser().await.unwrap();
    let rows = sqlx::query(
        "SELECT event_type, action_result FROM audit_log WHERE resource_id = 's' OR event_type = 'request.failed' ORDER BY seq",
    );
    let told: Vec<(String, String)> =
        rows.fetch_all(&mut core).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(told[0], ("policy.write".to_owned(), "success".to_owned()));
    // The last of them is the reading of what is not there.
    assert_eq!(told[1..], vec![("request.failed".to_owned(), "failure".to_owned()); 9]);
}

#[tokio::test]
async fn a_policy_is_for_the_people_and_app_roles_that_it_is_bound_to_whether_or_not_their_tokens_name_it() {
    let (_site, mut server) = furnished().await;
    for (path, body) in [
        ("sys/auth/userpass", json!({"type": "userpass"})),
        ("sys/auth/approle", json!({"type": "approle"})),
        ("auth/userpass/users/alice", json!({"password": "pw"})),
        ("auth/userpass/users/bob", json!({"password": "pw"})),
        ("auth/approle/role/ci", json!({"role_id": "ci-id", "token_policies": "makes"})),
        ("auth/approle/role/other", json!({"role_id": "other-id"})),
        ("sys/policies/acl/makes", json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"})),
    ] {
        assert_eq!(server.put(path, body).await.unwrap().status, 204, "{path}");
    }
    let mut logged_in = Vec::new();
    for name in ["alice", "bob"] {
        let login = server.put(&format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await.unwrap();
        logged_in.push(login.body["auth"]["client_token"].as_str().unwrap().to_owned());
    }
    for role in ["ci", "other"] {
        let secret = server.put(&format!("auth/approle/role/{role}/secret-id"), json!({})).await.unwrap();
        let body = json!({"role_id": format!("{role}-id"), "secret_id": secret.text("secret_id")});
        let login = server.put("auth/approle/login", body).await.unwrap();
        logged_in.push(login.body["auth"]["client_token"].as_str().unwrap().to_owned());
    }
    let child = by(&mut server, &logged_in[2], "POST auth/token/create {}").await;
    logged_in.push(child.body["auth"]["client_token"].as_str().unwrap().to_owned());
    let mut bound = document(&["prod.db.*"], &["read"]);
    bound["entity_bindings"] = json!(["user:alice", "app_role:ci"]);
    write_policy(&server, "bound", bound).await;
    let named = token_with(&server, &["bound"]).await;
    let mut seen = Vec::new();
    for token in logged_in.iter().chain([&named]) {
        seen.push(reads(&mut server, token, "prod.db.password").await);
    }
    // alice, bob, ci, other, what ci's token made, and one that only names it.
    assert_eq!(seen, [[200; 2], [403; 2], [200; 2], [403; 2], [200; 2], [403; 2]]);
    let bindings = done(&server, "GET clm/access-policies/bound").await["entity_bindings"].clone();
    let mut denial = document(&["*"], &["read"]);
    denial["deny_policy"] = json!(true);
    // By the ids that were shown.
    denial["entity_bindings"] = bindings
        .as_array()
        .unwrap()
        .iter()
        .filter(|binding| binding.as_str().unwrap().starts_with("user:"))
        .cloned()
        .collect();
    write_policy(&server, "not-alice", denial).await;
    assert_eq!(reads(&mut server, &logged_in[0], "prod.db.password").await, [403, 403]);
    assert_eq!(reads(&mut server, &logged_in[2], "prod.db.password").await, [200, 200]);
    done(&server, "DELETE clm/access-policies/bound").await;
    assert_eq!(reads(&mut server, &logged_in[2], "prod.db.password").await, [403, 403]);
}

#[tokio::test]
async fn conditions_are_looked_at_with_each_request() {
    let (_site, mut server) = furnished().await;
    let with = |conditions: Value| {
        let mut policy = document(&["prod.*"], &["read"]);
        policy["policy_document"]["conditions"] = conditions;
        policy
    };
    write_policy(&server, "here", with(json!({"source_cidrs": ["127.0.0.0/8", "::1"]}))).await;
    write_policy(&server, "elsewhere", with(json!({"source_cidrs": ["192.0.2.0/24"]}))).await;
    write_policy(&server, "always", with(json!({"time_window": {"start": "00:00", "end": "00:00"}}))).await;
    write_policy(
        &server,
        "never",
        with(json!({"time_window": {"start": "00:00", "end": "00:00", "days": []}, "source_cidrs": ["192.0.2.1"]})),
    )
    .await;
    for (policies, status) in [
        (&["here"][..], 200),
        (&["elsewhere"], 403),
        (&["always"], 200),
        (&["never"], 403),
        (&["elsewhere", "here"], 200),
    ] {
        let token = token_with(&server, policies).await;
        assert_eq!(reads(&mut server, &token, "prod.web.key").await, [status; 2], "{policies:?}");
    }
    let mut short = document(&["prod.*"], &["read"]);
    short["max_ttl_seconds"] = json!(2);
    write_policy(&server, "short", short).await;
    let token = token_with(&server, &["short"]).await;
    assert_eq!(reads(&mut server, &token, "prod.web.key").await, [200, 200]);
    let read = async || reads(&mut server, &token, "prod.web.key").await;
    until(Duration::from_secs(10), "the policy counts", [403, 403], read).await;
    let lives = server.ask(Method::POST, "auth/token/lookup", Some(json!({"token": token}).to_string().into())).await;
    assert_eq!(lives.unwrap().status, 200);
}

#[tokio::test]
async fn an_sql_statement_makes_no_policy_and_widens_none() {
    let (site, mut server) = furnished().await;
    write_policy(&server, "narrow", document(&["test.*"], &["read"])).await;
    let token = token_with(&server, &["narrow", "mine"]).await;
    assert_eq!(reads(&mut server, &token, "test.db.password").await, [200, 200]);
    let mut core = site.core.superuser().await.unwrap();
    for statement in [
        "UPDATE access_policies SET document = '{\"allowed_secrets\":[\"*\"],\"allowed_operations\":[\"read\"]}' WHERE name = 'narrow'",
        "UPDATE access_policies SET entity_bindings = '{app_role:x}' WHERE name = 'narrow'",
        "UPDATE access_policies SET max_ttl_seconds = 1000000 WHERE name = 'narrow'",
        "UPDATE access_policies SET deny_policy = true WHERE name = 'narrow'",
        "INSERT INTO access_policies (id, organization_id, name, document, document_kind, revision, row_mac) SELECT gen_random_uuid(), organization_id, 'mine', \
         '{\"allowed_secrets\":[\"*\"],\"allowed_operations\":[\"read\"]}', 'secrets', 1, row_mac FROM access_policies WHERE name = 'narrow'",
    ] {
        sqlx::query("CREATE TABLE kept AS SELECT id, document, entity_bindings, max_ttl_seconds, deny_policy FROM access_policies")
            .execute(&mut core)
            .await
            .unwrap();
        assert_eq!(sqlx::query(statement).execute(&mut core).await.unwrap().rows_affected(), 1, "{statement}");
        let refused = async || reads(&mut server, &token, "prod.web.key").await;
        until(Duration::from_secs(5), statement, [500, 500], refused).await;
        for back in [
            "DELETE FROM access_policies WHERE id NOT IN (SELECT id FROM kept)",
            "UPDATE access_policies p SET document = k.document, entity_bindings = k.entity_bindings, max_ttl_seconds = k.max_ttl_seconds, \
             deny_policy = k.deny_policy FROM kept k WHERE k.id = p.id AND p.document_kind = 'secrets'",
            "DROP TABLE kept",
        ] {
            sqlx::query(back).execute(&mut core).await.unwrap();
        }
        let read = async || reads(&mut server, &token, "test.db.password").await;
        until(Duration::from_secs(5), "it counts again", [200, 200], read).await;
    }
}

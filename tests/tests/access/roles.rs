//! Roles of people: what they permit, from when until when, on tokens that live, and whose they are not.

use super::{by, policy, started};
use futures_util::future::join;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tests::{Answer, Server, Site, until};

const SOON: Duration = Duration::from_secs(10);

async fn done(server: &Server, path: &str, body: Value) -> Answer {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer
}

async fn refused(server: &Server, path: &str, body: Value, says: &str) {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status == 400 && answer.error().contains(says), "{path}: {answer:?}");
}

async fn delete(server: &Server, path: &str) {
    let answer = server.ask(Method::DELETE, path, None).await.unwrap();
    assert_eq!(answer.status, 204, "{path}: {answer:?}");
}

async fn list(server: &Server, path: &str) -> Value {
    server.ask(Method::from_bytes(b"LIST").unwrap(), path, None).await.unwrap().body["data"]["keys"].clone()
}

/// Somebody who has logged in with a password: token and accessor.
async fn person(server: &mut Server, name: &str) -> (String, String) {
    done(server, &format!("auth/userpass/users/{name}"), json!({"password": "a good one"})).await;
    let login = format!("auth/userpass/login/{name}");
    let login = by(server, "", &login, json!({"password": "a good one"})).await;
    let text = |field: &str| login.body["auth"][field].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

/// A role, and one below it that inherits from it.
async fn roles(server: &Server) {
    done(server, "clm/roles/SIGNER", json!({"permissions": {"keys": ["sign"]}})).await;
    let above = server.get("clm/roles/SIGNER").await.unwrap().text("id").to_owned();
    let body = json!({"permissions": {"keys": ["read"]}, "parent_role_id": above});
    done(server, "clm/roles/LEAD", body).await;
}

/// A service with people, a key and roles.
async fn ready() -> (Site, Server) {
    let (site, server) = started().await;
    done(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    done(&server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    roles(&server).await;
    (site, server)
}

async fn signs(server: &mut Server, token: &str) -> u16 {
    by(server, token, "transit/sign/k", json!({"input": "YQ=="})).await.status.as_u16()
}

async fn reads(server: &mut Server, token: &str, path: &str) -> u16 {
    let own = std::mem::replace(&mut server.token, token.to_owned());
    let status = server.get(path).await.unwrap().status.as_u16();
    server.token = own;
    status
}

/// What the newest record of a type says.
async fn newest(site: &Site, log: &str, event_type: &str) -> Value {
    let database = if log == "audit_log" { &site.core } else { &site.secure };
    let statement = format!("SELECT event_data FROM {log} WHERE event_type = $1 ORDER BY event_timestamp DESC LIMIT 1");
    let mut superuser = database.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement)).bind(event_type).fetch_one(&mut superuser).await.unwrap()
}

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

/// The database's time, so many seconds from now.
async fn in_seconds(site: &Site, seconds: i64) -> String {
    let statement =
        "SELECT to_char((now() + $1 * interval '1 second') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query_scalar(statement).bind(seconds).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_permits_at_once_what_it_says_and_what_those_above_it_say_until_it_is_withdrawn() {
    let (site, mut server) = ready().await;
    let mut other = site.serve_for(&server.token).await.unwrap();
    let (ann, accessor) = person(&mut server, "ann").await;
    let (bob, _) = person(&mut server, "bob").await;
    assert_eq!((signs(&mut server, &ann).await, signs(&mut other, &ann).await), (403, 403));

    done(&server, "clm/user-roles/Ann/LEAD", json!({})).await;
    assert_eq!(signs(&mut server, &ann).await, 200, "what the role above permits");
    assert_eq!(reads(&mut server, &ann, "transit/keys/k").await, 200, "and its own");
    assert_eq!(by(&mut server, &ann, "transit/keys/k/rotate", json!({})).await.status, 403);
    assert_eq!(signs(&mut server, &bob).await, 403, "it is hers alone");
    until(SOON, "the other server has heard of it", 200, async || signs(&mut other, &ann).await).await;

    // On record and in the explanation: which rule of which role.
    let record = newest(&site, "secure_audit_log", "key.sign").await;
    assert_eq!((&record["rule"], &record["policies"]), (&json!("transit/sign/+"), &json!(["role:SIGNER"])));
    let record = newest(&site, "audit_log", "role.assign").await;
    assert_eq!((&record["role"], record["rows"][0]["table"].as_str()), (&json!("LEAD"), Some("user_roles")));
    let ask = json!({"path": "transit/sign/k", "operation": "update", "accessor": accessor});
    let told = done(&server, "clm/access/explain", ask).await;
    assert!(
        told.text("because").starts_with("\"transit/sign/+\" of role:SIGNER grants by itself, as each role"),
        "{told:?}"
    );
    let ask = json!({"path": "transit/keys/k", "operation": "read", "policies": ["role:LEAD", "role:NOSUCH"]});
    let told = done(&server, "clm/access/explain", ask).await;
    assert_eq!(
        (&told.body["data"]["allowed"], &told.body["data"]["left_out"]),
        (&json!(true), &json!(["role:NOSUCH"]))
    );
    let may = by(&mut server, &ann, "sys/capabilities-self", json!({"paths": ["transit/sign/k"]})).await;
    assert_eq!(may.body["data"]["transit/sign/k"], json!(["update"]));

    // A denial of a policy beats it; a policy that grants less takes nothing away.
    policy(&server, "less", "path \"transit/sign/k\" { capabilities = [\"read\"] }").await;
    done(&server, "auth/userpass/users/carl", json!({"password": "a good one", "token_policies": "less"})).await;
    done(&server, "clm/user-roles/carl/SIGNER", json!({})).await;
    let (carl, _) = person(&mut server, "carl").await;
    assert_eq!(signs(&mut server, &carl).await, 200);
    policy(&server, "less", "path \"transit/sign/k\" { capabilities = [\"deny\"] }").await;
    assert_eq!(signs(&mut server, &carl).await, 403);

    // Changes of the roles themselves, and an engine that comes later.
    done(&server, "clm/roles/SIGNER", json!({"is_active": false})).await;
    until(SOON, "an inactive role permits nothing", (403, 403), async || {
        (signs(&mut server, &ann).await, signs(&mut other, &ann).await)
    })
    .await;
    assert_eq!(reads(&mut server, &ann, "transit/keys/k").await, 200, "the one below it does");
    done(&server, "clm/roles/SIGNER", json!({"is_active": true, "permissions": {"keys": ["sign", "verify"]}})).await;
    until(SOON, "it is back", 200, async || signs(&mut server, &ann).await).await;
    done(&server, "sys/mounts/later", json!({"type": "transit"})).await;
    done(&server, "later/keys/k", json!({"type": "ecdsa-p256"})).await;
    until(SOON, "the new engine", 200, async || {
        by(&mut server, &ann, "later/sign/k", json!({"input": "YQ=="})).await.status.as_u16()
    })
    .await;
    delete(&server, "clm/roles/LEAD").await;
    until(SOON, "a deleted role permits nothing", 403, async || signs(&mut server, &ann).await).await;
    done(&server, "clm/roles/LEAD/restore", json!({})).await;
    until(SOON, "restored it does", 200, async || signs(&mut server, &ann).await).await;

    assert_eq!(list(&server, "clm/user-roles").await, json!(["ann", "carl"]));
    assert_eq!(list(&server, "clm/user-roles/ann").await, json!(["LEAD"]));
    assert_eq!(list(&server, "clm/roles/LEAD/users").await, json!(["ann"]));
    delete(&server, "clm/user-roles/ann/LEAD").await;
    assert_eq!(signs(&mut server, &ann).await, 403);
    until(SOON, "the other server has heard of it", 403, async || signs(&mut other, &ann).await).await;
    assert_eq!(
        (list(&server, "clm/user-roles/ann").await, list(&server, "clm/roles/LEAD/users").await),
        (Value::Null, Value::Null)
    );
    assert_eq!(server.get("clm/user-roles/ann/LEAD").await.unwrap().status, 404);
    // Nothing to withdraw is as good; given anew it is.
    delete(&server, "clm/user-roles/ann/LEAD").await;
    done(&server, "clm/user-roles/ann/LEAD", json!({})).await;
    assert_eq!(signs(&mut server, &ann).await, 200);
    // Whoever may log in no more has no roles.
    delete(&server, "auth/userpass/users/ann").await;
    until(SOON, "her row is not active", 403, async || signs(&mut server, &ann).await).await;
    refused(&server, "clm/user-roles/ann/SIGNER", json!({}), "no person \"ann\"").await;
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_counts_from_its_beginning_to_its_end_on_a_token_that_lives() {
    let (site, mut server) = ready().await;
    let (ann, accessor) = person(&mut server, "ann").await;
    let (from, to) = (in_seconds(&site, 2).await, in_seconds(&site, 5).await);
    done(&server, "clm/user-roles/ann/SIGNER", json!({"valid_from": from, "valid_until": to})).await;
    let given = server.get("clm/user-roles/ann/SIGNER").await.unwrap();
    assert_eq!((given.text("valid_from"), given.text("valid_until")), (from.as_str(), to.as_str()));
    assert_eq!(signs(&mut server, &ann).await, 403, "not yet");
    let ask = json!({"path": "transit/sign/k", "operation": "update", "accessor": accessor});
    let told = done(&server, "clm/access/explain", ask.clone()).await;
    let why = json!([{"policy": "role:SIGNER", "effect": "grant", "why": "valid_from: the role is not given yet"}]);
    assert_eq!((&told.body["data"]["allowed"], &told.body["data"]["not_counting"]), (&json!(false), &why));
    until(SOON, "it has begun", 200, async || signs(&mut server, &ann).await).await;
    until(SOON, "it has ended", 403, async || signs(&mut server, &ann).await).await;
    let told = done(&server, "clm/access/explain", ask).await;
    assert_eq!(told.body["data"]["not_counting"][0]["why"], "valid_until: the role was given until then");
    // It is still there, to be seen and to be made longer.
    assert_eq!(list(&server, "clm/user-roles/ann").await, json!(["SIGNER"]));
    done(&server, "clm/user-roles/ann/SIGNER", json!({"valid_until": ""})).await;
    assert_eq!(signs(&mut server, &ann).await, 200);
    assert_eq!(server.get("clm/user-roles/ann/SIGNER").await.unwrap().body["data"]["valid_until"], Value::Null);

    let (past, later, latest) = (in_seconds(&site, -9).await, in_seconds(&site, 60).await, in_seconds(&site, 90).await);
    for (body, says) in [
        (json!({"valid_until": past}), "valid_until is in the past"),
        (json!({"valid_from": latest, "valid_until": later}), "valid_until must be after valid_from"),
        (json!({"valid_until": "tomorrow"}), "is no time of RFC 3339"),
    ] {
        refused(&server, "clm/user-roles/ann/SIGNER", body, says).await;
    }
    refused(&server, "clm/user-roles/ann/NOSUCH", json!({}), "no role \"NOSUCH\"").await;
    refused(&server, "clm/user-roles/nobody/SIGNER", json!({}), "no person \"nobody\"").await;
    refused(&server, "clm/roles/ODD", json!({"permissions": {"rockets": ["read"]}}), "\"rockets\" is no resource")
        .await;
    refused(&server, "clm/roles/ODD", json!({"permissions": {"keys": ["launch"]}}), "\"launch\" is no verb of keys")
        .await;
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_of_one_organization_and_of_the_person_alone() {
    let (site, mut server) = ready().await;
    let root = server.token.clone();
    let (ann, _) = person(&mut server, "ann").await;
    done(&server, "clm/user-roles/ann/SYSTEM_ADMIN", json!({})).await;
    done(&server, "sys/namespaces/team", json!({})).await;
    done(&server, "sys/namespaces/other", json!({})).await;
    assert_eq!(reads(&mut server, &ann, "sys/namespaces/team").await, 200);
    assert_eq!(reads(&mut server, &ann, "sys/audit").await, 200, "sudo, too");

    for code in ["team", "other"] {
        server.enter(code, &root);
        done(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
        done(&server, "sys/mounts/transit", json!({"type": "transit"})).await;
        done(&server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    }
    // Nobody is given another organization's role, nor is anybody of another given one.
    refused(&server, "clm/user-roles/ann/SYSTEM_ADMIN", json!({}), "no person \"ann\"").await;
    server.enter("team", &root);
    let (dora, _) = person(&mut server, "dora").await;
    refused(&server, "clm/user-roles/dora/SIGNER", json!({}), "no role \"SIGNER\"").await;
    done(&server, "clm/user-roles/dora/SYSTEM_ADMIN", json!({})).await;
    assert_eq!(signs(&mut server, &dora).await, 200);
    for elsewhere in ["other", ""] {
        server.enter(elsewhere, &root);
        assert_eq!(signs(&mut server, &dora).await, 403, "{elsewhere:?}: it is another organization's");
        assert_eq!(list(&server, "clm/user-roles/dora").await, Value::Null);
    }
    assert_eq!(list(&server, "clm/user-roles").await, json!(["ann"]));

    // Tokens that she makes have it, an orphan has it not; nor has an API key that acts for her beyond its scopes.
    let made = by(&mut server, &ann, "auth/token/create", json!({"policies": ["default"]})).await;
    let child = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(signs(&mut server, &child).await, 200);
    let made = by(&mut server, &ann, "auth/token/create-orphan", json!({"policies": ["default"]})).await;
    let orphan = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(signs(&mut server, &orphan).await, 403);
    done(&server, "sys/auth/api-key", json!({"type": "api-key"})).await;
    let makes = "path \"auth/token/create\" { capabilities = [\"update\"] }";
    policy(&server, "makes", makes).await;
    let key = done(&server, "auth/api-key/keys", json!({"username": "ann", "scopes": "default,makes"})).await;
    let login = by(&mut server, "", "auth/api-key/login", json!({"api_key": key.text("api_key")})).await;
    let key_token = login.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(signs(&mut server, &key_token).await, 403, "its scopes say what it may");
    let made = by(&mut server, &key_token, "auth/token/create", json!({"policies": ["default"]})).await;
    let below = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(signs(&mut server, &below).await, 403, "and what those below it may");
    // A batch token is hers as well.
    let made = by(&mut server, &ann, "auth/token/create", json!({"policies": ["default"], "type": "batch"})).await;
    let batch = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(signs(&mut server, &batch).await, 200);
    delete(&server, "clm/user-roles/ann/SYSTEM_ADMIN").await;
    assert_eq!((signs(&mut server, &child).await, signs(&mut server, &batch).await), (403, 403));
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sql_statement_gives_nobody_a_role() {
    let (site, mut server) = ready().await;
    let (ann, _) = person(&mut server, "ann").await;
    let (bob, _) = person(&mut server, "bob").await;
    done(&server, "clm/user-roles/ann/SIGNER", json!({})).await;
    assert_eq!((signs(&mut server, &ann).await, signs(&mut server, &bob).await), (200, 403));
    // Hers for him; a bigger one for her; one that was withdrawn.
    let copied = "INSERT INTO user_roles SELECT gen_random_uuid(), organization_id, (SELECT id FROM users WHERE username = 'bob'), role_id, \
                  valid_from, valid_until, assigned_by_user_id, assigned_at, revoked_at, revoked_by_user_id, revision, row_mac FROM user_roles";
    assert_eq!(sql(&site, copied).await, 1);
    until(SOON, "the forged row is refused", 500, async || signs(&mut server, &bob).await).await;
    assert_eq!(
        sql(&site, "DELETE FROM user_roles WHERE user_id = (SELECT id FROM users WHERE username = 'bob')").await,
        1
    );
    until(SOON, "without it he is who he was", 403, async || signs(&mut server, &bob).await).await;
    let bigger = "UPDATE user_roles SET role_id = (SELECT id FROM roles WHERE role_code = 'SYSTEM_ADMIN' AND organization_id = user_roles.organization_id)";
    assert_eq!(sql(&site, bigger).await, 1);
    until(SOON, "the edited row is refused", 500, async || reads(&mut server, &ann, "sys/mounts").await).await;
    let back = "UPDATE user_roles SET role_id = (SELECT id FROM roles WHERE role_code = 'SIGNER')";
    assert_eq!(sql(&site, back).await, 1);
    until(SOON, "put back it is hers", 200, async || signs(&mut server, &ann).await).await;
    delete(&server, "clm/user-roles/ann/SIGNER").await;
    assert_eq!(sql(&site, "UPDATE user_roles SET revoked_at = NULL").await, 1);
    until(SOON, "withdrawn it stays", 500, async || signs(&mut server, &ann).await).await;
    let alarms: i64 = {
        let mut superuser = site.core.superuser().await.unwrap();
        let statement = "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'user_roles'";
        sqlx::query_scalar(statement).fetch_one(&mut superuser).await.unwrap()
    };
    assert!(alarms >= 3, "{alarms}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_inherits_from_itself_whoever_says_so_at_once() {
    let (site, mut server) = ready().await;
    let other = site.serve_for(&server.token).await.unwrap();
    let id = async |code: &str| server.get(&format!("clm/roles/{code}")).await.unwrap().text("id").to_owned();
    let (signer, lead) = (id("SIGNER").await, id("LEAD").await);
    let says = "inherits from this one, and no role inherits from itself";
    refused(&server, "clm/roles/SIGNER", json!({"parent_role_id": lead}), says).await;
    refused(&server, "clm/roles/SIGNER", json!({"parent_role_id": signer}), says).await;
    done(&server, "clm/roles/SIGNER", json!({"description": "as before"})).await;
    for round in 0..6 {
        let [one, two] = [format!("ONE_{round}"), format!("TWO_{round}")];
        done(&server, &format!("clm/roles/{one}"), json!({})).await;
        done(&server, &format!("clm/roles/{two}"), json!({})).await;
        let (below, above) = (id(&two).await, id(&one).await);
        let [one, two] = [one, two].map(|code| format!("clm/roles/{code}"));
        let (first, second) =
            join(server.put(&one, json!({"parent_role_id": below})), other.put(&two, json!({"parent_role_id": above})))
                .await;
        let done = [first.unwrap(), second.unwrap()].map(|answer| answer.status.as_u16());
        assert!(done == [204, 400] || done == [400, 204], "round {round}: {done:?}");
    }
    // What is above goes first, and what is below can still go.
    delete(&server, "clm/roles/SIGNER").await;
    delete(&server, "clm/roles/LEAD").await;
    let (ann, _) = person(&mut server, "ann").await;
    assert_eq!(signs(&mut server, &ann).await, 403);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

//! Codes that come with the login's own request.

use super::{Bob, FAILED, Program, done, put, requirement};
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use tests::Server;

async fn with_factor(server: &Server, factors: &[String]) -> reqwest::Response {
    let mut request = reqwest::Client::new().put(format!("{}/v1/auth/userpass/login/bob", server.address()));
    for factor in factors {
        request = request.header("X-Vault-MFA", factor);
    }
    request.body(json!({"password": "pw"}).to_string()).send().await.unwrap()
}

#[tokio::test]
async fn a_code_in_the_logins_own_header_is_enough_and_each_enforcement_needs_one() {
    let bob = Bob::new().await;
    let (code, method) = (bob.program.code(0), &bob.method);
    // By the method's id, by its name, and with the word that says nothing.
    for header in [format!("{method}:{code}"), format!("app:{code}"), format!("{method}:passcode={code}")] {
        bob.forget().await;
        let answer: Value = with_factor(&bob.server, &[header]).await.json().await.unwrap();
        assert_eq!(answer["auth"]["policies"], json!(["default", "p1"]), "{answer}");
    }
    // A wrong one is none, here as well, and nothing is given for it, not even a login that waits.
    let wrong = with_factor(&bob.server, &["app:000000".into()]).await;
    assert_eq!(wrong.status(), 403);
    assert!(wrong.text().await.unwrap().contains(FAILED));
    // Taken once.
    let refused = with_factor(&bob.server, &[format!("app:{code}")]).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains(FAILED));
    // A code for something else is none: the login waits.
    let waits: Value = with_factor(&bob.server, &["another:123456".into()]).await.json().await.unwrap();
    assert!(waits["auth"]["mfa_requirement"]["mfa_request_id"].is_string(), "{waits}");

    let other = super::method(&bob.server, "other").await;
    let shown = bob.server.get("sys/auth").await.unwrap();
    let accessor = shown.body["data"]["userpass/"]["accessor"].clone();
    let second = json!({"mfa_method_ids": [other], "auth_method_accessors": [accessor]});
    put(&bob.server, "identity/mfa/login-enforcement/second", second).await;
    let entity =
        bob.server.put("identity/lookup/entity", json!({"alias_name": "bob", "alias_mount_accessor": accessor}));
    let program = Program::of(&bob.server, &other, &json!(entity.await.unwrap().text("id"))).await;
    bob.forget().await;
    let one = with_factor(&bob.server, &[format!("app:{code}")]).await;
    assert_eq!(one.status(), 403);
    bob.forget().await;
    let both = with_factor(&bob.server, &[format!("app:{code}"), format!("other:{}", program.code(0))]).await;
    let both: Value = both.json().await.unwrap();
    assert!(both["auth"]["client_token"].as_str().is_some_and(|token| !token.is_empty()), "{both}");
    // The same in two steps: both in one request.
    bob.forget().await;
    let waits = put(&bob.server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
    let told = requirement(&waits);
    let constraints: Vec<&String> = told["mfa_constraints"].as_object().unwrap().keys().collect();
    assert_eq!(constraints, ["people", "second"]);
    let body = json!({"mfa_request_id": told["mfa_request_id"], "mfa_payload": {"app": [code], "other": format!("passcode={}", program.code(0))}});
    done(&bob.server.put("sys/mfa/validate", body).await.unwrap(), 200);
    // The person's own second factor of userpass is asked for beside that.
    let enrolled = put(&bob.server, "auth/userpass/users/bob/totp", json!({})).await;
    let own = |steps: u64| {
        tests::totp(enrolled.text("secret"), UNIX_EPOCH.elapsed().unwrap().as_secs() + steps * 30).unwrap()
    };
    put(&bob.server, "auth/userpass/users/bob/totp/confirm", json!({"passcode": own(0)})).await;
    let login = json!({"password": "pw", "passcode": own(1)});
    requirement(&put(&bob.server, "auth/userpass/login/bob", login).await);
}

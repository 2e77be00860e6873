//! What was taken away, disabled or changed while a login waits for its second factor.

use super::{Bob, Program, done, method, put, requirement, started, told, validate};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tests::{Answer, Server};

/// The login is refused, and tells that it is not the code.
fn ended(answer: &Answer) {
    told(answer, 403, "permission denied");
}

async fn delete(server: &Server, path: &str) {
    done(&server.ask(Method::DELETE, path, None).await.unwrap(), 204);
}

#[tokio::test]
async fn who_was_disabled_deleted_or_given_another_password_between_the_factors_gets_nothing() {
    let bob = Bob::new().await;
    let (server, code, user) = (&bob.server, bob.program.code(0), "auth/userpass/users/bob");
    let entity = bob.entity().await;
    let request = bob.request().await;
    put(server, &entity, json!({"disabled": true})).await;
    ended(&bob.validate(server, &request, &code).await);
    put(server, &entity, json!({"disabled": false})).await;
    // No code was spent by that, and the login goes on as soon as it may.
    done(&bob.validate(server, &request, &code).await, 200);

    bob.forget().await;
    let request = bob.request().await;
    delete(server, user).await;
    ended(&bob.validate(server, &request, &code).await);
    // Somebody of the same name is no reason to go on with a login of before.
    put(server, user, json!({"password": "pw"})).await;
    ended(&bob.validate(server, &request, &code).await);
    let request = bob.request().await;
    put(server, user, json!({"password": "another"})).await;
    ended(&bob.validate(server, &request, &code).await);
    put(server, user, json!({"password": "pw"})).await;
    // What tokens are like is not what it was, either.
    let request = bob.request().await;
    put(server, user, json!({"token_policies": "p2"})).await;
    ended(&bob.validate(server, &request, &code).await);
    let request = bob.request().await;
    let given = bob.validate(server, &request, &code).await;
    assert_eq!(given.body["auth"]["policies"], json!(["default", "p2"]), "{given:?}");
    // Out of the service, by a row that is the service's own no more.
    let request = bob.request().await;
    bob.forget().await;
    assert_eq!(bob.sql("UPDATE users SET status = 'inactive' WHERE username = 'bob'").await, 1);
    done(&bob.validate(server, &request, &code).await, 500);
}

#[tokio::test]
async fn who_logs_in_with_a_secret_id_that_is_destroyed_or_a_role_that_is_gone_gets_nothing() {
    let (site, server) = started().await;
    put(&server, "sys/auth/approle", json!({"type": "approle"})).await;
    let role = json!({"role_id": "r", "token_policies": "p1"});
    put(&server, "auth/approle/role/r", role.clone()).await;
    let method = method(&server, "app").await;
    let secret = async |uses: u32| {
        put(&server, "auth/approle/role/r/secret-id", json!({"num_uses": uses})).await.text("secret_id").to_owned()
    };
    let login =
        async |secret: &str| put(&server, "auth/approle/login", json!({"role_id": "r", "secret_id": secret})).await;
    let first = secret(0).await;
    let program = Program::of(&server, &method, &login(&first).await.body["auth"]["entity_id"]).await;
    let all = json!({"mfa_method_ids": [method], "auth_method_types": "approle"});
    put(&server, "identity/mfa/login-enforcement/all", all).await;
    let waits = async |secret: &str| requirement(&login(secret).await)["mfa_request_id"].as_str().unwrap().to_owned();
    let mut superuser = site.core.superuser().await.unwrap();
    let mut finish = async |request: &str| {
        // Codes count as not taken yet.
        sqlx::query("UPDATE mfa_secrets SET last_step = NULL").execute(&mut superuser).await.unwrap();
        validate(&server, &method, request, &program.code(0)).await
    };

    // One of several uses, and the last one, with which the SecretID itself is gone: each is good for the login that it was spent on.
    let twice = secret(2).await;
    let (one, last) = (waits(&twice).await, waits(&twice).await);
    done(&finish(&one).await, 200);
    done(&finish(&last).await, 200);
    // Destroyed, by its text and by its accessor; another's logins go on.
    let (second, third) = (secret(0).await, secret(2).await);
    let (of_first, of_second, of_third) = (waits(&first).await, waits(&second).await, waits(&third).await);
    put(&server, "auth/approle/role/r/secret-id/destroy", json!({"secret_id": second})).await;
    let found = put(&server, "auth/approle/role/r/secret-id/lookup", json!({"secret_id": third})).await;
    let accessor = json!({"secret_id_accessor": found.text("secret_id_accessor")});
    put(&server, "auth/approle/role/r/secret-id-accessor/destroy", accessor).await;
    told(&finish(&of_second).await, 400, "invalid request ID");
    told(&finish(&of_third).await, 400, "invalid request ID");
    done(&finish(&of_first).await, 200);

    // The role was changed, or deleted and made anew.
    let request = waits(&first).await;
    put(&server, "auth/approle/role/r", json!({"token_policies": "p2"})).await;
    ended(&finish(&request).await);
    let request = waits(&first).await;
    let given = finish(&request).await;
    assert_eq!(given.body["auth"]["policies"], json!(["default", "p2"]), "{given:?}");
    let request = waits(&first).await;
    delete(&server, "auth/approle/role/r").await;
    ended(&finish(&request).await);
    put(&server, "auth/approle/role/r", role).await;
    ended(&finish(&request).await);

    // By SQL no login is made another SecretID's.
    let fourth = secret(0).await;
    let request = waits(&fourth).await;
    let mut superuser = site.core.superuser().await.unwrap();
    let hidden = "UPDATE pending_logins SET secret_id_id = NULL WHERE secret_id_id IS NOT NULL";
    assert!(sqlx::query(hidden).execute(&mut superuser).await.unwrap().rows_affected() > 0);
    done(&finish(&request).await, 500);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_login_does_not_wait_longer_than_its_secret_id_is_good() {
    let (_site, server) = started().await;
    put(&server, "sys/auth/approle", json!({"type": "approle"})).await;
    put(&server, "auth/approle/role/r", json!({"role_id": "r", "token_policies": "p1"})).await;
    let method = method(&server, "app").await;
    let secret = async |ttl: u32| {
        put(&server, "auth/approle/role/r/secret-id", json!({"ttl": ttl})).await.text("secret_id").to_owned()
    };
    let login =
        async |secret: &str| put(&server, "auth/approle/login", json!({"role_id": "r", "secret_id": secret})).await;
    let program = Program::of(&server, &method, &login(&secret(0).await).await.body["auth"]["entity_id"]).await;
    let all = json!({"mfa_method_ids": [method], "auth_method_types": "approle"});
    put(&server, "identity/mfa/login-enforcement/all", all).await;
    let (short, long) = (secret(5).await, secret(3600).await);
    let (of_short, of_long) = (login(&short).await, login(&long).await);
    let request = |answer: &Answer| requirement(answer)["mfa_request_id"].as_str().unwrap().to_owned();
    tests::until(Duration::from_secs(20), "the SecretID ends", 204, async || {
        let named = json!({"secret_id": short});
        server.put("auth/approle/role/r/secret-id/lookup", named).await.unwrap().status.as_u16()
    })
    .await;
    told(&validate(&server, &method, &request(&of_short), &program.code(0)).await, 400, "invalid request ID");
    done(&validate(&server, &method, &request(&of_long), &program.code(0)).await, 200);
}

//! Whoever logged in before: what the servers keep of that, and what ends it.

use super::{done, login, post, role_id, secret_id, started, told};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use std::time::Duration;
use tests::{Server, found, until};

/// In which every server has heard of a change.
const SOON: Duration = Duration::from_secs(20);

/// A role `r` with a SecretID that has logged in at that server before.
async fn known(server: &mut Server) -> (String, String) {
    done(&post(server, "role/r", json!({"token_policies": "p1"})).await, 204);
    let id = role_id(server, "r").await;
    let (secret, _) = secret_id(server, "r", json!({})).await;
    for _ in 0..3 {
        done(&login(server, &id, &secret).await, 200);
    }
    (id, secret)
}

async fn status(server: &mut Server, role: &str, secret: &str) -> u16 {
    login(server, role, secret).await.status.as_u16()
}

#[tokio::test]
async fn whoever_logged_in_before_is_not_looked_for_again() {
    let (site, mut server) = started().await;
    let (id, secret) = known(&mut server).await;
    let mut superuser = site.core.superuser().await.unwrap();
    let root = server.token.clone();
    // A server that cannot be sure to hear of changes looks for everybody; so not only once.
    found(SOON, "a login that is known", async || {
        superuser.execute("BEGIN; LOCK TABLE entities, entity_aliases, group_members, access_policies").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(2), login(&mut server, &id, &secret)).await;
        superuser.execute("ROLLBACK").await.unwrap();
        server.token.clone_from(&root);
        answer.map_err(|_| "it waits for tables that are locked".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_known_login_gets_nothing_of_a_role_or_secret_id_that_another_server_has_changed() {
    let (site, mut server) = started().await;
    let other = site.serve_for(&server.token).await.unwrap();
    let (id, secret) = known(&mut server).await;
    // At once: nobody waits until the server has heard.
    done(&post(&other, "role/r", json!({"token_policies": "p2"})).await, 204);
    assert_eq!(login(&mut server, &id, &secret).await.body["auth"]["policies"], json!(["default", "p2"]));
    done(&post(&other, "role/r", json!({"secret_id_bound_cidrs": "10.0.0.0/8"})).await, 204);
    told(&login(&mut server, &id, &secret).await, 400, "unauthorized by CIDR restrictions");
    done(&post(&other, "role/r", json!({"secret_id_bound_cidrs": ""})).await, 204);
    for _ in 0..2 {
        done(&login(&mut server, &id, &secret).await, 200);
    }
    done(&post(&other, "role/r/secret-id/destroy", json!({"secret_id": secret})).await, 204);
    told(&login(&mut server, &id, &secret).await, 400, "invalid role or secret ID");

    let (secret, _) = secret_id(&other, "r", json!({})).await;
    for _ in 0..2 {
        done(&login(&mut server, &id, &secret).await, 200);
    }
    done(&other.ask(Method::DELETE, "auth/approle/role/r", None).await.unwrap(), 204);
    told(&login(&mut server, &id, &secret).await, 400, "invalid role or secret ID");
    // Another role of that RoleID knows nothing of it.
    done(&post(&other, "role/r", json!({"role_id": id})).await, 204);
    told(&login(&mut server, &id, &secret).await, 400, "invalid role or secret ID");
}

#[tokio::test]
async fn a_known_login_is_of_who_it_is_now() {
    let (site, mut server) = started().await;
    let other = site.serve_for(&server.token).await.unwrap();
    let (id, secret) = known(&mut server).await;
    let auth = async |server: &mut Server| login(server, &id, &secret).await.body["auth"].clone();
    let entity = auth(&mut server).await["entity_id"].as_str().unwrap().to_owned();
    let change = async |server: &Server, path: &str, body: Value| {
        let answer = server.put(path, body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    };
    // At the server that made the change at once, at others when they have heard.
    let of_entity = format!("identity/entity/id/{entity}");
    change(&server, &of_entity, json!({"disabled": true})).await;
    assert_eq!(status(&mut server, &id, &secret).await, 403);
    change(&other, &of_entity, json!({"disabled": false})).await;
    until(SOON, "enabled again", 200, async || status(&mut server, &id, &secret).await).await;

    change(&server, "identity/group/name/g", json!({"member_entity_ids": [entity], "policies": ["p2"]})).await;
    assert_eq!(auth(&mut server).await["identity_policies"], json!(["p2"]));
    change(&other, "identity/group/name/g", json!({"policies": ["p1"]})).await;
    until(SOON, "the group's other policy", json!(["p1"]), async || {
        auth(&mut server).await["identity_policies"].clone()
    })
    .await;
    change(&other, "identity/group/name/g", json!({"member_entity_ids": []})).await;
    until(SOON, "of no group", Value::Null, async || auth(&mut server).await["identity_policies"].clone()).await;

    // A second factor is asked for as soon as it is wanted of the entity.
    let method = server.put("identity/mfa/method/totp", json!({"method_name": "app", "issuer": "us"})).await.unwrap();
    let wanted = json!({"mfa_method_ids": [method.text("method_id")], "identity_entity_ids": [entity]});
    change(&other, "identity/mfa/login-enforcement/all", wanted).await;
    until(SOON, "a second factor", true, async || auth(&mut server).await["mfa_requirement"].is_object()).await;
    done(&other.ask(Method::DELETE, "identity/mfa/login-enforcement/all", None).await.unwrap(), 204);
    until(SOON, "no second factor", 200, async || status(&mut server, &id, &secret).await).await;

    // Whose entity is gone is somebody new, and his token is good.
    done(&server.ask(Method::DELETE, &of_entity, None).await.unwrap(), 204);
    let anew = auth(&mut server).await;
    assert_ne!(anew["entity_id"], json!(entity));
    let token = anew["client_token"].as_str().unwrap();
    assert_eq!(super::as_token(&mut server, token, "sys/mounts").await, 200);
}

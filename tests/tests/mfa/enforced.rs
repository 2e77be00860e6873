//! Whom an enforcement means.

use super::{done, method, put, started};
use reqwest::Method;
use serde_json::json;
use std::time::UNIX_EPOCH;
use tests::Issuer;

#[tokio::test]
async fn an_enforcement_means_its_entities_and_groups_and_nobody_else() {
    let (_site, server) = started().await;
    put(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    put(&server, "sys/auth/jwt", json!({"type": "jwt"})).await;
    put(&server, "auth/jwt/config", json!({"oidc_discovery_url": issuer.url()})).await;
    let role = json!({"role_type": "jwt", "user_claim": "sub", "groups_claim": "groups", "bound_claims": {"iss": issuer.url()}});
    put(&server, "auth/jwt/role/r", role).await;
    let mut entities = Vec::new();
    for name in ["bob", "eve"] {
        put(&server, &format!("auth/userpass/users/{name}"), json!({"password": "pw"})).await;
        let given = put(&server, &format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await;
        entities.push(given.body["auth"]["entity_id"].clone());
    }
    let waits = async |name: &str| {
        let answer = put(&server, &format!("auth/userpass/login/{name}"), json!({"password": "pw"})).await;
        answer.body["auth"]["client_token"] == ""
    };
    let method = method(&server, "").await;
    let path = "identity/mfa/login-enforcement/e";
    put(&server, path, json!({"mfa_method_ids": [method], "identity_entity_ids": [entities[0]]})).await;
    assert!(waits("bob").await && !waits("eve").await);
    // Through a group in a group.
    let inner = put(&server, "identity/group", json!({"name": "inner", "member_entity_ids": [entities[1]]})).await;
    let outer = put(&server, "identity/group", json!({"name": "outer", "member_group_ids": [inner.text("id")]})).await;
    put(&server, path, json!({"identity_entity_ids": [], "identity_group_ids": [outer.text("id")]})).await;
    assert!(!waits("bob").await && waits("eve").await);
    // And one that the very login brings into such a group, of whom nobody knew before.
    let external = json!({"name": "external", "type": "external"});
    let external = put(&server, "identity/group", external).await;
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["jwt/"]["accessor"].clone();
    let alias = json!({"name": "devs", "canonical_id": external.text("id"), "mount_accessor": accessor});
    put(&server, "identity/group-alias", alias).await;
    let members = json!({"id": outer.text("id"), "member_group_ids": [inner.text("id"), external.text("id")]});
    put(&server, "identity/group", members).await;
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (name, groups, waits) in [("dev", json!(["devs"]), true), ("other", json!(["others"]), false)] {
        let claims = json!({"iss": issuer.url(), "sub": name, "iat": now, "exp": now + 600, "groups": groups});
        let jwt = issuer.sign(&claims).unwrap();
        let answer = put(&server, "auth/jwt/login", json!({"role": "r", "jwt": jwt})).await;
        assert_eq!(answer.body["auth"]["client_token"] == "", waits, "{answer:?}");
    }
    done(&server.ask(Method::DELETE, path, None).await.unwrap(), 204);
    assert!(!waits("eve").await);
}

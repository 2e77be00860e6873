//! Methods, enforcements and secrets, as they are made, changed and taken away.

use super::{Bob, FAILED, Program, done, method, put, told};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn methods_and_enforcements_are_made_read_changed_listed_and_deleted() {
    let bob = Bob::new().await;
    let (server, id) = (&bob.server, &bob.method);
    let shown = server.get(&format!("identity/mfa/method/totp/{id}")).await.unwrap();
    let usual = json!({"algorithm": "SHA1", "digits": 6, "id": id, "issuer": "Our keys", "key_size": 20, "max_validation_attempts": 5, "name": "app",
        "namespace_id": "root", "namespace_path": "", "period": 30, "qr_size": 0, "skew": 1, "type": "totp"});
    assert_eq!(shown.body["data"], usual);
    assert_eq!(server.get(&format!("identity/mfa/method/{id}")).await.unwrap().body["data"], usual);
    let list = Method::from_bytes(b"LIST").unwrap();
    let listed = server.ask(list.clone(), "identity/mfa/method/totp", None).await.unwrap();
    assert_eq!(listed.body["data"], json!({"keys": [id], "key_info": {id.as_str(): usual}}));
    let listed = server.ask(list, "identity/mfa/login-enforcement", None).await.unwrap();
    assert_eq!(listed.body["data"]["keys"], json!(["people"]));
    let read = server.get("identity/mfa/login-enforcement/people").await.unwrap();
    assert_eq!(
        (&read.body["data"]["mfa_method_ids"], &read.body["data"]["auth_method_types"]),
        (&json!([id]), &json!(["userpass"]))
    );
    for (field, value, why) in [
        ("issuer", json!(""), "issuer must be set"),
        ("algorithm", json!("MD5"), "algorithm must be one of"),
        ("digits", json!(7), "digits can only be 6 or 8"),
        ("skew", json!(2), "skew must be 0 or 1"),
        ("period", json!(0), "period must be greater"),
        ("key_size", json!(8), "key_size must be between"),
        ("method_name", json!("app"), "belongs to another method"),
    ] {
        let mut wrong = json!({"issuer": "x"});
        wrong[field] = value;
        told(&server.put("identity/mfa/method/totp", wrong).await.unwrap(), 400, why);
    }
    for (body, why) in [
        (json!({"auth_method_types": "userpass"}), "missing method ids"),
        (json!({"mfa_method_ids": [id]}), "must be specified"),
        (json!({"mfa_method_ids": [uuid::Uuid::nil()], "auth_method_types": "userpass"}), "does not exist"),
        (json!({"mfa_method_ids": [id], "auth_method_types": "nosuch"}), "no type of auth method"),
        (json!({"mfa_method_ids": [id], "auth_method_accessors": "nosuch"}), "no auth method has the accessor"),
        (json!({"mfa_method_ids": [id], "identity_entity_ids": [uuid::Uuid::nil()]}), "no entity has the id"),
        (json!({"mfa_method_ids": [id], "identity_group_ids": [uuid::Uuid::nil()]}), "no group has the id"),
    ] {
        told(&server.put("identity/mfa/login-enforcement/wrong", body).await.unwrap(), 400, why);
    }
    // A secret that was given stays what it is, whatever its method becomes.
    let change = json!({"digits": 8, "algorithm": "SHA256", "period": 60});
    put(server, &format!("identity/mfa/method/totp/{id}"), change).await;
    let request = bob.request().await;
    done(&bob.validate(server, &request, &bob.program.code(0)).await, 200);

    // Who has a secret is given no other; taken away, no code is one.
    let accessor = server.get("sys/auth").await.unwrap().body["data"]["userpass/"]["accessor"].clone();
    let looked_up =
        server.put("identity/lookup/entity", json!({"alias_name": "bob", "alias_mount_accessor": accessor}));
    let entity = looked_up.await.unwrap().text("id").to_owned();
    let whose = json!({"method_id": id, "entity_id": entity});
    let again = server.put("identity/mfa/method/totp/admin-generate", whose.clone()).await.unwrap();
    assert!(
        again.body["data"].is_null() && again.body["warnings"][0].as_str().unwrap().contains("already has"),
        "{again:?}"
    );
    let request = bob.request().await;
    put(server, "identity/mfa/method/totp/admin-destroy", whose.clone()).await;
    told(&bob.validate(server, &request, &bob.program.code(1)).await, 403, FAILED);
    let in_use = server.ask(Method::DELETE, &format!("identity/mfa/method/totp/{id}"), None).await.unwrap();
    told(&in_use, 400, "still used by an enforcement");

    // A person makes a secret of one's own, with eight digits now; it goes with its method.
    done(&server.ask(Method::DELETE, "identity/mfa/login-enforcement/people", None).await.unwrap(), 204);
    let policy = json!({"policy": "path \"identity/mfa/method/totp/generate\" { capabilities = [\"update\"] }"});
    put(server, "sys/policies/acl/p1", policy).await;
    let given = put(server, "auth/userpass/login/bob", json!({"password": "pw"})).await;
    let own = reqwest::Client::new()
        .put(format!("{}/v1/identity/mfa/method/totp/generate", server.address()))
        .header("X-Vault-Token", given.body["auth"]["client_token"].as_str().unwrap())
        .body(json!({"method_id": id}).to_string())
        .send()
        .await
        .unwrap();
    let own: Value = own.json().await.unwrap();
    let url = own["data"]["url"].as_str().unwrap();
    assert!(url.contains("digits=8") && url.contains("algorithm=SHA256") && url.contains("period=60"), "{url}");
    done(&server.ask(Method::DELETE, &format!("identity/mfa/method/totp/{id}"), None).await.unwrap(), 204);
    assert_eq!(bob.sql("DELETE FROM mfa_secrets").await, 0);
    done(&server.get(&format!("identity/mfa/method/totp/{id}")).await.unwrap(), 404);
    // An entity takes its secrets along.
    let method = method(server, "later").await;
    Program::of(server, &method, &json!(entity)).await;
    done(&server.ask(Method::DELETE, &format!("identity/entity/id/{entity}"), None).await.unwrap(), 204);
    assert_eq!(bob.sql("DELETE FROM mfa_secrets").await, 0);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

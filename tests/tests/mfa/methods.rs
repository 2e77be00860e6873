//! Every login method waits, and gives then what it gave without a second factor.

use super::{Program, method, put, requirement};
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use tests::{Authority, Issuer, Site, StandIn};

#[tokio::test]
async fn every_login_method_waits_for_a_code_and_then_gives_the_token_it_gave_before() {
    let site = Site::ready("").await.unwrap();
    let authority = Authority::create("outside").unwrap();
    site.protect(&authority, "").unwrap();
    site.present(&authority.issue("client").unwrap()).unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let issuer = Issuer::start(Vec::new()).await.unwrap();
    let account = json!({"username": "system:serviceaccount:prod:app", "uid": "1"});
    let review = json!({"kind": "TokenReview", "status": {"authenticated": true, "user": account}}).to_string();
    let cluster = StandIn::start(move |_| (201, review.clone())).await.unwrap();
    for kind in ["approle", "cert", "jwt", "kubernetes", "oidc", "userpass"] {
        put(&server, &format!("sys/auth/{kind}"), json!({"type": kind})).await;
    }
    let config = json!({"oidc_discovery_url": issuer.url(), "oidc_client_id": Issuer::CLIENT.0, "oidc_client_secret": Issuer::CLIENT.1});
    for (path, body) in [
        ("approle/role/r", json!({"role_id": "r", "token_policies": "p1"})),
        ("approle/role/r/custom-secret-id", json!({"secret_id": "chosen"})),
        ("cert/certs/r", json!({"certificate": authority.pem, "token_policies": "p1"})),
        ("jwt/config", config.clone()),
        ("jwt/role/r", json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "me", "token_policies": "p1"})),
        ("kubernetes/config", json!({"kubernetes_host": cluster.url()})),
        (
            "kubernetes/role/r",
            json!({"bound_service_account_names": "app", "bound_service_account_namespaces": "prod", "token_policies": "p1"}),
        ),
        ("oidc/config", config),
        ("oidc/role/r", json!({"user_claim": "sub", "allowed_redirect_uris": "https://here/", "token_policies": "p1"})),
        ("userpass/users/bob", json!({"password": "pw", "token_policies": "p1"})),
    ] {
        put(&server, &format!("auth/{path}"), body).await;
    }
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let jwt = issuer.sign(&json!({"iss": issuer.url(), "sub": "me", "iat": now, "exp": now + 600})).unwrap();
    let logins = [
        ("approle/login", json!({"role_id": "r", "secret_id": "chosen"})),
        ("cert/login", json!({"name": "r"})),
        ("jwt/login", json!({"role": "r", "jwt": jwt})),
        ("kubernetes/login", json!({"role": "r", "jwt": "a-token"})),
        ("oidc/oidc/callback", Value::Null),
        ("userpass/login/bob", json!({"password": "pw"})),
    ];
    let login = async |path: &str, body: &Value| {
        let mut body = body.clone();
        if body.is_null() {
            let url =
                put(&server, "auth/oidc/oidc/auth_url", json!({"role": "r", "redirect_uri": "https://here/"})).await;
            let (state, code) = issuer.browse(url.text("auth_url")).await.unwrap();
            body = json!({"state": state, "code": code});
        }
        put(&server, &format!("auth/{path}"), body).await
    };
    let method = method(&server, "app").await;
    let mut before = Vec::new();
    for (path, body) in &logins {
        let given = login(path, body).await;
        let auth = given.body["auth"].clone();
        assert!(!auth["client_token"].as_str().unwrap().is_empty(), "{path}: {auth}");
        before.push((Program::of(&server, &method, &auth["entity_id"]).await, auth));
    }
    let types = json!(["approle", "cert", "jwt", "kubernetes", "oidc", "userpass"]);
    let all = json!({"mfa_method_ids": [method], "auth_method_types": types});
    put(&server, "identity/mfa/login-enforcement/all", all).await;
    for ((path, body), (program, without)) in logins.iter().zip(&before) {
        let waits = login(path, body).await;
        let requirement = requirement(&waits);
        let any = json!([{"type": "totp", "id": method, "uses_passcode": true, "name": "app"}]);
        assert_eq!(requirement["mfa_constraints"], json!({"all": {"any": any}}), "{path}");
        let warning = waits.body["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("A login request was issued that is subject to MFA validation."), "{warning}");
        let payload = json!({method.as_str(): [program.code(0)]});
        let body = json!({"mfa_request_id": requirement["mfa_request_id"], "mfa_payload": payload});
        let given = put(&server, "sys/mfa/validate", body).await;
        let auth = &given.body["auth"];
        for field in ["policies", "metadata", "entity_id", "lease_duration", "token_type", "orphan", "renewable"] {
            assert_eq!(auth[field], without[field], "{path}: {field}");
        }
        let looked_up = put(&server, "auth/token/lookup", json!({"token": auth["client_token"]})).await;
        assert_eq!(looked_up.text("path"), format!("auth/{path}"));
    }
    let mut superuser = site.core.superuser().await.unwrap();
    let of_type = "SELECT string_agg(event_data ->> 'login', ' ' ORDER BY event_data ->> 'login') FROM audit_log WHERE event_type = 'login.suspend'";
    let waited: String = sqlx::query_scalar(of_type).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(waited, "login.approle login.cert login.jwt login.kubernetes login.oidc login.userpass");
    let by_code =
        "SELECT count(*) FROM audit_log WHERE event_type LIKE 'login.%' AND event_data ->> 'second_factor' = 'mfa'";
    let given: i64 = sqlx::query_scalar(by_code).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(given, 6);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

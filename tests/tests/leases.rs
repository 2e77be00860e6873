//! Leases of tokens: found by where they were made, looked at, ended.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Server, Site};

async fn list(server: &Server, path: &str) -> Answer {
    server.ask(Method::from_bytes(b"LIST").unwrap(), path, None).await.unwrap()
}

async fn login(server: &Server, user: &str) -> String {
    let answer = server.put(&format!("auth/userpass/login/{user}"), json!({"password": "pw"})).await.unwrap();
    answer.body["auth"]["client_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn is_good(server: &mut Server, token: &str) -> bool {
    let own = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.get("auth/token/lookup-self").await.unwrap();
    server.token = own;
    answer.status == 200
}

fn refused(answer: &Answer, text: &str) {
    assert_eq!((answer.status.as_u16(), answer.error()), (400, text), "{answer:?}");
}

#[tokio::test]
async fn logins_have_leases_that_are_listed_looked_up_and_ended() {
    let (site, mut server) = Site::started("").await.unwrap();
    server.put("sys/auth/userpass", json!({"type": "userpass"})).await.unwrap();
    for user in ["bob", "bobby", "eve"] {
        server.put(&format!("auth/userpass/users/{user}"), json!({"password": "pw", "token_ttl": "1h"})).await.unwrap();
    }
    assert_eq!(list(&server, "sys/leases/lookup/auth/userpass").await.status, 404);
    let (first, second, other) =
        (login(&server, "bob").await, login(&server, "bob").await, login(&server, "eve").await);
    let namesake = login(&server, "bobby").await;
    let keys = |answer: Answer| -> Vec<String> { serde_json::from_value(answer.body["data"]["keys"].clone()).unwrap() };
    assert_eq!(keys(list(&server, "sys/leases/lookup/auth/userpass").await), ["login/"]);
    // All of them are as little anybody's business as some.
    let wide = r#"path "sys/leases/lookup*" { capabilities = ["list"] }"#;
    server.put("sys/policies/acl/wide", json!({"policy": wide})).await.unwrap();
    // Without `default`, whose own rule on that path would decide.
    let wanted = json!({"policies": ["wide"], "no_default_policy": true});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    let wide = made.body["auth"]["client_token"].as_str().unwrap();
    let (_, root) = server.enter("", wide);
    for path in ["sys/leases/lookup", "sys/leases/lookup/", "sys/leases/lookup/auth/userpass"] {
        assert_eq!(list(&server, path).await.status, 403, "{path}");
    }
    server.enter("", &root);
    assert!(keys(list(&server, "sys/leases/lookup").await).contains(&"auth/".to_owned()));
    server.put("auth/token/revoke", json!({"token": wide})).await.unwrap();
    assert_eq!(keys(list(&server, "sys/leases/lookup/auth/userpass/login/").await), ["bob/", "bobby/", "eve/"]);
    let bobs = keys(list(&server, "sys/leases/lookup/auth/userpass/login/bob").await);
    assert!(bobs.len() == 2 && bobs.iter().all(|key| key.starts_with('h') && key.len() == 65), "{bobs:?}");

    let id = format!("auth/userpass/login/bob/{}", bobs[0]);
    let lease = server.put("sys/leases/lookup", json!({"lease_id": id})).await.unwrap();
    let data = &lease.body["data"];
    assert_eq!((&data["id"], &data["path"]), (&json!(id), &json!("auth/userpass/login/bob")));
    assert_eq!((&data["renewable"], &data["last_renewal"]), (&json!(true), &Value::Null));
    assert!((3590..=3600).contains(&data["ttl"].as_u64().unwrap()), "{lease:?}");
    refused(&server.put("sys/leases/lookup", json!({"lease_id": "bad"})).await.unwrap(), "invalid lease");
    refused(&server.put("sys/leases/lookup", json!({})).await.unwrap(), "lease_id must be specified");
    let renew = server.put("sys/leases/renew", json!({"lease_id": id, "increment": 60})).await.unwrap();
    refused(&renew, "tokens cannot be renewed through this endpoint");
    refused(&server.put("sys/leases/renew", json!({"lease_id": "bad"})).await.unwrap(), "lease not found");

    assert_eq!(server.put("sys/leases/revoke", json!({"lease_id": "bad"})).await.unwrap().status, 204);
    assert_eq!(server.put("sys/leases/revoke", json!({"lease_id": id})).await.unwrap().status, 204);
    let left = [is_good(&mut server, &first).await, is_good(&mut server, &second).await];
    assert_eq!(left.iter().filter(|good| **good).count(), 1, "one of bob's tokens has ended");
    let revoked = server.put("sys/leases/revoke-prefix/auth/userpass/login/bob", json!({"sync": true})).await.unwrap();
    assert_eq!(revoked.status, 204);
    assert!(!is_good(&mut server, &first).await && !is_good(&mut server, &second).await);
    assert!(is_good(&mut server, &other).await, "another's");
    assert!(is_good(&mut server, &namesake).await, "that of somebody whose name begins like his");
    assert_eq!(server.put("sys/leases/revoke-force/auth/userpass", json!({})).await.unwrap().status, 204);
    assert!(!is_good(&mut server, &other).await);
    assert_eq!(server.put("sys/leases/revoke-force/none", json!({})).await.unwrap().status, 204);
    assert_eq!(server.get("sys/leases/count").await.unwrap().status, 404);
    let count = server.get("sys/leases/count?type=irrevocable").await.unwrap();
    assert_eq!(count.body["data"], json!({"lease_count": 0, "counts": {}}));
    let tokens = server.get("sys/internal/counters/tokens").await.unwrap();
    assert_eq!(tokens.body["data"]["counters"]["service_tokens"]["total"], 1, "the root token");
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

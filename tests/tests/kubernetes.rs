//! Logging in as a service account; a small server of the test's own is the cluster's API server.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use tests::{Answer, Asked, Server, Site, StandIn};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// As the API server answers: it knows `app` of `prod` by `token-of-app`, with the audience `clm`.
fn review(asked: &Asked) -> (u16, String) {
    if (asked.method.as_str(), asked.path.as_str()) != ("POST", REVIEWS) {
        return (404, "{}".into());
    }
    if asked.headers.get("authorization").is_none_or(|bearer| bearer != "Bearer the-reviewer") {
        return (401, json!({"kind": "Status", "code": 401}).to_string());
    }
    let question: Value = serde_json::from_slice(&asked.body).unwrap();
    let spec = &question["spec"];
    let status = match spec["token"].as_str().unwrap() {
        "token-of-app" => json!({
            "authenticated": true,
            "user": {"username": "system:serviceaccount:prod:app", "uid": "d77f89bc", "groups": ["system:serviceaccounts"]},
            "audiences": spec.get("audiences").cloned().unwrap_or(json!(["https://kubernetes.default.svc"])),
        }),
        "token-of-a-person" => json!({"authenticated": true, "user": {"username": "admin", "uid": "1"}}),
        _ => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
    };
    let answer =
        json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": spec, "status": status});
    (201, answer.to_string())
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.put(&format!("auth/kubernetes/{path}"), body).await.unwrap()
}

fn done(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

#[tokio::test]
async fn a_service_account_that_its_cluster_vouches_for_logs_in() {
    let (site, server) = Site::started("").await.unwrap();
    done(&server.put("sys/auth/kubernetes", json!({"type": "kubernetes"})).await.unwrap(), 204);
    let cluster = StandIn::start(review).await.unwrap();
    let login = async |role: &str, jwt: &str| post(&server, "login", json!({"role": role, "jwt": jwt})).await;
    let role = json!({"bound_service_account_names": "app", "bound_service_account_namespaces": ["prod", "test-*"],
        "audience": "clm", "token_policies": "p1", "ttl": "20m", "num_uses": 7});
    done(&post(&server, "role/web", role).await, 204);
    told(&login("web", "token-of-app").await, 400, "could not load backend configuration");
    let config = json!({"kubernetes_host": cluster.url(), "token_reviewer_jwt": "the-reviewer"});
    done(&post(&server, "config", config).await, 204);
    let shown = server.get("auth/kubernetes/config").await.unwrap();
    assert_eq!(shown.body["data"]["token_reviewer_jwt_set"], true);
    assert!(!shown.body.to_string().contains("the-reviewer"), "{shown:?}");

    let answer = login("web", "token-of-app").await;
    done(&answer, 200);
    let auth = &answer.body["auth"];
    assert_eq!(
        (&auth["policies"], &auth["lease_duration"], &auth["num_uses"]),
        (&json!(["default", "p1"]), &json!(1200), &json!(7))
    );
    done(&post(&server, "role/web", json!({"bound_cidrs": "10.1.0.0/16"})).await, 204);
    told(&login("web", "token-of-app").await, 403, "permission denied");
    done(&post(&server, "role/web", json!({"bound_cidrs": []})).await, 204);
    assert_eq!(
        auth["metadata"],
        json!({"role": "web", "service_account_name": "app", "service_account_namespace": "prod",
            "service_account_secret_name": "", "service_account_uid": "d77f89bc"})
    );
    let entity = server.get(&format!("identity/entity/id/{}", auth["entity_id"].as_str().unwrap())).await.unwrap();
    assert_eq!(entity.body["data"]["aliases"][0]["name"], "d77f89bc");
    let question: Value = serde_json::from_slice(&cluster.asked()[0].body).unwrap();
    assert_eq!(
        question,
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "token-of-app", "audiences": ["clm"]}})
    );

    for jwt in ["token-of-nobody", "token-of-a-person", "not a token"] {
        told(&login("web", jwt).await, 403, "permission denied");
    }
    for (names, namespaces, status, why) in [
        ("other", "prod", 403, "service account name not authorized"),
        ("app", "test", 403, "namespace not authorized"),
        ("*", "prod", 200, ""),
        ("a*", "pr*d", 200, ""),
    ] {
        let role = json!({"bound_service_account_names": names, "bound_service_account_namespaces": namespaces,
            "alias_name_source": "serviceaccount_name"});
        done(&post(&server, "role/narrow", role).await, 204);
        let answer = login("narrow", "token-of-app").await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(status == 200 || answer.error().contains(why), "{answer:?}");
    }
    for (role, why) in [
        (json!({"bound_service_account_namespaces": "x"}), "can not be empty"),
        (json!({"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}), "can not both be"),
    ] {
        told(&post(&server, "role/wrong", role).await, 400, why);
    }
    told(&login("absent", "token-of-app").await, 400, "invalid role name");

    // What the reviewer is in the database says nobody who reads it.
    let mut superuser = site.core.superuser().await.unwrap();
    let stored: String =
        sqlx::query_scalar("SELECT config::text FROM auth_configs").fetch_one(&mut superuser).await.unwrap();
    assert!(!stored.contains("the-reviewer") && !stored.contains(&hex::encode("the-reviewer")), "{stored}");
    // An API server that does not let itself be asked, and one that is away.
    done(&post(&server, "config", json!({"kubernetes_host": cluster.url()})).await, 204);
    told(&login("web", "token-of-app").await, 403, "permission denied");
    done(&post(&server, "config", json!({"kubernetes_host": "http://127.0.0.1:1"})).await, 204);
    told(&login("web", "token-of-app").await, 503, "cannot be asked now");
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

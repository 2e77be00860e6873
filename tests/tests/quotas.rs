//! Rate limits, and what web pages may ask.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Server, Site, until};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

async fn limit(server: &Server, name: &str, body: Value) {
    let answer = server.put(&format!("sys/quotas/rate-limit/{name}"), body).await.unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn ask(server: &Server, path: &str) -> Response {
    let request = reqwest::Client::new().get(format!("{}/v1/{path}", server.address()));
    request.header("X-Vault-Token", &server.token).send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_and_when_to_come_back() {
    let (site, server) = started().await;
    limit(&server, "keys", json!({"path": "transit", "rate": 2, "interval": "1h", "block_interval": "2h"})).await;
    let shown = server.get("sys/quotas/rate-limit/keys").await.unwrap();
    let expected = json!({"name": "keys", "type": "rate-limit", "path": "transit/", "rate": 2.0, "interval": 3600,
        "block_interval": 7200, "role": "", "inheritable": false});
    assert_eq!(shown.body["data"], expected);
    for _ in 0..2 {
        assert_eq!(ask(&server, "transit/keys/none").await.status(), 404);
    }
    let refused = ask(&server, "transit/keys/none").await;
    let retry: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!(refused.status() == 429 && (7100..=7200).contains(&retry), "{refused:?}");
    assert_eq!(header(&refused, "x-ratelimit-limit"), "");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body, json!({"errors": ["request path \"transit/keys/none\": rate limit quota exceeded"]}));
    assert_eq!(ask(&server, "sys/mounts").await.status(), 200, "another mount");

    // Narrower limits go before wider ones; exempt paths are not counted; headers say what is left.
    limit(&server, "one", json!({"path": "transit/keys/one", "rate": 1.5, "interval": 3600})).await;
    limit(&server, "all", json!({"rate": 1000, "interval": 3600})).await;
    let configured =
        json!({"enable_rate_limit_response_headers": true, "rate_limit_exempt_paths": ["transit/keys/free"]});
    assert_eq!(server.put("sys/quotas/config", configured).await.unwrap().status, 204);
    let one = ask(&server, "transit/keys/one").await;
    assert_eq!((header(&one, "x-ratelimit-limit"), header(&one, "x-ratelimit-remaining")), ("2", "1"));
    assert!(!header(&one, "x-ratelimit-reset").is_empty());
    for _ in 0..4 {
        assert_eq!(ask(&server, "transit/keys/free").await.status(), 404);
    }
    let listed = server.ask(Method::from_bytes(b"LIST").unwrap(), "sys/quotas/rate-limit", None).await.unwrap();
    assert_eq!(listed.body["data"]["keys"], json!(["all", "keys", "one"]));
    assert_eq!(ask(&server, "sys/health").await.headers().get("x-ratelimit-limit"), None, "never limited");

    // Another server counts by itself, and hears of a limit that is taken away.
    let second = site.serve_for(&server.token).await.unwrap();
    assert_eq!(ask(&second, "transit/keys/none").await.status(), 404);
    assert_eq!(ask(&server, "transit/keys/none").await.status(), 429);
    let deleted = server.ask(Method::DELETE, "sys/quotas/rate-limit/keys", None).await.unwrap();
    assert_eq!(deleted.status, 204);
    assert_eq!(ask(&server, "transit/keys/none").await.status(), 404);
    for (body, text) in [
        (json!({"rate": 0}), "above zero"),
        (json!({"rate": "many"}), "must be a number"),
        (json!({"rate": 1, "path": "nosuch"}), "invalid mount path"),
        (json!({"rate": 1, "path": "transit/keys/one"}), "quota rule with similar properties exists"),
        (json!({"rate": 1, "role": "r"}), "not roles"),
    ] {
        let refused = server.put("sys/quotas/rate-limit/bad", body).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains(text), "{refused:?}");
    }
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test]
async fn what_is_beyond_a_rate_limit_is_on_record_counted() {
    let (site, server) = started().await;
    limit(&server, "keys", json!({"path": "transit", "rate": 2, "interval": "1h"})).await;
    for _ in 0..7 {
        ask(&server, "transit/keys/none").await;
    }
    let counted = "SELECT resource_id, action_result, host(ip_address), sum((event_data ->> 'count')::bigint)::bigint FROM audit_log \
                   WHERE event_type = 'rate_limit.exceeded' GROUP BY 1, 2, 3";
    let mut superuser = site.core.superuser().await.unwrap();
    until(
        Duration::from_secs(10),
        "it is on record",
        vec![("transit/".into(), "failure".into(), "127.0.0.1".into(), 5)],
        async || {
            let rows: Vec<(String, String, String, i64)> =
                sqlx::query_as(counted).fetch_all(&mut superuser).await.unwrap();
            rows
        },
    )
    .await;
    site.succeeds(&["audit", "verify"]).unwrap();
}

#[tokio::test]
async fn a_limit_that_was_written_by_sql_does_not_count_and_raises_the_alarm() {
    let (site, server) = started().await;
    limit(&server, "all", json!({"rate": 1000, "interval": 3600})).await;
    let mut superuser = site.core.superuser().await.unwrap();
    let forged = r#"UPDATE system_entries SET document = '{"path":"","rate":1.0,"interval":3600,"block_interval":0}', revision = revision + 1 WHERE kind = 'rate_limit'"#;
    sqlx::query(forged).execute(&mut superuser).await.unwrap();
    until(Duration::from_secs(20), "an alarm", true, || async {
        assert_eq!(ask(&server, "transit/keys/none").await.status(), 404);
        let alarms = "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'system_entries'";
        sqlx::query_scalar::<_, i64>(alarms).fetch_one(&mut site.core.superuser().await.unwrap()).await.unwrap() > 0
    })
    .await;
}

#[tokio::test]
async fn pages_of_other_origins_ask_only_where_they_were_allowed_to() {
    let (_site, server) = started().await;
    assert_eq!(server.get("sys/config/cors").await.unwrap().body["data"], json!({"enabled": false}));
    let client = reqwest::Client::new();
    let url = format!("{}/v1/sys/mounts", server.address());
    let ask = async |method: Method, origin: &str| {
        let request = client.request(method, &url).header("Origin", origin).header("X-Vault-Token", &server.token);
        request.header("Access-Control-Request-Method", "GET").send().await.unwrap()
    };
    assert_eq!(ask(Method::OPTIONS, "https://ui.example").await.status(), 400);
    let allowed = json!({"allowed_origins": ["https://ui.example"], "allowed_headers": ["X-Own"]});
    assert_eq!(server.put("sys/config/cors", allowed).await.unwrap().status, 204);
    let preflight = ask(Method::OPTIONS, "https://ui.example").await;
    assert_eq!(preflight.status(), 204);
    assert!(header(&preflight, "access-control-allow-headers").ends_with("X-Vault-Token,X-Own"), "{preflight:?}");
    let asked = ask(Method::GET, "https://ui.example").await;
    assert_eq!((asked.status().as_u16(), header(&asked, "access-control-allow-origin")), (200, "https://ui.example"));
    let refused = ask(Method::GET, "https://evil.example").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "access-control-allow-origin")), (403, ""));
    assert_eq!(server.ask(Method::DELETE, "sys/config/cors", None).await.unwrap().status, 204);
    assert_eq!(ask(Method::GET, "https://evil.example").await.status(), 200);
}

#[tokio::test]
async fn passwords_are_made_as_a_policy_says() {
    let (_site, server) = started().await;
    let policy = "length = 12\nrule \"charset\" {\n charset = \"ab\"\n}\nrule \"charset\" {\n charset = \"0123\"\n min-chars = 2\n}\n";
    let written = server.put("sys/policies/password/p", json!({"policy": policy})).await.unwrap();
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(server.get("sys/policies/password/p").await.unwrap().body["data"], json!({"policy": policy}));
    let (one, other) = (
        server.get("sys/policies/password/p/generate").await.unwrap(),
        server.get("sys/policies/password/p/generate").await.unwrap(),
    );
    let password = one.text("password");
    assert_eq!(password.len(), 12);
    assert!(password.chars().all(|character| "ab0123".contains(character)), "{password}");
    assert!(password.chars().filter(char::is_ascii_digit).count() >= 2 && password != other.text("password"));
    let refused = server.put("sys/policies/password/q", json!({"policy": "length = 2"})).await.unwrap();
    assert!(refused.status == 400 && refused.error().contains("between 4 and 1024"), "{refused:?}");
    assert_eq!(server.get("sys/policies/password/none/generate").await.unwrap().status, 404);
}

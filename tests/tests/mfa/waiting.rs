//! Logins that wait: once, for whoever began, and not for long.

use super::{Bob, FAILED, done, told};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_login_that_waits_is_finished_once_at_any_server_and_each_code_is_taken_once() {
    let bob = Bob::new().await;
    let replica = bob.site.serve_for(&bob.server.token).await.unwrap();
    let (first, second) = (bob.request().await, bob.request().await);
    let code = bob.program.code(0);
    done(&bob.validate(&replica, &first, &code).await, 200);
    told(&bob.validate(&bob.server, &first, &bob.program.code(1)).await, 400, "invalid request ID");
    // The code of a login is none of another, at no server.
    told(&bob.validate(&bob.server, &second, &code).await, 403, FAILED);
    told(&bob.validate(&replica, &second, &code).await, 403, FAILED);
    done(&bob.validate(&replica, &second, &bob.program.code(1)).await, 200);

    // Of ten at once, one; and of one code for two logins, one.
    bob.forget().await;
    let request = bob.request().await;
    let at_once = futures_util::future::join_all((0..10).map(|at| {
        let server = if at % 2 == 0 { &bob.server } else { &replica };
        bob.validate(server, &request, &code)
    }));
    assert_eq!(at_once.await.iter().filter(|answer| answer.status == 200).count(), 1);
    bob.forget().await;
    let (one, other) = (bob.request().await, bob.request().await);
    let both = tokio::join!(bob.validate(&bob.server, &one, &code), bob.validate(&replica, &other, &code));
    assert_eq!([both.0, both.1].iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(bob.site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn who_waits_too_long_or_has_no_right_code_gets_nothing() {
    let bob = Bob::new().await;
    let code = bob.program.code(0);
    let request = bob.request().await;
    for (body, status, why) in [
        (json!({"mfa_payload": {bob.method.as_str(): [code]}}), 400, "missing mfa_request_id"),
        (json!({"mfa_request_id": request}), 400, "missing mfa_payload"),
        (
            json!({"mfa_request_id": request, "mfa_payload": {bob.method.as_str(): ["1", "2"]}}),
            400,
            "one code for each",
        ),
        (json!({"mfa_request_id": request, "mfa_payload": {"another": [code]}}), 403, FAILED),
        (
            json!({"mfa_request_id": uuid::Uuid::new_v4(), "mfa_payload": {bob.method.as_str(): [code]}}),
            400,
            "invalid request ID",
        ),
    ] {
        told(&bob.server.put("sys/mfa/validate", body).await.unwrap(), status, why);
    }
    for wrong in ["000000", "", "28708"] {
        told(&bob.validate(&bob.server, &request, wrong).await, 403, FAILED);
    }
    // Nothing secret is in the database, and SQL has nobody wait longer or less.
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let rows: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(p::text || encode(content, 'escape'), '') FROM pending_logins p) || (SELECT string_agg(s::text || encode(secret, 'escape'), '') FROM mfa_secrets s)",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    for secret in [&request, &bob.program.secret, "bob"] {
        assert!(!rows.to_lowercase().contains(&secret.to_lowercase()), "{secret}: {rows}");
    }
    assert_eq!(bob.sql("UPDATE pending_logins SET expires_at = expires_at + interval '1 hour'").await, 1);
    done(&bob.validate(&bob.server, &request, &code).await, 500);
    bob.sql("UPDATE pending_logins SET expires_at = now()").await;
    told(&bob.validate(&bob.server, &request, &code).await, 400, "invalid request ID");

    // An enforcement that SQL has changed is none that lets anybody by.
    let relaxed = "UPDATE system_entries SET document = replace(document, '\"userpass\"', '\"other\"') WHERE kind = 'login_enforcement'";
    assert_eq!(bob.sql(relaxed).await, 1);
    tests::until(Duration::from_secs(10), "logins are refused", 500, async || {
        bob.server.put("auth/userpass/login/bob", json!({"password": "pw"})).await.unwrap().status.as_u16()
    })
    .await;
}

#[tokio::test]
async fn wrong_codes_lock_a_second_factor_for_a_while() {
    let bob = Bob::new().await;
    let request = bob.request().await;
    for _ in 0..5 {
        told(&bob.validate(&bob.server, &request, "000000").await, 403, FAILED);
    }
    told(&bob.validate(&bob.server, &request, &bob.program.code(0)).await, 403, FAILED);
    let mut superuser = bob.site.core.superuser().await.unwrap();
    let locked: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE event_type = 'mfa_secret.lock'")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(locked, 1);
    bob.sql("UPDATE mfa_secrets SET last_failed_at = last_failed_at - interval '16 minutes'").await;
    done(&bob.validate(&bob.server, &request, &bob.program.code(0)).await, 200);
}

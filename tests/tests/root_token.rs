//! A root token by the shares of the seal, for when nobody has one any more.
#![expect(clippy::unwrap_used, reason = "tests")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Answer, Server, Site};

async fn start(server: &Server, body: Value) -> Answer {
    server.put("sys/generate-root/attempt", body).await.unwrap()
}

async fn give(server: &Server, key: &str, nonce: &str) -> Answer {
    server.put("sys/generate-root/update", json!({"key": key, "nonce": nonce})).await.unwrap()
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The token that lies under the pad.
fn uncovered(answer: &Answer, pad: &str) -> String {
    assert_eq!((&answer.body["complete"], &answer.body["otp_length"]), (&json!(true), &json!(0)), "{answer:?}");
    assert_eq!(answer.body["encoded_token"], answer.body["encoded_root_token"]);
    let covered = BASE64_STANDARD_NO_PAD.decode(answer.body["encoded_token"].as_str().unwrap()).unwrap();
    String::from_utf8(covered.iter().zip(pad.bytes()).map(|(byte, pad)| byte ^ pad).collect()).unwrap()
}

async fn may_do_everything(server: &mut Server, token: &str) {
    token.clone_into(&mut server.token);
    let own = server.get("auth/token/lookup-self").await.unwrap();
    assert_eq!(
        (&own.body["data"]["policies"], &own.body["data"]["orphan"]),
        (&json!(["root"]), &json!(true)),
        "{own:?}"
    );
    assert_eq!(server.get("sys/mounts").await.unwrap().status, 200);
    server.token.clear();
}

#[tokio::test]
async fn enough_shares_of_the_seal_make_a_root_token_that_only_the_pads_holder_learns() {
    let site = Site::ready("[seal]\ntype = 'shamir'\ngenerate_root = true\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    told(&start(&server, json!({})).await, 503, "Vault is sealed");
    let made = server.put("sys/init", json!({"secret_shares": 3, "secret_threshold": 2})).await.unwrap();
    let keys = texts(&made.body["keys"]);
    told(&start(&server, json!({})).await, 503, "Vault is sealed");
    for key in &keys[..2] {
        server.put("sys/unseal", json!({"key": key})).await.unwrap();
    }
    server.until_health(200).await.unwrap();

    let idle = server.get("sys/generate-root/attempt").await.unwrap();
    let expected = json!({"nonce": "", "started": false, "progress": 0, "required": 2, "complete": false, "encoded_token": "",
        "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 28});
    assert_eq!(idle.body, expected);
    told(&give(&server, &keys[0], "").await, 400, "no root generation in progress");
    told(&start(&server, json!({"otp": "short"})).await, 400, "OTP string has incorrect length");

    let started = start(&server, json!({})).await;
    let (nonce, pad) = (started.body["nonce"].as_str().unwrap(), started.body["otp"].as_str().unwrap());
    assert_eq!(pad.len(), 28);
    told(&start(&server, json!({})).await, 400, "already in progress");
    assert_eq!(server.get("sys/generate-root/attempt").await.unwrap().body["otp"], json!(""), "told once");
    told(
        &give(&server, &keys[0], "bad").await,
        400,
        &format!("nonce for this root generation operation is \"{nonce}\""),
    );
    assert_eq!(give(&server, &keys[2], nonce).await.body["progress"], json!(1));
    told(&give(&server, &keys[2], nonce).await, 400, "given key has already been provided");
    // A share that is none of these.
    let wrong = format!("{}{}", &keys[1][..2], "0".repeat(keys[1].len() - 2));
    told(&give(&server, &wrong, nonce).await, 400, "root generation aborted");
    assert_eq!(server.get("sys/generate-root/attempt").await.unwrap().body["progress"], json!(0));
    assert_eq!(give(&server, &keys[2], nonce).await.body["complete"], json!(false));
    let token = uncovered(&give(&server, &keys[0], nonce).await, pad);
    assert!(token.starts_with("hvs.") && token.len() == 28, "{token}");
    may_do_everything(&mut server, &token).await;
    told(&give(&server, &keys[0], nonce).await, 400, "no root generation in progress");

    // A pad of one's own; and an attempt that is given up.
    let own = "0123456789012345678901234567";
    assert_eq!(start(&server, json!({"otp": own})).await.body["otp"], json!(""));
    assert_eq!(server.ask(Method::DELETE, "sys/generate-root/attempt", None).await.unwrap().status, 204);
    let started = start(&server, json!({"otp": own})).await;
    let nonce = started.body["nonce"].as_str().unwrap();
    give(&server, &keys[1], nonce).await;
    let second = uncovered(&give(&server, &keys[2], nonce).await, own);
    assert_ne!(second, token);
    may_do_everything(&mut server, &second).await;

    let mut superuser = site.core.superuser().await.unwrap();
    let recorded =
        "SELECT count(*) FROM audit_log WHERE event_type = 'root_token.create' AND action_result = 'success'";
    assert_eq!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(&mut superuser).await.unwrap(), 2);
    // Steps that ask for no token are counted, by source and second.
    let counted = "SELECT resource_id, sum((event_data ->> 'count')::bigint)::bigint FROM audit_log \
                   WHERE event_type = 'seal.attempt' AND host(ip_address) = '127.0.0.1' GROUP BY 1 ORDER BY 1";
    let steps = vec![("sys/generate-root/attempt".to_owned(), 6), ("sys/generate-root/update".to_owned(), 10)];
    tests::until(Duration::from_secs(10), "all steps are on record", steps, async || {
        sqlx::query_as::<_, (String, i64)>(counted).fetch_all(&mut superuser).await.unwrap()
    })
    .await;
    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    assert!([&token, &second, &keys[0], pad].iter().all(|secret| !log.contains(*secret)), "nothing secret is logged");
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test]
async fn with_the_seal_pkcs11_the_recovery_shares_do_and_without_them_or_the_setting_nobody_can() {
    let mut site = Site::ready("[seal]\ngenerate_root = true\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let made = server.put("sys/init", json!({"recovery_shares": 2, "recovery_threshold": 2})).await.unwrap();
    let keys = texts(&made.body["recovery_keys"]);
    server.until_health(200).await.unwrap();
    let started = start(&server, json!({})).await;
    let (nonce, pad) = (started.body["nonce"].as_str().unwrap(), started.body["otp"].as_str().unwrap());
    assert_eq!(give(&server, &keys[0], nonce).await.body["progress"], json!(1));
    let token = uncovered(&give(&server, &keys[1], nonce).await, pad);
    may_do_everything(&mut server, &token).await;
    drop(server);

    site.variables = vec![("CLM_SEAL__GENERATE_ROOT", "false".into())];
    let server = site.serve().await.unwrap();
    server.until_health(200).await.unwrap();
    told(&start(&server, json!({})).await, 405, "unsupported operation: set seal.generate_root = true");

    let (_site, server) = Site::started("[seal]\ngenerate_root = true\n").await.unwrap();
    told(&start(&server, json!({})).await, 400, "initialised without recovery shares");
}

#[tokio::test]
async fn with_a_token_that_may_shares_make_a_root_token_whatever_the_operator_has_switched_on() {
    let site = Site::ready("[seal]\ntype = 'shamir'\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let made = server.put("sys/init", json!({"secret_shares": 3, "secret_threshold": 2})).await.unwrap();
    let (keys, root) = (texts(&made.body["keys"]), made.body["root_token"].as_str().unwrap());
    for key in &keys[..2] {
        server.put("sys/unseal", json!({"key": key})).await.unwrap();
    }
    server.until_health(200).await.unwrap();
    told(&start(&server, json!({})).await, 405, "ask sys/generate-root-token");
    let (attempt, update) = ("sys/generate-root-token/attempt", "sys/generate-root-token/update");
    told(&server.put(attempt, json!({})).await.unwrap(), 403, "permission denied");

    root.clone_into(&mut server.token);
    let policy = "path \"sys/generate-root-token/*\" { capabilities = [\"read\", \"update\", \"delete\"] }";
    for (name, policy) in [("officer", policy.replace("[", "[\"sudo\", ")), ("clerk", policy.to_owned())] {
        server.put(&format!("sys/policies/acl/{name}"), json!({"policy": policy})).await.unwrap();
    }
    for (name, status) in [("clerk", 403), ("officer", 200)] {
        root.clone_into(&mut server.token);
        let made = server.put("auth/token/create", json!({"policies": [name]})).await.unwrap();
        made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
        let idle = server.get(attempt).await.unwrap();
        assert_eq!(idle.status, status, "{name}: {idle:?}");
    }
    let idle = server.get(attempt).await.unwrap().body;
    for told in [&idle, &idle["data"]] {
        assert_eq!((&told["started"], &told["required"], &told["otp_length"]), (&json!(false), &json!(2), &json!(28)));
    }
    let started = server.put(attempt, json!({})).await.unwrap();
    let (nonce, pad) = (started.text("nonce").to_owned(), started.text("otp").to_owned());
    told(&server.put(attempt, json!({})).await.unwrap(), 400, "already in progress");
    let give = async |key: &str| server.put(update, json!({"key": key, "nonce": nonce})).await.unwrap();
    assert_eq!(give(&keys[2]).await.body["data"]["progress"], json!(1));
    told(&give(&keys[2]).await, 400, "given key has already been provided");
    let complete = give(&keys[0]).await;
    let officer = server.token.clone();
    may_do_everything(&mut server, &uncovered(&complete, &pad)).await;
    officer.clone_into(&mut server.token);
    assert_eq!(server.put(attempt, json!({"otp": pad})).await.unwrap().status, 200);
    assert_eq!(server.ask(Method::DELETE, attempt, None).await.unwrap().status, 204);
    assert_eq!(server.get(attempt).await.unwrap().body["started"], json!(false));

    let mut core = site.core.superuser().await.unwrap();
    let records = "SELECT coalesce(event_data ->> 'operation', action) || ' ' || action_result FROM audit_log \
                   WHERE event_type LIKE 'root_token.%' OR event_type = 'request.failed' ORDER BY seq";
    let records: Vec<String> = sqlx::query_scalar(records).fetch_all(&mut core).await.unwrap();
    let expected = [
        "start success",
        "generate-root-token-start failure",
        "share success",
        "generate-root-token-update failure",
        "create success",
        "start success",
        "cancel success",
    ];
    assert_eq!(records, expected);
}

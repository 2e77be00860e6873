//! The main job from outside: `clm server` on a token and databases of its own, asked as Vault's clients ask.
#![expect(clippy::unwrap_used, reason = "tests")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::process::{alive, descendants, signal};
use tests::{Authority, Server, Site, openssl};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

async fn create(server: &Server, name: &str, key_type: &str) -> String {
    let made = server.put(&format!("transit/keys/{name}"), json!({"type": key_type})).await.unwrap();
    assert_eq!(made.status, 200, "{made:?}");
    made.body["data"]["keys"]["1"]["public_key"].as_str().unwrap().to_owned()
}

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

fn b64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn openssl_verifies(site: &Site, public_key: &str, options: &[&str], message: &[u8], signature: &str) -> bool {
    assert!(signature.starts_with("vault:v1:"), "{signature}");
    openssl::verifies(site, public_key, options, message, signature).unwrap()
}

/// A token that may sign with one key, and nothing else.
async fn signer(server: &Server, key: &str) -> String {
    let policy = format!("path \"transit/sign/{key}\" {{ capabilities = [\"update\"] }}");
    assert_eq!(server.put("sys/policies/acl/signer", json!({"policy": policy})).await.unwrap().status, 204);
    let made = server.put("auth/token/create", json!({"policies": ["signer"], "ttl": "1h"})).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_service_signs_with_a_key_that_never_leaves_the_hsm() {
    let (site, mut server) = started().await;
    let (message, pss) = (b"a payment order".as_slice(), ["rsa_padding_mode:pss", "rsa_pss_saltlen:auto"]);
    let (ec, rsa) = (create(&server, "ec", "ecdsa-p256").await, create(&server, "rsa", "rsa-2048").await);
    let root = server.token.clone();
    let limited = signer(&server, "ec").await;
    let by_rsa = server.put("transit/sign/rsa", json!({"input": b64(message)})).await.unwrap();
    assert!(openssl_verifies(&site, &rsa, &pss, message, by_rsa.text("signature")));

    server.token = limited;
    let signed = server.put("transit/sign/ec", json!({"input": b64(message)})).await.unwrap();
    assert_eq!(signed.status, 200, "{signed:?}");
    assert!(openssl_verifies(&site, &ec, &[], message, signed.text("signature")));
    assert!(!openssl_verifies(&site, &ec, &[], b"another order", signed.text("signature")));
    server.token = root;
    let (good, bad) = (
        json!({"input": b64(message), "signature": by_rsa.text("signature")}),
        json!({"input": b64(b"other"), "signature": by_rsa.text("signature")}),
    );
    assert_eq!(server.put("transit/verify/rsa", good).await.unwrap().body["data"]["valid"], true);
    assert_eq!(server.put("transit/verify/rsa", bad).await.unwrap().body["data"]["valid"], false);
}

#[tokio::test]
async fn a_token_restricted_to_one_key_and_one_verb_can_do_nothing_else() {
    let (site, mut server) = started().await;
    let public_key = create(&server, "ec", "ecdsa-p256").await;
    create(&server, "other", "ecdsa-p256").await;
    server.token = signer(&server, "ec").await;
    let signed = server.put("transit/sign/ec", json!({"input": b64(b"m")})).await.unwrap();
    assert!(openssl_verifies(&site, &public_key, &[], b"m", signed.text("signature")));
    for (method, path) in [
        (Method::PUT, "transit/sign/other"),
        (Method::PUT, "transit/verify/ec"),
        (Method::GET, "transit/keys/ec"),
        (Method::DELETE, "transit/keys/ec"),
        (Method::PUT, "transit/keys/ec/rotate"),
        (Method::PUT, "transit/keys/new"),
        (Method::GET, "sys/mounts"),
        (Method::PUT, "sys/policies/acl/signer"),
        (Method::PUT, "sys/seal"),
        (Method::PUT, "auth/token/create"),
        (Method::GET, "nosuch/path"),
    ] {
        let answer = server.ask(method.clone(), path, Some(b"{}".to_vec())).await.unwrap();
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        assert!(answer.error().contains("permission denied"), "{answer:?}");
    }
    for token in ["", "hvs.nobody", "root"] {
        server.token = token.to_owned();
        let answer = server.put("transit/sign/ec", json!({"input": b64(b"m")})).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error()), (403, "permission denied"), "{token}");
    }
}

#[tokio::test]
async fn bad_input_gets_a_sentence_and_the_server_goes_on() {
    let (_site, server) = started().await;
    create(&server, "ec", "ecdsa-p256").await;
    let long = json!({"input": "A".repeat(10_000_000)}).to_string();
    let huge = vec![b' '; 33 << 20];
    let rows: [(&str, &[u8], u16, &str); 9] = [
        ("transit/sign/ec", b"{bad", 400, "failed to decode JSON input"),
        ("transit/sign/ec", b"[1]", 400, "failed to decode JSON input"),
        ("transit/sign/nokey", br#"{"input":"YQ=="}"#, 400, "signing key not found"),
        ("transit/sign/ec/md5", br#"{"input":"YQ=="}"#, 400, "invalid hash algorithm \"md5\""),
        ("transit/sign/ec", br#"{"input":"!!"}"#, 400, "unable to decode input as base64"),
        ("transit/sign/ec", br#"{"input":"YQ==","key_version":2}"#, 400, "higher than the latest key version"),
        ("transit/keys/k", br#"{"type":"nope"}"#, 400, "unknown key type nope"),
        ("transit/sign/ec", &huge, 413, "http: request body too large"),
        ("nosuch/path", b"{}", 404, "no handler for route \"nosuch/path\""),
    ];
    for (path, body, status, text) in rows {
        let answer = server.ask(Method::PUT, path, Some(body.to_vec())).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.error().contains(text), "{path}: {answer:?}");
    }
    assert_eq!(
        server.ask(Method::PUT, "transit/sign/ec", Some(long.into_bytes())).await.unwrap().status,
        200,
        "10 MB is fine"
    );
}

#[tokio::test]
async fn what_clients_send_is_read_as_leniently_as_they_expect() {
    let (_site, server) = started().await;
    create(&server, "ec", "ecdsa-p256").await;
    let as_cosign = json!({"input": b64(&[7; 32]), "prehashed": true, "key_version": "0", "signature_algorithm": "pkcs1v15", "unknown": null});
    let signed = server.put("transit/sign/ec/sha2-256", as_cosign).await.unwrap();
    assert_eq!((signed.status.as_u16(), signed.body["data"]["key_version"].clone()), (200, json!(1)));
    for key in ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"] {
        assert!(signed.body.as_object().unwrap().contains_key(key), "{key}");
    }
    assert!(signed.body["warnings"][0].as_str().unwrap().contains("unknown"), "{signed:?}");
    let list = |method: &'static [u8], path| server.ask(Method::from_bytes(method).unwrap(), path, None);
    assert_eq!(list(b"LIST", "transit/keys").await.unwrap().body["data"]["keys"], json!(["ec"]));
    assert_eq!(list(b"GET", "transit/keys?list=true").await.unwrap().body["data"]["keys"], json!(["ec"]));
    let absent = server.get("transit/keys/absent").await.unwrap();
    assert_eq!((absent.status.as_u16(), absent.body), (404, json!({"errors": []})));
    let batch = json!({"batch_input": [{"input": "YQ==", "reference": "a"}, {"input": "!!"}, {"input": ""}]});
    let results = server.put("transit/sign/ec", batch).await.unwrap().body["data"]["batch_results"].clone();
    assert!(results[0]["signature"].as_str().unwrap().starts_with("vault:v1:") && results[0]["reference"] == "a");
    assert!(results[1]["error"].is_string() && results[2]["signature"].is_string(), "{results}");
}

#[tokio::test]
async fn every_answer_has_its_record_and_an_edited_one_is_named() {
    let (site, server) = started().await;
    create(&server, "ec", "ecdsa-p256").await;
    for number in 0..5u8 {
        assert_eq!(server.put("transit/sign/ec", json!({"input": b64(&[number])})).await.unwrap().status, 200);
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let count = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.sign' AND result = 'success'";
    let signed: i64 = sqlx::query_scalar(count).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(signed, 5);
    assert!(site.succeeds(&["audit", "verify"]).unwrap().contains("holds"));
    sql(&site, "UPDATE secure_audit_log SET accessor = 'somebody' WHERE seq = 3").await;
    let said = site.fails(&["audit", "verify"]).unwrap();
    assert!(said.contains("record 3") && said.contains("was edited"), "{said}");
}

#[tokio::test]
async fn a_row_changed_behind_the_services_back_is_refused_with_what_to_do() {
    let (site, server) = started().await;
    for key in ["a", "b"] {
        create(&server, key, "ecdsa-p256").await;
    }
    let body = || json!({"input": "YQ=="});
    assert_eq!(server.put("transit/sign/a", body()).await.unwrap().status, 200);
    let swap = "UPDATE private_keys p SET encrypted_key_material = (SELECT encrypted_key_material FROM private_keys o WHERE o.id <> p.id LIMIT 1)";
    assert_eq!(sql(&site, swap).await, 2);
    let deadline = Instant::now() + Duration::from_secs(10);
    let refused = loop {
        let answer = server.put("transit/sign/a", body()).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "still signs");
    };
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.error().contains("behind the service's back") && refused.error().contains("backup"), "{refused:?}");
    let mut superuser = site.secure.superuser().await.unwrap();
    let recorded =
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'integrity.row_refused' AND severity = 'critical'";
    assert!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(&mut superuser).await.unwrap() > 0);
}

#[tokio::test]
async fn killed_workers_cost_no_client_an_error_and_a_killed_server_leaves_nothing_behind() {
    let (_site, mut server) = started().await;
    create(&server, "ec", "ecdsa-p256").await;
    let workers = descendants(server.pid());
    assert!(workers.len() >= 3, "a supervisor and workers: {workers:?}");
    let signing = async {
        for _ in 0..300 {
            let answer = server.put("transit/sign/ec", json!({"input": "YQ=="})).await.unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    };
    let killing = async {
        for victim in workers.iter().skip(1) {
            assert!(signal(*victim, "KILL"));
            while alive(*victim) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(signing, killing);
    let before = descendants(server.pid());
    assert!(!before.is_empty());
    assert!(signal(server.pid(), "KILL"));
    server.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    while before.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "a process outlives the server by two seconds");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_restarted_server_knows_its_keys_and_tokens_and_ends_politely() {
    let (site, mut server) = started().await;
    let public_key = create(&server, "ec", "ecdsa-p256").await;
    let token = signer(&server, "ec").await;
    assert!(signal(server.pid(), "TERM"));
    assert_eq!(server.wait().unwrap(), Some(0), "a graceful end");
    let mut again = site.serve().await.unwrap();
    again.until_health(200).await.unwrap();
    again.token = token;
    let signed = again.put("transit/sign/ec", json!({"input": b64(b"m")})).await.unwrap();
    assert!(openssl_verifies(&site, &public_key, &[], b"m", signed.text("signature")));
    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    assert!(
        !log.contains(&again.token) && !log.contains("user-4242") && !log.contains("hvs."),
        "a secret is in the log"
    );
}

#[tokio::test]
async fn with_the_shamir_seal_it_takes_k_of_n_people_to_open_the_token() {
    let site = Site::ready("[seal]\ntype = 'shamir'\n").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let refused = server.put("sys/init", json!({})).await.unwrap();
    assert_eq!(
        (refused.status.as_u16(), refused.error()),
        (400, "invalid seal configuration: shares must be at least one")
    );
    let made = server.put("sys/init", json!({"secret_shares": 3, "secret_threshold": 2})).await.unwrap();
    assert_eq!(made.status, 200);
    let keys: Vec<String> =
        made.body["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 3);
    server.token = made.body["root_token"].as_str().unwrap().to_owned();
    server.until_health(503).await.unwrap();
    let closed = server.get("sys/mounts").await.unwrap();
    assert_eq!((closed.status.as_u16(), closed.error()), (503, "Vault is sealed"));
    let unseal = |key: String| server.put("sys/unseal", json!({"key": key}));
    assert_eq!(unseal(keys[0].clone()).await.unwrap().body["progress"], 1);
    assert_eq!(unseal(keys[0].clone()).await.unwrap().body["progress"], 1, "the same share again counts once");
    let wrong = format!("{}{}", &keys[1][..2], "0".repeat(keys[1].len() - 2));
    assert_eq!(unseal(wrong).await.unwrap().status, 400);
    assert_eq!(unseal(keys[2].clone()).await.unwrap().body["sealed"], true);
    assert_eq!(unseal(keys[1].clone()).await.unwrap().body["sealed"], false);
    assert_eq!(server.put("sys/mounts/transit", json!({"type": "transit"})).await.unwrap().status, 204);
    create(&server, "ec", "ecdsa-p256").await;
    assert_eq!(server.put("sys/seal", Value::Null).await.unwrap().status, 204);
    assert_eq!(server.put("transit/sign/ec", json!({"input": "YQ=="})).await.unwrap().status, 503);
    // The PIN that the operator once knew opens the token no more.
    assert!(site.fails(&["ceremony", "check"]).unwrap().contains("refused the user PIN"));
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let site = Site::ready("").await.unwrap();
    site.protect(&Authority::create("tests").unwrap(), "").unwrap();
    let mut server = site.serve().await.unwrap();
    assert!(server.address().starts_with("https://"));
    server.initialize().await.unwrap();
    let public_key = create(&server, "ec", "ecdsa-p256").await;
    let signed = server.put("transit/sign/ec", json!({"input": b64(b"m")})).await.unwrap();
    assert!(openssl_verifies(&site, &public_key, &[], b"m", signed.text("signature")));
    for version in ["-tls1_2", "-tls1_3"] {
        let host = server.address().strip_prefix("https://").unwrap().to_owned();
        let output = Command::new("openssl")
            .args(["s_client", version, "-connect", &host, "-CAfile"])
            .arg(site.path("ca.pem"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Verify return code: 0 (ok)"), "{version}");
    }
}

#[tokio::test]
async fn with_fips_on_only_approved_signatures_are_made() {
    let (site, server) = Site::started("fips = true\n").await.unwrap();
    let public_key = create(&server, "rsa", "rsa-2048").await;
    let signed = server.put("transit/sign/rsa", json!({"input": b64(b"m")})).await.unwrap();
    let salted = ["rsa_padding_mode:pss", "rsa_pss_saltlen:digest"];
    assert!(openssl_verifies(&site, &public_key, &salted, b"m", signed.text("signature")), "{signed:?}");
    for (path, body) in [
        ("transit/sign/rsa/sha1", json!({"input": b64(b"m")})),
        ("transit/sign/rsa/none", json!({"input": b64(b"m"), "prehashed": true, "signature_algorithm": "pkcs1v15"})),
        ("transit/sign/rsa", json!({"input": b64(b"m"), "salt_length": "33"})),
    ] {
        let refused = server.put(path, body).await.unwrap();
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        assert!(refused.error().starts_with("fips: "), "{refused:?}");
    }
}

#[tokio::test]
async fn a_wrong_pin_leaves_a_server_that_says_so() {
    let site = Site::ready("").await.unwrap();
    std::fs::write(site.path("pin"), "wrong-9999\n").unwrap();
    let server = site.serve().await.unwrap();
    // Not initialised: that the databases say by themselves.
    server.until_health(501).await.unwrap();
    let said = || std::fs::read_to_string(site.path("server.log")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !said().contains("correct hsm.pin") {
        assert!(Instant::now() < deadline, "{}", said());
        let answer = server.put("transit/sign/ec", json!({"input": "YQ=="})).await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    assert!(!said().contains("wrong-9999"));
}

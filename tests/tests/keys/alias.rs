//! Aliases of keys.

use super::{b64, done, read, refused, restarted, started, verifies};
use reqwest::Method;
use serde_json::json;
use tests::Server;

/// The server as a token sees it that may do these things and no other.
async fn as_one_who_may(server: &mut Server, paths: &[(&str, &str)]) {
    let rules: serde_json::Map<_, _> =
        paths.iter().map(|(path, capability)| ((*path).to_owned(), json!({"capabilities": [capability]}))).collect();
    let policy = json!({ "path": rules }).to_string();
    server.put("sys/policies/acl/narrow", json!({ "policy": policy })).await.unwrap();
    let wanted = json!({"policies": ["narrow"], "no_default_policy": true});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
}

#[tokio::test]
async fn an_alias_stands_for_its_key_in_every_verb_and_is_pointed_elsewhere_in_one_step() {
    let (site, server) = started().await;
    for name in ["blue", "green"] {
        done(&server, &format!("keys/{name}"), json!({"type": "ecdsa-p256"})).await;
    }
    done(&server, "keys/aes", json!({})).await;
    assert_eq!(server.ask(Method::from_bytes(b"LIST").unwrap(), "transit/aliases", None).await.unwrap().status, 404);
    refused(
        &server,
        "aliases/live",
        json!({"key_name": "none"}),
        "there is no key none that the alias could stand for",
    )
    .await;
    refused(&server, "aliases/live", json!({}), "the key that the alias stands for").await;
    refused(&server, "aliases/green", json!({"key_name": "blue"}), "green is a key's own name").await;
    done(&server, "aliases/live", json!({"key_name": "blue"})).await;
    done(&server, "aliases/data", json!({"key_name": "aes"})).await;

    let signature = done(&server, "sign/live", json!({"input": b64("m")})).await.text("signature").to_owned();
    for name in ["live", "blue"] {
        assert!(verifies(&server, name, b"m", &signature).await, "{name}");
    }
    let ciphertext = done(&server, "encrypt/data", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    for (path, body) in [
        ("decrypt/data", json!({"ciphertext": ciphertext})),
        ("rewrap/data", json!({"ciphertext": ciphertext})),
        ("datakey/wrapped/data", json!({})),
        ("datakeypair/wrapped/data", json!({"key_type": "ecdsa-p256"})),
        ("hmac/data", json!({"input": ""})),
        ("keys/data/rotate", json!({})),
        ("keys/data/config", json!({"deletion_allowed": true})),
        ("keys/data/state/1", json!({"state": "suspended", "reason": "a test"})),
        // It is there: nothing is made.
        ("keys/data", json!({"type": "rsa-2048"})),
    ] {
        let answer = done(&server, path, body).await;
        assert!(answer.body["data"].get("name").is_none_or(|name| name == "aes"), "{path}: {answer:?}");
    }
    assert_eq!(read(&server, "keys/data").await.body["data"]["latest_version"], json!(2));
    assert_eq!(read(&server, "export/public-key/live").await.text("name"), "blue");
    assert_eq!(read(&server, "keys/blue/aliases").await.body["data"]["aliases"], json!(["live"]));
    assert_eq!(read(&server, "aliases/live").await.text("key_name"), "blue");
    let listed = server.ask(Method::from_bytes(b"LIST").unwrap(), "transit/aliases", None).await.unwrap();
    assert_eq!(listed.body["data"]["keys"], json!(["data", "live"]));

    done(&server, "aliases/live", json!({"key_name": "green"})).await;
    assert!(!verifies(&server, "live", b"m", &signature).await, "it is another key's");
    let server = restarted(&site, server).await;
    let signature = done(&server, "sign/live", json!({"input": b64("m")})).await.text("signature").to_owned();
    assert!(verifies(&server, "green", b"m", &signature).await);
    let mut superuser = site.secure.superuser().await.unwrap();
    let signed = "SELECT (event_data ->> 'path') || ' ' || (event_data ->> 'key') FROM secure_audit_log WHERE event_type = 'key.sign' ORDER BY event_timestamp";
    let signed: Vec<String> = sqlx::query_scalar(signed).fetch_all(&mut superuser).await.unwrap();
    assert_eq!(signed, ["transit/sign/live blue", "transit/sign/live green"], "what was asked, and what did it");

    // An alias of a key that is gone makes none of that name.
    assert_eq!(server.ask(Method::DELETE, "transit/keys/data", None).await.unwrap().status, 204);
    let answer = server.put("transit/encrypt/data", json!({"plaintext": ""})).await.unwrap();
    assert!(
        answer.status == 400 && answer.error().contains("alias data stands for a key that was deleted"),
        "{answer:?}"
    );
    assert_eq!(server.ask(Method::DELETE, "transit/aliases/data", None).await.unwrap().status, 204);
    done(&server, "encrypt/data", json!({"plaintext": ""})).await;
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn an_alias_leads_nobody_to_a_key_whose_own_path_is_not_allowed() {
    let (site, mut server) = started().await;
    let root = server.token.clone();
    done(&server, "keys/secret", json!({"type": "ecdsa-p256"})).await;
    done(&server, "aliases/open", json!({"key_name": "secret"})).await;
    let sign = json!({"input": ""});
    for (paths, status) in [
        (&[("transit/sign/open", "update")][..], 403),
        (&[("transit/sign/secret", "update")][..], 403),
        (&[("transit/sign/open", "update"), ("transit/sign/secret", "read")][..], 403),
        (&[("transit/sign/open", "update"), ("transit/sign/secret", "deny")][..], 403),
        (&[("transit/sign/open", "update"), ("transit/sign/secret", "update")][..], 200),
    ] {
        server.token.clone_from(&root);
        as_one_who_may(&mut server, paths).await;
        let answer = server.put("transit/sign/open", sign.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{paths:?}: {answer:?}");
    }
    let mut superuser = site.core.superuser().await.unwrap();
    let denied = "SELECT count(*) FROM audit_log WHERE event_data ->> 'path' = 'transit/sign/secret'";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(denied).fetch_one(&mut superuser).await.unwrap(),
        3,
        "with the path that was refused"
    );

    // Nor does an alias that somebody points elsewhere in the database.
    server.token.clone_from(&root);
    done(&server, "keys/other", json!({"type": "ecdsa-p256"})).await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let forged = "UPDATE key_aliases SET named_key_id = (SELECT id FROM named_keys WHERE name = 'other')";
    assert_eq!(sqlx::query(forged).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let server = restarted(&site, server).await;
    let answer = server.put("transit/sign/open", sign).await.unwrap();
    assert!(
        answer.status == 500 && answer.error().contains("of key_aliases is not what this service wrote"),
        "{answer:?}"
    );
}

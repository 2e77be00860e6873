//! States of keys and of their versions.

use super::{b64, done, read, refused, restarted, started, verifies};
use reqwest::Method;
use serde_json::{Value, json};
use tests::Server;

fn to(state: &str) -> Value {
    json!({"state": state, "reason": format!("made {state} by a test")})
}

#[tokio::test]
async fn a_version_does_what_its_state_allows_and_the_others_go_on() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    done(&server, "keys/pair", json!({"type": "ecdsa-p256"})).await;
    let old = done(&server, "encrypt/app", json!({"plaintext": b64("old")})).await.text("ciphertext").to_owned();
    let signature = done(&server, "sign/pair", json!({"input": b64("old")})).await.text("signature").to_owned();
    let mac = done(&server, "hmac/app", json!({"input": b64("old")})).await.text("hmac").to_owned();
    for name in ["app", "pair"] {
        done(&server, &format!("keys/{name}/rotate"), json!({})).await;
    }
    let set = async |version: &str, state: &str| {
        for name in ["app", "pair"] {
            done(&server, &format!("keys/{name}/state/{version}"), to(state)).await;
        }
    };
    let protects = [
        ("encrypt/app", json!({"plaintext": "", "key_version": 1})),
        ("sign/pair", json!({"input": "", "key_version": 1})),
        ("hmac/app", json!({"input": "", "key_version": 1})),
    ];
    let processes = [
        ("decrypt/app", json!({"ciphertext": old})),
        ("rewrap/app", json!({"ciphertext": old})),
        ("verify/pair", json!({"input": b64("old"), "signature": signature})),
        ("verify/app", json!({"input": b64("old"), "hmac": mac})),
    ];
    let none = async |calls: &[(&str, Value)], says: &str| {
        for (path, body) in calls {
            refused(&server, path, body.clone(), says).await;
        }
    };
    set("1", "suspended").await;
    none(&protects, "version 1 of the key is suspended and does nothing").await;
    none(&processes, "version 1 of the key is suspended and does nothing").await;
    done(&server, "encrypt/app", json!({"plaintext": b64("new")})).await;
    set("1", "active").await;
    for (path, body) in protects.iter().chain(&processes) {
        done(&server, path, body.clone()).await;
    }
    set("1", "deactivated").await;
    none(&protects, "version 1 of the key is deactivated and decrypts and verifies only").await;
    for (path, body) in &processes {
        let answer = done(&server, path, body.clone()).await;
        assert_eq!(answer.body["warnings"], json!(null), "{answer:?}");
    }
    refused(
        &server,
        "keys/app/state/1",
        to("active"),
        "version 1 is deactivated and cannot become active; it can become compromised, destroyed",
    )
    .await;
    set("1", "compromised").await;
    none(&protects, "version 1 of the key is compromised and decrypts and verifies only").await;
    for (path, body) in &processes {
        let answer = done(&server, path, body.clone()).await;
        assert!(answer.body["warnings"][0].as_str().is_some_and(|text| text.contains("is compromised")), "{answer:?}");
    }
    let mut superuser = site.secure.superuser().await.unwrap();
    let warned = "SELECT count(*) FROM secure_audit_log WHERE severity = 'warning' AND event_data -> 'compromised_versions' = '[1]'";
    assert_eq!(sqlx::query_scalar::<_, i64>(warned).fetch_one(&mut superuser).await.unwrap(), 4);
    assert!(verifies(&server, "pair", b"old", &signature).await);
    refused(&server, "keys/app/state/1", to("destroyed"), "only where deletion_allowed is set for the key").await;
    for name in ["app", "pair"] {
        done(&server, &format!("keys/{name}/config"), json!({"deletion_allowed": true})).await;
    }
    set("1", "destroyed").await;
    none(&processes, "no such key version").await;
    let versions = &read(&server, "keys/app").await.body["data"]["keys"];
    assert!(versions.get("1").is_none() && versions.get("2").is_some(), "{versions}");
    let blobs = "SELECT (SELECT count(*) FROM encryption_keys WHERE key_state = 'destroyed' AND encrypted_key_material IS NULL AND hmac_key_material IS NULL) \
         + (SELECT count(*) FROM private_keys WHERE key_state = 'destroyed' AND encrypted_key_material IS NULL AND hmac_key_material IS NULL)";
    assert_eq!(sqlx::query_scalar::<_, i64>(blobs).fetch_one(&mut superuser).await.unwrap(), 2);

    let server = restarted(&site, server).await;
    let states = read(&server, "keys/app/state").await;
    let data = &states.body["data"];
    assert_eq!(data["versions"], json!({"1": "destroyed", "2": "active"}), "{data}");
    let steps = data["transitions"].as_array().unwrap();
    let way: Vec<&str> = steps.iter().map(|step| step["to"].as_str().unwrap()).collect();
    assert_eq!(way, ["suspended", "active", "deactivated", "compromised", "destroyed"]);
    for step in steps {
        assert_eq!((&step["version"], &step["by"]), (&json!(1), &json!("root")), "{step}");
        let reason = format!("made {} by a test", step["to"].as_str().unwrap());
        assert!(step["reason"] == json!(reason) && step["time"].as_str().unwrap().ends_with('Z'), "{step}");
    }
    done(&server, "encrypt/app", json!({"plaintext": ""})).await;
    done(&server, "keys/app/rotate", json!({})).await;
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_key_as_a_whole_has_a_state_as_well() {
    let (_site, server) = started().await;
    refused(&server, "keys/odd", json!({"state": "suspended"}), "not as suspended").await;
    done(&server, "keys/later", json!({"state": "pre_activation"})).await;
    for (path, body) in [("encrypt/later", json!({"plaintext": ""})), ("keys/later/rotate", json!({}))] {
        refused(&server, path, body, "key later is pre_activation and does nothing").await;
    }
    refused(&server, "keys/later/state", json!({"state": "active"}), "it is kept with the transition").await;
    refused(&server, "keys/later/state", json!({"state": "asleep"}), "suspended, deactivated, compromised, destroyed")
        .await;
    refused(&server, "keys/later/state/7", to("suspended"), "no such key version").await;
    refused(&server, "keys/none/state", to("suspended"), "key not found").await;
    done(&server, "keys/later/state", to("active")).await;
    let ciphertext = done(&server, "encrypt/later", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    done(&server, "keys/later/state", to("suspended")).await;
    refused(&server, "decrypt/later", json!({"ciphertext": ciphertext}), "key later is suspended and does nothing")
        .await;
    refused(&server, "keys/later/state", to("destroyed"), "by schedule-destruction").await;
    done(&server, "keys/later/state", to("deactivated")).await;
    done(&server, "decrypt/later", json!({"ciphertext": ciphertext})).await;
    refused(&server, "rewrap/later", json!({"ciphertext": ciphertext}), "decrypts and verifies only").await;
    done(&server, "keys/later/state", to("compromised")).await;
    let opened = done(&server, "decrypt/later", json!({"batch_input": [{"ciphertext": ciphertext}]})).await;
    assert!(opened.body["warnings"][0].as_str().is_some_and(|text| text.contains("is compromised")), "{opened:?}");
}

#[tokio::test]
async fn nobody_changes_a_state_or_takes_a_transition_away_in_the_database() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    let ciphertext = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    done(&server, "keys/app/state/1", to("suspended")).await;
    done(&server, "keys/app/state/1", to("deactivated")).await;
    let mut superuser = site.secure.superuser().await.unwrap();
    sqlx::query("DELETE FROM key_state_changes WHERE position = 2").execute(&mut superuser).await.unwrap();
    let answer = server.get("transit/keys/app/state").await.unwrap();
    assert!(answer.status == 500 && answer.error().contains("is not what this service wrote"), "{answer:?}");
    let forged = "UPDATE encryption_keys SET key_state = 'active' WHERE key_type = 'data' AND named_key_id IS NOT NULL";
    assert_eq!(sqlx::query(forged).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let server = restarted(&site, server).await;
    let answer = server.put("transit/decrypt/app", json!({"ciphertext": ciphertext})).await.unwrap();
    assert!(answer.status == 500 && answer.error().contains("of encryption_keys is not what"), "{answer:?}");
}

#[tokio::test]
async fn what_was_trimmed_and_what_was_deleted_is_among_the_transitions_with_who_did_it_and_why() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({"type": "ecdsa-p256"})).await;
    for _ in 0..3 {
        done(&server, "keys/app/rotate", json!({})).await;
    }
    done(&server, "keys/app/state/2", to("suspended")).await;
    let config = json!({"min_decryption_version": 4, "min_encryption_version": 4, "deletion_allowed": true});
    done(&server, "keys/app/config", config).await;
    done(&server, "keys/app/state/1", to("destroyed")).await;
    // Version 1 was destroyed before: it is not destroyed once more.
    for _ in 0..2 {
        done(&server, "keys/app/trim", json!({"min_available_version": 4})).await;
    }
    let states = async |server: &Server| read(server, "keys/app/state").await.body["data"].clone();
    let shown = states(&server).await;
    assert_eq!(shown["versions"], json!({"1": "destroyed", "2": "destroyed", "3": "destroyed", "4": "active"}));
    let steps = |shown: &Value, from: usize| -> Vec<Value> {
        let steps = shown["transitions"].as_array().unwrap()[from..].iter();
        steps.map(|step| json!([step["version"], step["from"], step["to"], step["reason"], step["by"]])).collect()
    };
    let why = "trimmed: min_available_version is 4";
    assert_eq!(
        steps(&shown, 2),
        [json!([2, "suspended", "destroyed", why, "root"]), json!([3, "active", "destroyed", why, "root"])]
    );

    // Deleted: the name is free, and until somebody takes it says what became of the key.
    done(&server, "keys/app/state", to("suspended")).await;
    let deleted = server.ask(Method::DELETE, "transit/keys/app", None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(read(&server, "keys/app").await.status, 404);
    refused(&server, "keys/app/state", to("active"), "key not found").await;
    let server = restarted(&site, server).await;
    let shown = states(&server).await;
    assert_eq!((&shown["state"], &shown["versions"]["4"]), (&json!("destroyed"), &json!("destroyed")));
    assert_eq!(steps(&shown, 5), [json!([null, "suspended", "destroyed", "deleted", "root"])]);
    done(&server, "keys/app", json!({})).await;
    let shown = states(&server).await;
    assert_eq!((&shown["state"], &shown["transitions"]), (&json!("active"), &json!([])));
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));

    // Nobody takes one away, also not of a key that is gone.
    done(&server, "keys/gone", json!({})).await;
    done(&server, "keys/gone/config", json!({"deletion_allowed": true})).await;
    server.ask(Method::DELETE, "transit/keys/gone", None).await.unwrap();
    let mut superuser = site.secure.superuser().await.unwrap();
    let taken = "DELETE FROM key_state_changes USING named_keys n WHERE n.id = named_key_id AND n.name = 'gone'";
    assert_eq!(sqlx::query(taken).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let answer = server.get("transit/keys/gone/state").await.unwrap();
    assert!(answer.status == 500 && answer.error().contains("is not what this service wrote"), "{answer:?}");
}

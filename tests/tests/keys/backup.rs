//! Backups.

use super::{b64, done, read, refused, restarted, sign, started, verifies};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tests::Server;

async fn backup(server: &Server, name: &str) -> String {
    let answer = read(server, &format!("backup/{name}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("backup").to_owned()
}

async fn delete(server: &Server, name: &str) {
    done(server, &format!("keys/{name}/config"), json!({"deletion_allowed": true})).await;
    let deleted = server.ask(reqwest::Method::DELETE, &format!("transit/keys/{name}"), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

#[tokio::test]
async fn a_deleted_key_comes_back_with_all_its_versions_and_what_they_made() {
    let (site, mut server) = started().await;
    let made = [
        ("aes", json!({"type": "aes256-gcm96"})),
        ("conv", json!({"type": "aes256-gcm96", "derived": true, "convergent_encryption": true})),
        ("ec", json!({"type": "ecdsa-p256"})),
        ("mac", json!({"type": "hmac", "key_size": 32})),
        ("rsa", json!({"type": "rsa-2048"})),
    ];
    let mut backups = Vec::new();
    for (name, body) in &made {
        let mut body = body.clone();
        (body["exportable"], body["allow_plaintext_backup"]) = (true.into(), true.into());
        done(&server, &format!("keys/{name}"), body).await;
        done(&server, &format!("keys/{name}/rotate"), json!({})).await;
    }
    let encrypt = json!({"plaintext": b64("m"), "context": b64("c"), "key_version": 1});
    let mut ciphertexts = Vec::new();
    for name in ["aes", "conv", "rsa"] {
        ciphertexts.push((
            name,
            done(&server, &format!("encrypt/{name}"), encrypt.clone()).await.text("ciphertext").to_owned(),
        ));
    }
    let signature = sign(&server, "ec", json!({"input": b64("m"), "key_version": 1})).await;
    let mac = done(&server, "hmac/mac", json!({"input": b64("m"), "key_version": 1})).await.text("hmac").to_owned();
    for (name, _) in &made {
        let before = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        let text = backup(&server, name).await;
        delete(&server, name).await;
        backups.push((*name, text, before));
    }
    server = restarted(&site, server).await;
    for (name, text, before) in &backups {
        assert_eq!(done(&server, "restore", json!({"backup": text})).await.status, 204);
        let mut after = read(&server, &format!("keys/{name}")).await.body["data"].clone();
        for copied in ["backup_info", "restore_info"] {
            assert!(after.as_object_mut().unwrap().remove(copied).is_some(), "{after}");
        }
        assert_eq!(after, *before, "the same settings and versions");
        done(&server, &format!("restore/{name}-copy"), json!({"backup": text})).await;
        // Vault's own status and words, which hvac's tests look for.
        let answer = server.put("transit/restore", json!({"backup": text})).await.unwrap();
        let error = format!("1 error occurred:\n\t* key '{name}' already exists\n\n");
        assert_eq!((answer.status.as_u16(), answer.error()), (500, error.as_str()));
    }
    server = restarted(&site, server).await;
    for suffix in ["", "-copy"] {
        for (name, ciphertext) in &ciphertexts {
            let body = json!({"ciphertext": ciphertext, "context": b64("c")});
            let opened = done(&server, &format!("decrypt/{name}{suffix}"), body).await;
            assert_eq!(opened.text("plaintext"), b64("m"), "{name}{suffix}");
        }
        assert!(verifies(&server, &format!("ec{suffix}"), b"m", &signature).await);
        let signed_now = sign(&server, &format!("ec{suffix}"), json!({"input": b64("n"), "key_version": 1})).await;
        assert!(verifies(&server, "ec", b"n", &signed_now).await);
        let body = json!({"input": b64("m"), "hmac": mac});
        assert_eq!(done(&server, &format!("verify/mac{suffix}"), body).await.body["data"]["valid"], true);
        done(&server, &format!("keys/aes{suffix}/rotate"), json!({})).await;
    }
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_backup_may_replace_a_key_and_the_count_of_its_encryptions_goes_on() {
    let (site, server) = started().await;
    done(&server, "keys/app", json!({"exportable": true, "allow_plaintext_backup": true})).await;
    let old = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    let text = backup(&server, "app").await;
    done(&server, "keys/app/rotate", json!({})).await;
    let newer = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    done(&server, "restore", json!({"backup": text, "force": true})).await;
    assert_eq!(done(&server, "decrypt/app", json!({"ciphertext": old})).await.text("plaintext"), b64("m"));
    refused(&server, "decrypt/app", json!({"ciphertext": newer}), "version is too new").await;
    done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let counts = "SELECT reserved FROM key_usage ORDER BY reserved";
    let counts: Vec<i64> = sqlx::query_scalar(counts).fetch_all(&mut superuser).await.unwrap();
    assert_eq!(counts, [1_024, 1_024, 2_048], "the third counts on from the first");
}

#[tokio::test]
async fn only_what_this_deployment_backed_up_and_was_meant_to_be_is_restored() {
    let (_site, server) = started().await;
    done(&server, "keys/stays", json!({})).await;
    done(&server, "keys/half", json!({"exportable": true})).await;
    done(&server, "keys/hard", json!({"exportable": true, "allow_plaintext_backup": true, "storage": "token"})).await;
    done(&server, "keys/app", json!({"exportable": true, "allow_plaintext_backup": true})).await;
    for (name, status, ends) in [
        ("stays", 500, "* exporting is disallowed on the policy\n\n"),
        ("half", 500, "* plaintext backup is disallowed on the policy\n\n"),
        ("hard", 500, "which nobody can back up but the token's own tool\n\n"),
        ("none", 404, "key \"none\" not found"),
    ] {
        let answer = read(&server, &format!("backup/{name}")).await;
        assert!(answer.status == status && answer.error().ends_with(ends), "{answer:?}");
    }
    let text = backup(&server, "app").await;
    let bytes = BASE64_STANDARD.decode(&text).unwrap();
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        b64(bytes)
    };
    let foreign = "the backup is none that this deployment made for this organization, or it was changed";
    for (backup, ends) in [
        (String::new(), "'backup' must be supplied"),
        ("!!".to_owned(), "the backup is no base64"),
        (b64("short"), foreign),
        (changed(0), foreign),
        (changed(bytes.len() - 1), foreign),
    ] {
        refused(&server, "restore/copy", json!({"backup": backup}), ends).await;
    }
    // Made by another deployment, whose token has other keys.
    let (_other_site, other) = started().await;
    refused(&other, "restore", json!({"backup": text}), foreign).await;
}

#[tokio::test]
async fn a_key_shows_when_it_was_backed_up_and_restored() {
    let (_site, server) = started().await;
    done(&server, "keys/app", json!({"exportable": true, "allow_plaintext_backup": true})).await;
    done(&server, "keys/app/rotate", json!({})).await;
    let object = async |name: &str| read(&server, &format!("keys/{name}")).await.body["data"].clone();
    assert!(object("app").await.get("backup_info").is_none());
    let text = backup(&server, "app").await;
    let app = object("app").await;
    assert_eq!(app["backup_info"]["version"], json!(2), "{app}");
    assert!(app.get("restore_info").is_none() && app["backup_info"]["time"].as_str().unwrap().ends_with('Z'));
    done(&server, "restore/copy", json!({"backup": text})).await;
    let copy = object("copy").await;
    assert_eq!(copy["backup_info"], app["backup_info"]);
    assert_eq!(copy["restore_info"]["version"], json!(2), "{copy}");
    assert!(copy["restore_info"]["time"].as_str() >= copy["backup_info"]["time"].as_str(), "{copy}");
}

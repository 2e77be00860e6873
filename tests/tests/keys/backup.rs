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
        ("hard", 400, "which nobody can back up but the token's own tool"),
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

/// Ids of versions of pairs in a list below `clm/`, but for those that are known.
async fn pairs(server: &Server, list: &str, known: &[String]) -> Vec<String> {
    let listed = server.ask(reqwest::Method::from_bytes(b"LIST").unwrap(), list, None).await.unwrap();
    let keys = listed.body["data"]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|id| id.as_str().unwrap().to_owned()).filter(|id| !known.contains(id)).collect()
}

#[tokio::test]
async fn what_was_deleted_destroyed_or_suspended_comes_back_as_that() {
    let (site, mut server) = started().await;
    let state = |word: &str| json!({"state": word, "reason": "a test"});
    let exportable = |kind: &str| json!({"type": kind, "exportable": true, "allow_plaintext_backup": true});
    for (name, kind) in [("pair", "ecdsa-p256"), ("aes", "aes256-gcm96")] {
        done(&server, &format!("keys/{name}"), exportable(kind)).await;
    }
    let first = sign(&server, "pair", json!({"input": b64("m")})).await;
    let versions = pairs(&server, "clm/private-keys", &[]).await;
    for (name, version) in [("pair", 2), ("pair", 3), ("pair", 4), ("aes", 2), ("aes", 3), ("aes", 4)] {
        let rotated = done(&server, &format!("keys/{name}/rotate"), json!({})).await;
        assert_eq!(rotated.body["data"]["latest_version"], version, "{rotated:?}");
    }
    for name in ["pair", "aes"] {
        done(&server, &format!("keys/{name}/config"), json!({"deletion_allowed": true})).await;
    }
    // Of the pair the first version is deleted; of both keys the others are suspended, destroyed, and good.
    let deleted =
        server.ask(reqwest::Method::DELETE, &format!("clm/private-keys/{}", versions[0]), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    for name in ["pair", "aes"] {
        done(&server, &format!("keys/{name}/state/2"), state("suspended")).await;
        done(&server, &format!("keys/{name}/state/3"), state("destroyed")).await;
    }
    for name in ["pair", "aes"] {
        let text = backup(&server, name).await;
        done(&server, &format!("restore/{name}-copy"), json!({"backup": text})).await;
    }
    server = restarted(&site, server).await;
    for name in ["pair", "aes"] {
        let states = async |name: &str| read(&server, &format!("keys/{name}/state")).await.body["data"].clone();
        let (was, is) = (states(name).await, states(&format!("{name}-copy")).await);
        assert_eq!(was["versions"]["3"], "destroyed", "{was}");
        for field in ["versions", "state", "soft_deleted"] {
            assert_eq!(was[field], is[field], "{name}: {field}");
        }
        let keys = async |name: &str| read(&server, &format!("keys/{name}")).await.body["data"]["keys"].clone();
        assert_eq!(keys(name).await, keys(&format!("{name}-copy")).await);
    }
    let verify = json!({"input": b64("m"), "signature": first});
    for name in ["pair", "pair-copy"] {
        let refused = server.put(&format!("transit/verify/{name}"), verify.clone()).await.unwrap();
        assert_eq!(refused.status, 400, "a deleted version verifies nothing: {refused:?}");
        for (version, says) in [(2, "suspended"), (3, "no such key version")] {
            let body = json!({"input": "", "key_version": version});
            let refused = server.put(&format!("transit/sign/{name}"), body).await.unwrap();
            assert!(refused.status == 400 && refused.error().contains(says), "{name} {version}: {refused:?}");
        }
    }
    // It is among what was deleted, and comes back by itself, for the copy alone.
    let copied = pairs(&server, "clm/deleted/private-keys", &versions).await;
    assert_eq!(copied.len(), 1, "{copied:?}");
    let back = server.put(&format!("clm/private-keys/{}/restore", copied[0]), json!({})).await.unwrap();
    assert!(back.status.is_success(), "{back:?}");
    assert!(verifies(&server, "pair-copy", b"m", &first).await);
    assert_eq!(server.put("transit/verify/pair", verify).await.unwrap().status, 400);
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_key_that_is_deleted_or_to_be_destroyed_comes_back_as_that() {
    let (site, server) = started().await;
    for name in ["gone", "doomed", "soon"] {
        done(&server, &format!("keys/{name}"), json!({"exportable": true, "allow_plaintext_backup": true})).await;
        done(&server, &format!("keys/{name}/config"), json!({"deletion_allowed": true})).await;
    }
    let soft = server.ask(reqwest::Method::DELETE, "transit/keys/gone/soft-delete", None).await.unwrap();
    assert_eq!(soft.status, 200, "{soft:?}");
    let mut plans = Vec::new();
    for (name, wait) in [("doomed", "8d"), ("soon", "7d")] {
        let plan = done(&server, &format!("keys/{name}/schedule-destruction"), json!({"waiting_period": wait})).await;
        plans.push(plan.text("destroy_at").to_owned());
    }
    for name in ["gone", "doomed", "soon"] {
        let text = backup(&server, name).await;
        done(&server, &format!("restore/{name}-copy"), json!({"backup": text})).await;
    }
    let server = restarted(&site, server).await;
    refused(&server, "encrypt/gone-copy", json!({"plaintext": ""}), "refusing to use soft-deleted key").await;
    done(&server, "keys/gone-copy/soft-delete-restore", json!({})).await;
    done(&server, "encrypt/gone-copy", json!({"plaintext": ""})).await;
    assert_eq!(read(&server, "keys/doomed-copy").await.text("destroy_at"), plans[0]);
    let ends = format!("it is to be destroyed at {}; cancel-destruction keeps it", plans[0]);
    refused(&server, "encrypt/doomed-copy", json!({"plaintext": ""}), &ends).await;
    // Whoever restores one has the shortest wait to cancel it, however near the plan was.
    assert!(read(&server, "keys/soon-copy").await.text("destroy_at") >= plans[1].as_str());
    done(&server, "keys/soon-copy/cancel-destruction", json!({})).await;
    done(&server, "encrypt/soon-copy", json!({"plaintext": ""})).await;
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

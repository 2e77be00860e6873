//! Who uses a key, and what would stop.

use super::{b64, done, read, refused, restarted, started};
use serde_json::{Value, json};
use std::time::Duration;

/// The accessor, display name and counts of a version's callers.
fn callers(answer: &Value, version: &str) -> Vec<(String, i64, i64)> {
    let callers = answer["versions"][version]["callers"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let named = callers.iter().map(|caller| {
        let count = |field: &str| caller[field].as_i64().unwrap();
        (caller["display_name"].as_str().unwrap().to_owned(), count("protected"), count("processed"))
    });
    let mut named: Vec<_> = named.collect();
    named.sort();
    named
}

#[tokio::test]
async fn it_is_known_who_used_which_version_and_a_dry_run_says_for_whom_it_would_stop() {
    let (site, mut server) = started().await;
    let root = server.token.clone();
    done(&server, "keys/app", json!({})).await;
    done(&server, "aliases/live", json!({"key_name": "app"})).await;
    let old = done(&server, "encrypt/app", json!({"plaintext": b64("m")})).await.text("ciphertext").to_owned();
    done(&server, "keys/app/rotate", json!({})).await;
    let wanted = json!({"policies": ["root"], "display_name": "reader"});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    let accessor = made.body["auth"]["accessor"].as_str().unwrap().to_owned();
    made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
    let batch = json!({"batch_input": [{"ciphertext": old}, {"ciphertext": old}, {"ciphertext": "vault:v1:none"}]});
    server.put("transit/decrypt/live", batch).await.unwrap();
    server.token.clone_from(&root);
    for _ in 0..3 {
        done(&server, "encrypt/app", json!({"plaintext": ""})).await;
    }
    let usage = read(&server, "keys/app/usage").await.body["data"].clone();
    assert_eq!(usage["aliases"], json!(["live"]));
    assert_eq!(callers(&usage, "1"), [("root".to_owned(), 1, 0), ("token-reader".to_owned(), 0, 2)]);
    assert_eq!(callers(&usage, "2"), [("root".to_owned(), 3, 0)]);
    let last = &usage["versions"]["1"]["callers"][0];
    assert_eq!(last["accessor"], json!(accessor), "who came last is first");
    assert_eq!(usage["versions"]["1"]["last_used"], last["processed_at"]);
    assert!(read(&server, "keys/none/usage").await.status == 404);

    let dry = |state: &str| json!({"state": state, "dry_run": true});
    let says = done(&server, "keys/app/state/1", dry("deactivated")).await.body["data"].clone();
    assert_eq!(callers(&says, "1"), [("root".to_owned(), 1, 0)], "reading goes on");
    assert_eq!(says["versions"]["1"]["stops_processing"], json!(false));
    let says = done(&server, "keys/app/state/1", dry("suspended")).await.body["data"].clone();
    assert_eq!(callers(&says, "1").len(), 2);
    assert_eq!((&says["aliases"], &says["versions"]["1"]["is_latest"]), (&json!(["live"]), &json!(false)), "{says}");
    let says = done(&server, "keys/app/state", dry("suspended")).await.body["data"].clone();
    assert_eq!((callers(&says, "1").len(), callers(&says, "2").len()), (2, 1), "{says}");
    refused(&server, "keys/app/state/9", dry("suspended"), "no such key version").await;
    let states = read(&server, "keys/app/state").await.body["data"].clone();
    assert_eq!((&states["transitions"], &states["state"]), (&json!([]), &json!("active")), "nothing was changed");

    // Written by itself, without anybody asking, and by no use of its own.
    let mut superuser = site.secure.superuser().await.unwrap();
    done(&server, "encrypt/app", json!({"plaintext": ""})).await;
    let written = "SELECT coalesce(sum(protected), 0)::bigint FROM key_callers WHERE version = 2";
    let read_it = async || sqlx::query_scalar::<_, i64>(written).fetch_one(&mut superuser).await.unwrap();
    tests::until(Duration::from_secs(60), "uses that are written", 4, read_it).await;
    let server = restarted(&site, server).await;
    let usage = read(&server, "keys/app/usage").await.body["data"].clone();
    assert_eq!(callers(&usage, "2"), [("root".to_owned(), 4, 0)]);
}

#[tokio::test]
async fn of_many_callers_the_last_are_named_and_the_others_counted_together() {
    let (_site, mut server) = started().await;
    let root = server.token.clone();
    done(&server, "keys/app", json!({})).await;
    for number in 0..36 {
        server.token.clone_from(&root);
        let wanted = json!({"policies": ["root"], "display_name": format!("n{number}")});
        let made = server.put("auth/token/create", wanted).await.unwrap();
        made.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut server.token);
        done(&server, "encrypt/app", json!({"plaintext": ""})).await;
    }
    let usage = read(&server, "keys/app/usage").await.body["data"].clone();
    let named = callers(&usage, "1");
    assert_eq!(named.len(), 33, "{named:?}");
    assert_eq!(named[0], (String::new(), 4, 0));
    assert!(!named.iter().any(|(name, ..)| name == "token-n3") && named.iter().any(|(name, ..)| name == "token-n4"));
    assert_eq!(usage["versions"]["1"]["protected"], json!(36));
}

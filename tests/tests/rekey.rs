//! New shares in place of the old ones: of the seal, and of the recovery key.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Answer, Server, Site};

const SHAMIR: &str = "[seal]\ntype = 'shamir'\nrekey = true\n";
/// The old shares hold for ten seconds beside new ones that nobody showed.
const PATIENCE: Duration = Duration::from_secs(60);

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap_or_else(|| panic!("{list}")).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

async fn initialised(site: &Site) -> (Server, Vec<String>, String) {
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let made = server.put("sys/init", json!({"secret_shares": 3, "secret_threshold": 2})).await.unwrap();
    let keys = texts(&made.body["keys"]);
    let token = made.body["root_token"].as_str().unwrap().to_owned();
    assert!(opens(&server, &keys[..2]).await);
    (server, keys, token)
}

/// Started again: it has databases and token, and waits for shares.
async fn sealed(site: &Site) -> Server {
    let server = site.serve().await.unwrap();
    let waits = async || server.get("sys/seal-status").await.unwrap().body.get("waits_for").is_some();
    tests::until(PATIENCE, "it waits for something else than shares", false, waits).await;
    server
}

/// Whether these shares unseal it.
async fn opens(server: &Server, keys: &[String]) -> bool {
    server.put("sys/unseal", json!({"reset": true})).await.unwrap();
    let mut answer = None;
    for key in keys {
        answer = Some(server.put("sys/unseal", json!({"key": key})).await.unwrap());
    }
    answer.unwrap().body["sealed"] == false
}

async fn start(server: &Server, path: &str, body: Value) -> String {
    let started = server.put(&format!("{path}/init"), body).await.unwrap();
    assert_eq!(started.status, 200, "{started:?}");
    started.body["nonce"].as_str().unwrap().to_owned()
}

async fn give(server: &Server, path: &str, key: &str, nonce: &str) -> Answer {
    server.put(&format!("{path}/update"), json!({"key": key, "nonce": nonce})).await.unwrap()
}

/// The new shares, for enough of the old ones.
async fn rekeyed(server: &Server, path: &str, body: Value, old: &[String]) -> Answer {
    let nonce = start(server, path, body).await;
    let mut answer = None;
    for key in old {
        answer = Some(give(server, path, key, &nonce).await);
    }
    let answer = answer.unwrap();
    assert_eq!(answer.body["complete"], true, "{answer:?}");
    answer
}

async fn has_former(site: &Site) -> bool {
    let mut superuser = site.core.superuser().await.unwrap();
    let former = "SELECT document::jsonb -> 'former' <> 'null' FROM system_entries WHERE kind = 'seal'";
    sqlx::query_scalar(former).fetch_one(&mut superuser).await.unwrap()
}

async fn verify(server: &Server, key: &str, nonce: &str) -> Answer {
    server.put("sys/rekey/verify", json!({"key": key, "nonce": nonce})).await.unwrap()
}

#[tokio::test]
async fn enough_old_shares_make_new_ones_and_soon_only_these_open_the_service() {
    let site = Site::ready(SHAMIR).await.unwrap();
    let (mut server, old, _) = initialised(&site).await;
    let idle = server.get("sys/rekey/init").await.unwrap();
    let expected = json!({"nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": 2,
        "pgp_fingerprints": null, "backup": false, "verification_required": false});
    assert_eq!(idle.body, expected);
    told(&give(&server, "sys/rekey", &old[0], "").await, 400, "no barrier rekey in progress");
    told(&server.get("sys/rekey/verify").await.unwrap(), 400, "no rekey configuration found");
    told(&server.get("sys/rekey/backup").await.unwrap(), 400, "no backed-up keys found");
    told(&server.get("sys/rekey-recovery-key/init").await.unwrap(), 400, "recovery rekeying not supported");
    let impossible = server.put("sys/rekey/init", json!({})).await.unwrap();
    told(&impossible, 500, "invalid rekey seal configuration: shares must be at least one");

    let wanted = json!({"secret_shares": 5, "secret_threshold": 3});
    let nonce = start(&server, "sys/rekey", wanted.clone()).await;
    told(&server.put("sys/rekey/init", wanted).await.unwrap(), 400, "rekey already in progress");
    told(
        &give(&server, "sys/rekey", &old[0], "bad").await,
        400,
        &format!("incorrect nonce supplied; nonce for this rekey operation is \"{nonce}\""),
    );
    let first = give(&server, "sys/rekey", &old[0], &nonce).await;
    assert_eq!((&first.body["progress"], &first.body["t"], &first.body["n"]), (&json!(1), &json!(3), &json!(5)));
    told(&give(&server, "sys/rekey", &old[0], &nonce).await, 400, "given key has already been provided");
    let wrong = format!("{}{}", &old[1][..2], "0".repeat(old[1].len() - 2));
    told(&give(&server, "sys/rekey", &wrong, &nonce).await, 400, "rekey aborted");
    assert_eq!(server.get("sys/rekey/init").await.unwrap().body["progress"], 0, "it begins anew");
    give(&server, "sys/rekey", &old[2], &nonce).await;
    let done = give(&server, "sys/rekey", &old[1], &nonce).await;
    let new = texts(&done.body["keys"]);
    assert_eq!((&done.body["complete"], &done.body["nonce"], new.len()), (&json!(true), &json!(nonce), 5));
    assert_eq!(texts(&done.body["keys_base64"]).len(), 5);
    assert_eq!(server.get("sys/rekey/init").await.unwrap().body["started"], false);
    let status = server.get("sys/seal-status").await.unwrap();
    assert_eq!((&status.body["t"], &status.body["n"]), (&json!(3), &json!(5)));
    tests::until(PATIENCE, "the old shares are forgotten", false, || async { has_former(&site).await }).await;
    drop(server);

    server = sealed(&site).await;
    assert!(!opens(&server, &old).await, "old shares");
    assert!(!opens(&server, &new[..2]).await, "too few");
    assert!(opens(&server, &new[1..4]).await);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    assert!(new.iter().chain(&old).all(|key| !log.contains(key)), "no share is logged");
}

#[tokio::test]
async fn with_verification_the_old_shares_hold_until_the_new_ones_were_shown() {
    let site = Site::ready(SHAMIR).await.unwrap();
    let (mut server, old, _) = initialised(&site).await;
    let wanted = json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true});
    rekeyed(&server, "sys/rekey", wanted.clone(), &old[..2]).await;
    // Nobody has shown them when the service is killed: they were never there.
    drop(server);
    server = sealed(&site).await;
    assert!(opens(&server, &old[..2]).await);

    let done = rekeyed(&server, "sys/rekey", wanted, &old[1..]).await;
    let new = texts(&done.body["keys"]);
    assert_eq!(done.body["verification_required"], true);
    let nonce = done.body["verification_nonce"].as_str().unwrap().to_owned();
    let waiting = server.get("sys/rekey/verify").await.unwrap();
    assert_eq!(waiting.body, json!({"nonce": nonce, "started": true, "t": 2, "n": 3, "progress": 0}));
    assert_eq!(verify(&server, &new[0], &nonce).await.body["progress"], 1);
    told(&verify(&server, &old[0], &nonce).await, 400, "rekey verification failed; incorrect key shares supplied");
    told(&verify(&server, &new[0], &nonce).await, 400, "incorrect nonce supplied");
    let again = server.ask(Method::DELETE, "sys/rekey/verify", None).await.unwrap();
    let second = again.body["nonce"].as_str().unwrap().to_owned();
    assert!(again.status == 200 && second != nonce, "{again:?}");
    assert_eq!(verify(&server, &new[2], &second).await.body["progress"], 1);
    let verified = verify(&server, &new[0], &second).await;
    assert_eq!(verified.body, json!({"nonce": second, "complete": true}));
    assert!(!has_former(&site).await);
    drop(server);
    server = sealed(&site).await;
    assert!(!opens(&server, &old[..2]).await && opens(&server, &new[..2]).await);
}

#[tokio::test]
async fn killed_before_it_told_the_new_shares_it_opens_with_the_old_ones() {
    let mut site = Site::ready(SHAMIR).await.unwrap();
    let (server, old, token) = initialised(&site).await;
    drop(server);
    site.variables = vec![("CLM_CRASH_AT", "seal-rekeyed".into())];
    let server = sealed(&site).await;
    assert!(opens(&server, &old[..2]).await);
    let nonce = start(&server, "sys/rekey", json!({"secret_shares": 3, "secret_threshold": 3})).await;
    give(&server, "sys/rekey", &old[0], &nonce).await;
    let lost = server.put("sys/rekey/update", json!({"key": old[1], "nonce": nonce})).await;
    assert!(lost.is_err(), "{lost:?}");
    drop(server);

    site.variables.clear();
    let mut server = sealed(&site).await;
    assert!(opens(&server, &old[1..]).await, "nobody was told the new shares");
    token.clone_into(&mut server.token);
    assert_eq!(server.get("sys/mounts").await.unwrap().status, 200);
    assert!(has_former(&site).await);
}

#[tokio::test]
async fn recovery_shares_are_made_anew_and_the_old_ones_make_no_root_token_any_more() {
    let mut site = Site::ready("[seal]\nrekey = true\ngenerate_root = true\n").await.unwrap();
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    let made = server.put("sys/init", json!({"recovery_shares": 2, "recovery_threshold": 2})).await.unwrap();
    let old = texts(&made.body["recovery_keys"]);
    server.until_health(200).await.unwrap();
    told(&server.get("sys/rekey/init").await.unwrap(), 400, "has no shares of its own");
    let path = "sys/rekey-recovery-key";
    let done = rekeyed(&server, path, json!({"secret_shares": 1, "secret_threshold": 1}), &old).await;
    let new = texts(&done.body["keys"]);
    tests::until(PATIENCE, "the old shares are forgotten", false, || async { has_former(&site).await }).await;
    let attempt = server.put("sys/generate-root/attempt", json!({})).await.unwrap();
    let nonce = attempt.body["nonce"].as_str().unwrap();
    let update =
        async |key: &str| server.put("sys/generate-root/update", json!({"key": key, "nonce": nonce})).await.unwrap();
    told(&update(&old[0]).await, 400, "root generation aborted");
    assert_eq!(update(&new[0]).await.body["complete"], true);

    // Whoever can write the database cannot put shares of his own in their place.
    let mut superuser = site.core.superuser().await.unwrap();
    let forged =
        "UPDATE system_entries SET document = replace(document, '\"shares\":1', '\"shares\":2') WHERE kind = 'seal'";
    assert_eq!(sqlx::query(forged).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let attempt = server.put("sys/generate-root/attempt", json!({})).await.unwrap();
    told(&attempt, 500, "changed behind the service's back");
    told(&update(&new[0]).await, 500, "changed behind the service's back");
    let refused =
        server.put(&format!("{path}/init"), json!({"secret_shares": 1, "secret_threshold": 1})).await.unwrap();
    told(&refused, 500, "changed behind the service's back");
    drop(server);

    site.variables = vec![("CLM_SEAL__REKEY", "false".into())];
    let server = site.serve().await.unwrap();
    server.until_health(200).await.unwrap();
    told(&server.get("sys/rekey-recovery-key/init").await.unwrap(), 405, "set seal.rekey = true");
}

#[tokio::test]
async fn sealing_forgets_attempts_with_the_shares_that_were_given_to_them() {
    let site = Site::ready("[seal]\ntype = 'shamir'\nrekey = true\ngenerate_root = true\n").await.unwrap();
    let (mut server, keys, token) = initialised(&site).await;
    let nonce = start(&server, "sys/rekey", json!({"secret_shares": 2, "secret_threshold": 2})).await;
    assert_eq!(give(&server, "sys/rekey", &keys[0], &nonce).await.body["progress"], 1);
    let attempt = server.put("sys/generate-root/attempt", json!({})).await.unwrap();
    let attempt = attempt.body["nonce"].as_str().unwrap().to_owned();
    let update = async |server: &Server, key: &str| {
        server.put("sys/generate-root/update", json!({"key": key, "nonce": attempt})).await.unwrap()
    };
    assert_eq!(update(&server, &keys[0]).await.body["progress"], 1);
    token.clone_into(&mut server.token);
    assert_eq!(server.put("sys/seal", Value::Null).await.unwrap().status, 204);
    server.token.clear();
    assert!(opens(&server, &keys[1..]).await);
    for path in ["sys/rekey/init", "sys/generate-root/attempt"] {
        let idle = server.get(path).await.unwrap();
        assert_eq!((&idle.body["started"], &idle.body["progress"]), (&json!(false), &json!(0)), "{path}: {idle:?}");
    }
    told(&give(&server, "sys/rekey", &keys[1], &nonce).await, 400, "no barrier rekey in progress");
    told(&update(&server, &keys[1]).await, 400, "no root generation in progress");
    // Nor does what waited to be verified come back.
    let wanted = json!({"secret_shares": 2, "secret_threshold": 2, "require_verification": true});
    let done = rekeyed(&server, "sys/rekey", wanted, &keys[..2]).await;
    let (new, nonce) = (texts(&done.body["keys"]), done.body["verification_nonce"].as_str().unwrap());
    token.clone_into(&mut server.token);
    assert_eq!(server.put("sys/seal", Value::Null).await.unwrap().status, 204);
    server.token.clear();
    assert!(opens(&server, &keys[..2]).await);
    told(&verify(&server, &new[0], nonce).await, 400, "no rekey configuration found");
}

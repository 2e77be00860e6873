//! Changes that a request makes in both databases, cut off in between: what is asked again works, and nothing is there twice.

use crate::{Change, ending_at, has_ended, number, steps, until};
use api::crash::CrashPoint;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use tests::{Server, Site};

const MASTER_KEYS: &str = "SELECT count(*) FROM encryption_keys WHERE key_type = 'master'";

#[tokio::test(flavor = "multi_thread")]
async fn an_initialisation_that_was_cut_off_is_finished_by_the_next_one() {
    for (_, step) in steps(Change::Initialise) {
        let mut site = Site::ready("").await.unwrap();
        let server = ending_at(&mut site, &step).await;
        server.until_health(501).await.unwrap();
        server.put("sys/init", json!({})).await.expect_err("nobody answers");
        has_ended(server, &step);
        let mut server = site.serve().await.unwrap();
        server.initialize().await.unwrap();
        assert_eq!(number(&mut site.secure.superuser().await.unwrap(), MASTER_KEYS).await, 1, "{step}");
        assert!(server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap().status.is_success());
        site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initialisation_that_was_cut_off_after_the_pin_was_changed_says_how_to_go_on() {
    let shares = json!({"secret_shares": 1, "secret_threshold": 1});
    for (_, step) in steps(Change::InitialiseShamir) {
        let mut site = Site::ready("[seal]\ntype = 'shamir'\n").await.unwrap();
        let server = ending_at(&mut site, &step).await;
        server.until_health(501).await.unwrap();
        server.put("sys/init", shares.clone()).await.expect_err("nobody answers");
        has_ended(server, &step);

        let server = site.serve().await.unwrap();
        server.until_health(501).await.unwrap();
        let refused = server.put("sys/init", shares.clone()).await.unwrap();
        assert!(
            !refused.status.is_success()
                && refused.error().contains("set the user PIN again with the security officer's"),
            "{refused:?}"
        );
        drop(server);
        let settings = site.hsm().unwrap();
        let [so_pin, pin] =
            ["so-pin", "pin"].map(|name| std::fs::read_to_string(site.path(name)).unwrap().trim().to_owned());
        let done = Command::new("pkcs11-tool")
            .arg("--module")
            .arg(&settings.module)
            .args(["--login", "--login-type", "so", "--so-pin", &so_pin, "--init-pin", "--new-pin", &pin])
            .args(["--token-label", "site"])
            .envs(settings.environment)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");

        let server = site.serve().await.unwrap();
        server.until_health(501).await.unwrap();
        let made = server.put("sys/init", shares.clone()).await.unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        let opened = server.put("sys/unseal", json!({"key": made.body["keys"][0]})).await.unwrap();
        assert_eq!(opened.body["sealed"], false, "{opened:?}");
        assert_eq!(number(&mut site.secure.superuser().await.unwrap(), MASTER_KEYS).await, 1, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_was_half_made_is_finished_by_asking_again_with_one_key() {
    let mut site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let token = server.token.clone();
    drop(server);
    for (_, step) in steps(Change::MakeOrganization) {
        let mut server = ending_at(&mut site, &step).await;
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        server.put("clm/organizations/half", json!({"org_name": "Half"})).await.expect_err("nobody answers");
        has_ended(server, &step);

        let mut server = site.serve_for(&token).await.unwrap();
        assert_eq!(server.get("clm/organizations/half").await.unwrap().status, 404, "{step}: it is not there by half");
        let made = server.put("clm/organizations/half", json!({"org_name": "Half"})).await.unwrap();
        assert_eq!(made.status, 204, "{step}: {made:?}");
        let mut secure = site.secure.superuser().await.unwrap();
        assert_eq!(number(&mut secure, MASTER_KEYS).await, 2, "{step}: root's, and one of the new one");
        let inside = server.put("clm/organization-tokens/half", json!({})).await.unwrap();
        server.enter("half", inside.text("token"));
        assert_eq!(server.put("sys/mounts/transit", json!({"type": "transit"})).await.unwrap().status, 204);
        let key = server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
        assert!(key.status.is_success(), "{key:?}");
        site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    }
}

/// A secret in a wrapping token.
async fn wrapped(server: &mut Server) -> String {
    "20s".clone_into(&mut server.wrap_ttl);
    let answer = server.put("sys/wrapping/wrap", json!({"kept": "once"})).await.unwrap();
    server.wrap_ttl.clear();
    answer.body["wrap_info"]["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn with(server: &Server, path: &str, token: &str) -> Option<Value> {
    let answer = server.ask(Method::PUT, path, Some(json!({"token": token}).to_string().into())).await.ok()?;
    answer.status.is_success().then_some(answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_answer_is_given_once_or_never_wherever_its_server_was_killed_and_nothing_stays() {
    let mut site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let token = server.token.clone();
    drop(server);
    for (point, step) in steps(Change::Wrap) {
        let mut server = ending_at(&mut site, &step).await;
        server.token.clone_from(&token);
        server.until_health(200).await.unwrap();
        let given = if point == CrashPoint::ContentKept {
            "20s".clone_into(&mut server.wrap_ttl);
            server.put("sys/wrapping/wrap", json!({"kept": "once"})).await.expect_err("nobody answers");
            None
        } else {
            let given = wrapped(&mut server).await;
            let verb = if point == CrashPoint::WrappingEnded { "unwrap" } else { "rewrap" };
            assert_eq!(with(&server, &format!("sys/wrapping/{verb}"), &given).await, None, "{step}: nobody answers");
            Some(given)
        };
        has_ended(server, &step);

        let mut server = site.serve_for(&token).await.unwrap();
        if let Some(given) = given {
            assert_eq!(with(&server, "sys/wrapping/unwrap", &given).await, None, "{step}: it has ended");
        }
        let mut secure = site.secure.superuser().await.unwrap();
        let entries = "SELECT count(*) FROM cubbyhole_entries";
        until(&step, 0, async || number(&mut secure, entries).await).await;
        // The next one is as ever.
        let next = wrapped(&mut server).await;
        let unwrapped = with(&server, "sys/wrapping/unwrap", &next).await.unwrap();
        assert_eq!(unwrapped["data"], json!({"kept": "once"}), "{step}");
        site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    }
}

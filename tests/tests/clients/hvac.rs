//! hvac, from PyPI: the scripts are in `tests/clients`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tests::{Authority, Issuer, Server, Site, StandIn, python};

/// Runs a script as a user of hvac would: address, authority and token come from the environment.
fn run(site: &Site, server: &Server, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
    let mut command = Command::new(python().unwrap());
    command
        .args(["-W", "error"])
        .arg(script)
        .args(arguments)
        .env("VAULT_ADDR", server.address())
        .env("VAULT_TOKEN", &server.token);
    // A deprecated call would tell that the next hvac sends something else.
    command.env_remove("VAULT_CAPATH").env("PYTHONDONTWRITEBYTECODE", "1");
    if site.path("ca.pem").exists() {
        command.env("VAULT_CACERT", site.path("ca.pem"));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim_end().ends_with("done"), "{said}");
}

#[tokio::test]
async fn hvac_initialises_unseals_signs_and_verifies_over_http() {
    let site = Site::ready("[seal]\ntype = 'shamir'\n").await.unwrap();
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    run(&site, &server, "hvac_main_job.py", &["shamir"]);
}

#[tokio::test]
async fn hvac_initialises_signs_and_verifies_over_tls() {
    let site = Site::ready("").await.unwrap();
    site.protect(&Authority::create("tests").unwrap(), "").unwrap();
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    run(&site, &server, "hvac_main_job.py", &["pkcs11"]);
}

#[tokio::test]
async fn hvac_says_who_may_do_what() {
    let (site, server) = Site::started("").await.unwrap();
    run(&site, &server, "hvac_access.py", &[]);
}

#[tokio::test]
async fn hvac_encrypts_makes_data_keys_and_hmacs() {
    let (site, server) = Site::started("").await.unwrap();
    run(&site, &server, "hvac_transit.py", &[]);
}

#[tokio::test]
async fn hvac_keeps_secrets_in_both_versions_of_the_engine() {
    let (site, server) = Site::started("").await.unwrap();
    run(&site, &server, "hvac_secrets.py", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hvac_says_who_somebody_is_and_logs_in_as_others_vouch() {
    let site = Site::ready("").await.unwrap();
    let authority = Authority::create("tests").unwrap();
    site.protect(&authority, "").unwrap();
    let own = authority.issue("client").unwrap();
    let (public, jwt) = issued_jwt();
    let file = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name).to_str().unwrap().to_owned()
    };
    let files = [
        file("issuer.pem", &public),
        file("jwt", &jwt),
        file("authority.pem", &authority.pem),
        file("own.pem", &own.certificate),
        file("own.key", &own.key),
    ];
    let account = json!({"username": "system:serviceaccount:prod:app", "uid": "1"});
    let review = json!({"kind": "TokenReview", "status": {"authenticated": true, "user": account}}).to_string();
    let cluster = StandIn::start(move |_| (201, review.clone())).await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let url = cluster.url();
    let arguments: Vec<&str> = files.iter().chain([&url]).map(String::as_str).collect();
    // The script waits for the cluster, which is served by this test's own runtime.
    tokio::task::block_in_place(|| run(&site, &server, "hvac_identity.py", &arguments));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hvac_sends_a_browser_to_a_provider_and_gets_a_token_for_its_code() {
    let site = Site::ready("").await.unwrap();
    let provider = Issuer::start(Vec::new()).await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let (url, (name, secret)) = (provider.url(), Issuer::CLIENT);
    // The script waits for the provider, which is served by this test's own runtime.
    tokio::task::block_in_place(|| run(&site, &server, "hvac_oidc.py", &[&url, name, secret]));
}

#[tokio::test]
async fn hvac_logs_in_with_a_second_factor_in_two_steps_and_in_one() {
    let site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    run(&site, &server, "hvac_mfa.py", &[]);
}

/// An issuer's public key in PEM, and a token of it that is good until 2100.
fn issued_jwt() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!(
        "{}.{}",
        part(json!({"alg": "ES256"})),
        part(json!({"sub": "me", "iat": 1_700_000_000, "exp": 4_102_444_800_i64}))
    );
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let signature = signer.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    (key.public_key_pem(), format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

#[tokio::test]
async fn hvac_makes_new_shares_audits_limits_and_ends_leases() {
    let site = Site::ready("[seal]\ntype = 'shamir'\nrekey = true\n[audit]\ndevices = true\n").await.unwrap();
    let server = site.serve().await.unwrap();
    server.until_health(501).await.unwrap();
    run(&site, &server, "hvac_system.py", &[site.path("audit.log").to_str().unwrap()]);
}

#[tokio::test]
async fn hvac_makes_namespaces_and_works_inside() {
    let (site, server) = Site::started("").await.unwrap();
    run(&site, &server, "hvac_namespaces.py", &[]);
}

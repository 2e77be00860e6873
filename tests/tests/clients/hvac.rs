//! hvac, from PyPI: the scripts are in `tests/clients`.

use std::path::Path;
use std::process::Command;
use tests::{Authority, Server, Site, python};

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
    let site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    run(&site, &server, "hvac_access.py", &[]);
}

#[tokio::test]
async fn hvac_encrypts_makes_data_keys_and_hmacs() {
    let site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    run(&site, &server, "hvac_transit.py", &[]);
}

#[tokio::test]
async fn hvac_keeps_secrets_in_both_versions_of_the_engine() {
    let site = Site::ready("").await.unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    run(&site, &server, "hvac_secrets.py", &[]);
}

//! Files that are generated are what generating them now gives. `make renew` sets `CLM_RENEW` and has these tests write them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;
use tests::{Site, built};

fn is_current(path: &str, now: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("CLM_RENEW").is_some() {
        std::fs::write(&file, now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == now, "{path} is stale: `make renew` writes it anew");
}

#[test]
fn the_api_document_is_what_the_routes_say() {
    let output = Command::new(built("clm").unwrap()).arg("openapi").output().unwrap();
    is_current("docs/openapi.json", &String::from_utf8(output.stdout).unwrap());
}

#[tokio::test]
async fn the_grants_that_the_doctor_compares_are_those_of_the_migrations() {
    let site = Site::new().await.unwrap();
    site.succeeds(&["migrate"]).unwrap();
    for (database, path, app) in [
        (&site.secure, "keyvault/src/store/grants.txt", "clm_secure_app"),
        (&site.core, "clm-core/src/store/grants.txt", "clm_core_app"),
    ] {
        let mut superuser = database.superuser().await.unwrap();
        let mut text = String::new();
        for role in [app, "clm_auditor"] {
            for may in audit_log::examine::privileges(&mut superuser, role).await.unwrap() {
                text.push_str(&format!("{role} {may}\n"));
            }
        }
        is_current(path, &text);
    }
}

//! What is broken around the service: each is answered with the documented status (docs/OPERATIONS.md) and a sentence that says what to do, the
//! process lives on, and where the cause goes away by itself, so does the answer.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::process::alive;
use tests::{Answer, Cluster, Server, Site};

async fn sign(server: &Server) -> Answer {
    server.put("transit/sign/ec", json!({"input": "YQ=="})).await.unwrap()
}

/// Until that is the answer; then the service must still be there.
async fn until(server: &Server, status: u16, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let answer = sign(server).await;
        if answer.status == status && answer.body.to_string().contains(text) {
            assert!(alive(server.pid()));
            return;
        }
        assert!(Instant::now() < deadline, "{status} {text}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn with_a_key(site: &Site) -> Server {
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    assert_eq!(server.put("transit/keys/ec", json!({"type": "ecdsa-p256"})).await.unwrap().status, 200);
    assert_eq!(sign(&server).await.status, 200);
    server
}

fn edit(site: &Site, old: &str, new: &str) {
    let settings = std::fs::read_to_string(site.path("clm.toml")).unwrap();
    assert!(settings.contains(old), "{settings}");
    std::fs::write(site.path("clm.toml"), settings.replace(old, new)).unwrap();
}

#[tokio::test]
async fn a_missing_module_is_503_and_names_the_file() {
    let site = Site::ready("").await.unwrap();
    let token = with_a_key(&site).await.token.clone();
    edit(&site, &softhsm::module().unwrap().display().to_string(), "/nonexistent/module.so");
    let mut server = site.serve().await.unwrap();
    server.token = token;
    until(&server, 503, "no file /nonexistent/module.so; install the vendor's PKCS#11 module or correct the path")
        .await;
    assert_eq!(server.get("sys/health").await.unwrap().status, 503);
}

#[tokio::test]
async fn a_missing_token_is_503_until_it_comes() {
    let site = Site::ready("").await.unwrap();
    let token = with_a_key(&site).await.token.clone();
    std::fs::rename(site.path("tokens"), site.path("away")).unwrap();
    std::fs::create_dir(site.path("tokens")).unwrap();
    let mut server = site.serve().await.unwrap();
    server.token = token;
    until(&server, 503, "Correct hsm.token, connect the token, or make one with `clm hsm init`").await;
    std::fs::remove_dir(site.path("tokens")).unwrap();
    std::fs::rename(site.path("away"), site.path("tokens")).unwrap();
    until(&server, 200, "vault:v1:").await;
}

#[tokio::test]
async fn an_unreachable_database_is_503_at_the_start_and_later_until_it_comes() {
    let cluster = Cluster::start("").unwrap();
    let site = Site::ready_in(&cluster).await.unwrap();
    let server = with_a_key(&site).await;
    cluster.stop().unwrap();
    // Which of the two is missed first depends on how long ago the token was looked up.
    until(&server, 503, "see the service's log").await;
    cluster.resume().unwrap();
    until(&server, 200, "vault:v1:").await;

    let token = server.token.clone();
    drop(server);
    cluster.stop().unwrap();
    let mut server = site.serve().await.unwrap();
    server.token = token;
    until(&server, 503, "clm_secure_db is not reachable: check secure_database.url and that PostgreSQL runs").await;
    cluster.resume().unwrap();
    until(&server, 200, "vault:v1:").await;
}

#[tokio::test]
async fn with_fsync_off_the_service_does_not_start_and_the_doctor_says_the_same() {
    let cluster = Cluster::start("-c fsync=off").unwrap();
    let site = Site::ready_in(&cluster).await.unwrap();
    assert!(
        site.fails(&["server"])
            .unwrap()
            .contains("fsync = off: a crash could lose acknowledged records; set fsync = on")
    );
    let said = site.fails(&["doctor"]).unwrap();
    for database in ["clm_secure_db", "clm_core_db"] {
        let line = said.lines().find(|line| line.contains(&format!("{database}.fsync"))).unwrap();
        assert!(line.starts_with("FAILED") && line.contains("set fsync = on in postgresql.conf"), "{line}");
    }
}

/// A file system of so many megabytes, in memory, gone when dropped. `None`: this user or machine may mount none.
struct Small(PathBuf);

impl Small {
    fn mounted(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output().unwrap();
        if mounted.status.success() {
            return Some(Self(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&mounted.stderr);
        eprintln!("SKIPPED: no full disk can be made here without mounting one, which takes root: {}", why.trim());
        None
    }

    /// Takes all that is left.
    fn fill(&self) {
        let filled =
            Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}/filler", self.0.display())).output();
        assert!(String::from_utf8_lossy(&filled.unwrap().stderr).contains("No space left"));
    }

    fn relieve(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if !Command::new("umount").arg("--lazy").arg(&self.0).status().is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_under_the_database_is_503_and_nothing_is_signed_until_there_is_room() {
    let cluster = Cluster::start("").unwrap();
    let site = Site::ready_in(&cluster).await.unwrap();
    let server = with_a_key(&site).await;
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(small) = Small::mounted(&directory.path().join("small"), 4) else { return };
    cluster.own(&small.0).unwrap();
    let mut superuser = site.secure.superuser().await.unwrap();
    // The log of keys moves to the small disk; its default partition takes every record.
    for statement in [
        format!("CREATE TABLESPACE small LOCATION '{}'", small.0.display()),
        "DO $do$ DECLARE part regclass; BEGIN FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'secure_audit_log'::regclass LOOP EXECUTE format('ALTER TABLE %s SET TABLESPACE small', part); END LOOP; END $do$".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
    }
    let counted = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.sign'";
    small.fill();
    until(&server, 503, "the audit record could not be written").await;
    let before: i64 = sqlx::query_scalar(counted).fetch_one(&mut superuser).await.unwrap();
    let refused = sign(&server).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.error().contains("make room"), "{refused:?}");
    assert_eq!(refused.body.get("data"), None, "no signature without its record");
    assert_eq!(before, sqlx::query_scalar::<_, i64>(counted).fetch_one(&mut superuser).await.unwrap());
    small.relieve();
    until(&server, 200, "vault:v1:").await;
    assert!(site.succeeds(&["audit", "verify"]).unwrap().contains("holds"));
    // The tablespace must be empty before its disk goes.
    drop(server);
    drop(site);
}

#[tokio::test]
async fn a_full_disk_under_the_token_is_said_and_what_is_there_goes_on_signing() {
    let site = Site::ready("").await.unwrap();
    let token = with_a_key(&site).await.token.clone();
    std::fs::rename(site.path("tokens"), site.path("kept")).unwrap();
    let Some(small) = Small::mounted(&site.path("tokens"), 1) else { return };
    let copied = Command::new("cp")
        .args(["-a", &format!("{}/.", site.path("kept").display())])
        .arg(site.path("tokens"))
        .status();
    assert!(copied.unwrap().success());
    let mut server = site.serve().await.unwrap();
    server.token = token;
    until(&server, 200, "vault:v1:").await;
    small.fill();
    let refused = server.put("transit/keys/new", json!({"type": "ed25519"})).await.unwrap();
    assert!([500, 503].contains(&refused.status.as_u16()), "{refused:?}");
    assert!(!refused.error().is_empty(), "{refused:?}");
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(server.get("transit/keys/new").await.unwrap().status, 404, "no half-made key is shown");
    small.relieve();
    let made = server.put("transit/keys/new", json!({"type": "ed25519"})).await.unwrap();
    assert_eq!(made.status, 200, "{made:?}");
}

#[tokio::test]
async fn an_algorithm_that_is_not_the_keys_is_400() {
    let site = Site::ready("").await.unwrap();
    let server = with_a_key(&site).await;
    assert_eq!(server.put("transit/keys/rsa", json!({"type": "rsa-2048"})).await.unwrap().status, 200);
    for (path, body, text) in [
        ("transit/sign/rsa", json!({"input": "YQ==", "signature_algorithm": "ecdsa"}), "signature"),
        ("transit/sign/rsa", json!({"input": "YQ==", "prehashed": true}), ""),
        ("transit/sign/ec/none", json!({"input": "YQ=="}), "prehashed"),
        ("transit/sign/ec", json!({"input": "YQ==", "marshaling_algorithm": "xml"}), "marshaling"),
    ] {
        let refused = server.ask(Method::PUT, path, Some(body.to_string().into())).await.unwrap();
        assert_eq!(refused.status, 400, "{path} {body}: {refused:?}");
        assert!(!refused.error().is_empty() && refused.error().contains(text), "{path} {body}: {refused:?}");
    }
    assert_eq!(sign(&server).await.status, 200);
}

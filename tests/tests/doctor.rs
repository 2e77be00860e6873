//! `clm doctor`: a healthy site passes, and each thing that is broken is named, alone, with how to mend it.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use tests::{Authority, Site, TestDatabase, found};

struct Report {
    good: bool,
    findings: Vec<Value>,
}

impl Report {
    fn of(mut command: Command) -> Self {
        let output = command.arg("--json").output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!["user-4242", "officer-77", "wrong-9999"].iter().any(|secret| text.contains(secret)), "{text}");
        let good = report["ok"].as_bool().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!good)));
        Self { good, findings: report["findings"].as_array().unwrap().clone() }
    }

    fn on(site: &Site, variables: &[(&str, &str)]) -> Self {
        let mut command = site.command(&["doctor"]).unwrap();
        command.envs(variables.iter().copied());
        Self::of(command)
    }

    fn checks(&self, state: &str) -> Vec<&str> {
        let found = self.findings.iter().filter(|finding| finding["state"] == state);
        found.map(|finding| finding["check"].as_str().unwrap()).collect()
    }

    fn says(&self, check: &str) -> &str {
        let mut found = self.findings.iter().filter(|finding| finding["check"] == check);
        found.next().unwrap_or_else(|| panic!("{check} is not in {:?}", self.findings))["says"].as_str().unwrap()
    }

    /// Exactly that failed, and the sentence says so much of how to mend it.
    #[track_caller]
    fn names(&self, check: &str, mend: &str) {
        assert_eq!(self.checks("failed"), [check], "{:?}", self.findings);
        assert!(self.says(check).contains(mend), "{}", self.says(check));
    }

    #[track_caller]
    fn warns(&self, check: &str, mend: &str) {
        assert!(self.good && self.checks("warning").contains(&check), "{check}: {:?}", self.findings);
        assert!(self.says(check).contains(mend), "{}", self.says(check));
    }
}

async fn sql(database: &TestDatabase, statement: &str) {
    let mut superuser = database.superuser().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap();
}

#[tokio::test]
async fn a_healthy_site_passes_and_is_warned_only_of_what_its_token_cannot_do_and_has_no_second_of() {
    let site = Site::ready("").await.unwrap();
    let before = Report::on(&site, &[]);
    assert!(before.good, "{:?}", before.findings);
    assert!(before.says("deployment").contains("sys/init"));
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    // Beside the running service.
    let report = Report::on(&site, &[]);
    assert!(report.good, "{:?}", report.findings);
    report.warns("deployment.backup", "keep a backup");
    report.warns("hsm.mechanism.ed25519_wrap", "backup");
    // The machine under the tests may be without NTP or with little memory to lock.
    let ours = |check: &&str| !["clock.ntp", "memory_lock"].contains(check);
    let warned: Vec<&str> = report.checks("warning").into_iter().filter(ours).collect();
    assert_eq!(warned, ["hsm.mechanism.ed25519_wrap", "deployment.backup"], "{:?}", report.findings);
    for check in
        ["hsm.login", "hsm.keys", "deployment.token", "clm_secure_db.grants", "clm_core_db.auditor", "file.pin"]
    {
        assert!(report.checks("ok").contains(&check), "{check}: {:?}", report.findings);
    }
    let text = site.succeeds(&["doctor"]).unwrap();
    assert!(text.starts_with("ok ") && text.contains("\nWARNING  deployment.backup"), "{text}");
    found(Duration::from_secs(20), "the start warns as well", async || {
        let log = std::fs::read_to_string(site.path("server.log")).unwrap();
        if log.contains("only one token can unwrap") { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_the_token_is_named() {
    let site = Site::ready("").await.unwrap();
    let check = |variables: &[(&str, &str)]| Report::on(&site, variables);
    check(&[("CLM_HSM__MODULE", "/nonexistent.so")]).names("hsm.module", "install the vendor's PKCS#11 module");
    check(&[("CLM_HSM__MODULE", "/etc/os-release")]).names("hsm.module", "cannot be loaded");
    check(&[("CLM_HSM__TOKEN", "another")]).names("hsm.token", "`site` (serial ");
    check(&[("CLM_HSM__TOKEN", "another")]).names("hsm.token", "clm hsm init");
    site.keep_secret("pin", "wrong-9999\n").unwrap();
    check(&[]).names("hsm.login", "correct hsm.pin");
    std::fs::remove_file(site.path("pin")).unwrap();
    check(&[]).names("hsm.login", "pin: No such file");
    site.keep_secret("pin", "user-4242\n").unwrap();

    assert!(check(&[]).good);

    let new = Site::new().await.unwrap();
    let so_pin = new.path("so-pin");
    new.succeeds(&["hsm", "init", "--so-pin-file", so_pin.to_str().unwrap()]).unwrap();
    new.succeeds(&["migrate"]).unwrap();
    Report::on(&new, &[]).names("hsm.keys", "clm ceremony root");
    new.succeeds(&["ceremony", "root"]).unwrap();
    site.serve().await.unwrap().initialize().await.unwrap();
    let swapped = [("CLM_SECURE_DATABASE__URL", site.secure.url("clm_secure_app"))];
    let swapped = swapped.each_ref().map(|(name, value)| (*name, value.as_str()));
    Report::on(&new, &swapped).names("deployment.token", "connect the right token");
}

#[tokio::test]
async fn a_module_that_hangs_hides_nothing_of_the_rest() {
    let site = Site::ready("").await.unwrap();
    let settings = std::fs::read_to_string(site.path("clm.toml")).unwrap();
    let real = softhsm::module().unwrap();
    let settings = settings
        .replace(
            &format!("module = '{}'", real.display()),
            &format!("module = '{}'", softhsm_fault::module_path().display()),
        )
        .replace(
            "environment = {",
            &format!(
                "environment = {{ CLM_FAULT_MODULE = '{}', CLM_FAULT_CONTROL = '{}',",
                real.display(),
                site.path("faults").display()
            ),
        );
    std::fs::write(site.path("clm.toml"), settings).unwrap();
    assert!(Report::on(&site, &[]).good);
    std::fs::write(site.path("faults"), "C_Initialize hang\n").unwrap();
    let report = Report::on(&site, &[]);
    report.names("hsm.module", "did not answer");
    assert!(report.checks("ok").contains(&"clm_core_db.grants"));
}

#[tokio::test]
async fn what_is_wrong_with_a_database_is_named() {
    let site = Site::ready("").await.unwrap();
    let check = |variables: &[(&str, &str)]| Report::on(&site, variables);
    let away = site.secure.url("clm_secure_app").replace("host=/", "host=/nonexistent/");
    check(&[("CLM_SECURE_DATABASE__URL", &away)]).names("clm_secure_db.connection", "check secure_database.url");
    let all_away =
        check(&[("CLM_SECURE_DATABASE__URL", &away), ("CLM_CORE_DATABASE__URL", &away), ("CLM_HSM__MODULE", "/no.so")]);
    assert_eq!(all_away.checks("failed"), ["hsm.module", "clm_secure_db.connection", "clm_core_db.connection"]);

    for (statement, undo, name, mend) in [
        (
            "GRANT UPDATE ON secure_audit_log TO clm_secure_app",
            "REVOKE UPDATE ON secure_audit_log FROM clm_secure_app",
            "grants",
            "REVOKE UPDATE ON secure_audit_log FROM clm_secure_app",
        ),
        (
            "GRANT UPDATE (accessor) ON secure_audit_log TO clm_secure_app",
            "REVOKE UPDATE (accessor) ON secure_audit_log FROM clm_secure_app",
            "grants",
            "REVOKE UPDATE ON secure_audit_log FROM clm_secure_app",
        ),
        (
            "GRANT DELETE ON secure_audit_log_default TO clm_secure_app",
            "REVOKE DELETE ON secure_audit_log_default FROM clm_secure_app",
            "grants",
            "REVOKE DELETE ON secure_audit_log_default FROM clm_secure_app",
        ),
        (
            "REVOKE INSERT ON named_keys FROM clm_secure_app",
            "GRANT INSERT ON named_keys TO clm_secure_app",
            "grants",
            "GRANT INSERT ON named_keys TO clm_secure_app",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION ensure_audit_partitions(date) FROM clm_secure_app",
            "GRANT EXECUTE ON FUNCTION ensure_audit_partitions(date) TO clm_secure_app",
            "grants",
            "GRANT EXECUTE ON FUNCTION ensure_audit_partitions(date) TO clm_secure_app",
        ),
        (
            "GRANT UPDATE ON named_keys TO clm_auditor",
            "REVOKE UPDATE ON named_keys FROM clm_auditor",
            "auditor",
            "REVOKE UPDATE ON named_keys FROM clm_auditor",
        ),
        (
            "UPDATE _sqlx_migrations SET success = false WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
            "UPDATE _sqlx_migrations SET success = true",
            "schema",
            "run `clm migrate`",
        ),
        (
            "ALTER ROLE clm_secure_app IN DATABASE $ SET synchronous_commit = off",
            "ALTER ROLE clm_secure_app IN DATABASE $ RESET synchronous_commit",
            "synchronous_commit",
            "set synchronous_commit = on",
        ),
    ] {
        let named = |statement: &str| {
            format!("DO $do$ BEGIN EXECUTE replace($q${statement}$q$, '$', quote_ident(current_database())); END $do$")
        };
        sql(&site.secure, &named(statement)).await;
        check(&[]).names(&format!("clm_secure_db.{name}"), mend);
        sql(&site.secure, &named(undo)).await;
    }
    assert!(check(&[]).good);

    for (variable, role, name, mend) in [
        ("CLM_SECURE_DATABASE__URL", "clm_admin", "clm_secure_db.grants", "a superuser"),
        ("CLM_SECURE_DATABASE__URL", "clm_migrate", "clm_secure_db.grants", "owns tables"),
        ("CLM_MIGRATION__SECURE_URL", "clm_secure_app", "clm_secure_db.migration", "connect as clm_migrate"),
        ("CLM_AUDITOR__SECURE_URL", "clm_admin", "clm_secure_db.auditor", "a superuser"),
        ("CLM_SECURE_DATABASE__LISTEN_URL", "nobody", "clm_secure_db.listen", "check secure_database.listen_url"),
    ] {
        check(&[(variable, &site.secure.url(role))]).names(name, mend);
    }

    // Another clock, as the database tells it.
    sql(
        &site.core,
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '10 minutes' $$; \
         DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $do$",
    )
    .await;
    check(&[]).names("clock.clm_core_db", "NTP");
}

#[tokio::test]
async fn what_is_wrong_with_files_certificates_and_the_machine_is_named() {
    let site = Site::ready("").await.unwrap();
    let check = |variables: &[(&str, &str)]| Report::on(&site, variables);
    let mode = |name: &str, mode: u32| std::fs::set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
    mode("pin", 0o644);
    check(&[]).names("file.pin", "chmod 0600");
    mode("pin", 0o640);
    check(&[]).warns("file.pin", "chmod 0600");
    mode("pin", 0o600);
    check(&[("CLM_SERVER__LISTEN", "0.0.0.0:8200")]).names("server.listen", "set [server.tls]");
    check(&[("CLM_SERVER__LISTNE", "127.0.0.1:1")]).names("settings", "listne");

    let authority = Authority::create("tests").unwrap();
    site.protect(&authority, "").unwrap();
    assert!(check(&[]).good);
    mode("tls.key", 0o604);
    check(&[]).names("file.tls_key", "chmod 0600");
    site.certify(&authority.issue_expired("localhost").unwrap()).unwrap();
    check(&[]).names("server.tls.certificate", "put a new one there");
    site.keep_secret("tls.key", &authority.issue("localhost").unwrap().key).unwrap();
    check(&[]).names("server.tls", "do not fit");
    site.certify(&authority.issue("localhost").unwrap()).unwrap();
    assert!(check(&[]).good);

    std::fs::create_dir(site.path("bin")).unwrap();
    for (said, state) in [("no", "warning"), ("yes", "ok")] {
        std::fs::write(site.path("bin/timedatectl"), format!("#!/bin/sh\necho {said}\n")).unwrap();
        mode("bin/timedatectl", 0o755);
        let path = format!("{}:{}", site.path("bin").display(), std::env::var("PATH").unwrap());
        assert!(check(&[("PATH", &path)]).checks(state).contains(&"clock.ntp"), "{said}");
    }

    let doctor = site.command(&["doctor"]).unwrap();
    let mut limited = Command::new("prlimit");
    limited.arg("--memlock=65536:65536");
    if rustix::process::geteuid().is_root() {
        limited.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]);
    }
    limited.arg(doctor.get_program()).args(doctor.get_args());
    Report::of(limited).warns("memory_lock", "LimitMEMLOCK");
}

//! The databases as they are operated: clocks that jump, migrations under load, copies.
#![expect(clippy::unwrap_used, reason = "tests")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Row};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::{Server, Site, TestDatabase};

async fn started(site: &Site) -> Server {
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let made = server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
    assert_eq!(made.status, 200, "{made:?}");
    server
}

async fn signs(server: &Server) {
    let signed = server.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap();
    assert!(signed.status == 200 && signed.text("signature").starts_with("vault:v"), "{signed:?}");
}

/// What a server says that does not start.
fn refused(site: &mut Site) -> String {
    site.variables = vec![("CLM_SERVER__LISTEN", "127.0.0.1:0".into())];
    site.fails(&["server"]).unwrap()
}

/// Time of the newest signature's record, and the partition that took it.
async fn newest(site: &Site) -> (DateTime<Utc>, String) {
    let mut superuser = site.secure.superuser().await.unwrap();
    // One server, one chain.
    let newest = "SELECT event_timestamp, tableoid::regclass::text AS partition FROM secure_audit_log WHERE event_type = 'key.sign' ORDER BY seq DESC LIMIT 1";
    let row = sqlx::query(newest).fetch_one(&mut superuser).await.unwrap();
    (row.get("event_timestamp"), row.get("partition"))
}

/// libfaketime moves the wall clock that the real program sees; the monotonic one, which timers use, goes on as it does when a clock is set.
fn faketime() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").unwrap().filter_map(|entry| {
        let library = entry.unwrap().path().join("faketime/libfaketime.so.1");
        library.is_file().then_some(library)
    });
    found.last().expect("libfaketime (Debian: faketime), which `make setup` installs")
}

/// PostgreSQL was started anew, or a firewall dropped what lay idle.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ended_while_they_lay_idle_are_no_errors_of_requests() {
    let site = Site::ready("").await.unwrap();
    let server = Arc::new(started(&site).await);
    let mounted = server.put("sys/mounts/kv", json!({"type": "kv", "options": {"version": "2"}})).await.unwrap();
    assert_eq!(mounted.status, 204, "{mounted:?}");
    let written = server.put("kv/data/a", json!({"data": {"b": "c"}})).await.unwrap();
    assert_eq!(written.status, 200, "{written:?}");
    let made = server.put("identity/entity", json!({"name": "e"})).await.unwrap();
    assert_eq!(made.status, 200, "{made:?}");
    // Many at once, so that several connections to each database lie idle then; records of reads are the last that the logs' own wrote.
    let ask = |path: &'static str| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.get(path).await.unwrap() })
    };
    let asked: Vec<_> =
        (0..32).map(|number| ask(if number % 2 == 0 { "kv/data/a" } else { "identity/entity/name/e" })).collect();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for database in [&site.secure, &site.core] {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'clm' AND state = 'idle' AND query IN ('COMMIT', 'ROLLBACK')";
        let ended: i64 = sqlx::query_scalar(end).fetch_one(&mut database.superuser().await.unwrap()).await.unwrap();
        assert!(ended >= 2, "{ended} connections lay idle");
    }
    for path in ["kv/data/a", "identity/entity/name/e"].repeat(8) {
        let answer = server.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

/// A pooler in transaction mode passes no notifications on.
#[tokio::test(flavor = "multi_thread")]
async fn each_side_listens_over_a_connection_of_its_own_where_one_is_named() {
    let mut site = Site::ready("").await.unwrap();
    // Told apart by its role.
    site.variables = vec![
        ("CLM_SECURE_DATABASE__LISTEN_URL", site.secure.url("clm_auditor")),
        ("CLM_CORE_DATABASE__LISTEN_URL", site.core.url("clm_auditor")),
    ];
    let server = started(&site).await;
    signs(&server).await;
    for (database, channel) in [(&site.secure, "clm_secure_changed"), (&site.core, "clm_core_changed")] {
        let mut superuser = database.superuser().await.unwrap();
        let listening =
            "SELECT usename::text FROM pg_stat_activity WHERE datname = current_database() AND usename = 'clm_auditor'";
        let roles: Vec<String> = sqlx::query_scalar(listening).fetch_all(&mut superuser).await.unwrap();
        assert_eq!(roles, ["clm_auditor"], "{channel}");
    }
    // And it is heard: what another server changes counts at once.
    let mut other = site.serve().await.unwrap();
    other.token.clone_from(&server.token);
    other.until_health(200).await.unwrap();
    signs(&other).await;
    assert_eq!(server.put("transit/keys/k/rotate", json!({})).await.unwrap().status, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let signed = other.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap();
        if signed.text("signature").starts_with("vault:v2:") {
            break;
        }
        assert!(Instant::now() < deadline, "{signed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_months_ahead_or_a_day_back_stops_no_signature_and_a_small_step_ends_no_token() {
    let mut site = Site::ready("").await.unwrap();
    let clock = site.path("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).unwrap();
    set("+0");
    site.variables = vec![
        ("LD_PRELOAD", faketime().to_str().unwrap().into()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap().into()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DISABLE_SHM", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let mut server = started(&site).await;
    let root = server.token.clone();
    let made = server.put("auth/token/create", json!({"ttl": "2m", "policies": ["root"]})).await.unwrap();
    let short = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    let mut superuser = site.secure.superuser().await.unwrap();
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut superuser).await.unwrap();

    // NTP mends a clock: what has two minutes to live lives on.
    server.token.clone_from(&short);
    for step in ["+4m", "+0", "-4m", "+0"] {
        set(step);
        signs(&server).await;
    }
    server.token.clone_from(&root);
    for (offset, days, in_default) in [("+61d", 61, false), ("-1d", -1, false), ("+200d", 200, true), ("+0", 0, false)]
    {
        set(offset);
        signs(&server).await;
        let (at, partition) = newest(&site).await;
        let off = at - now - TimeDelta::days(days);
        assert!(off.abs() < TimeDelta::minutes(15), "{offset}: the record says {at}, it is {now}");
        assert_eq!(partition == "secure_audit_log_default", in_default, "{offset}: {partition}");
    }
    // A large step is believed at once: so is the end of a token.
    set("+1d");
    server.token = short;
    assert_eq!(server.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap().status, 403);
    set("+0");
    server.token = root;
    signs(&server).await;
    site.variables.clear();
    let said = site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    assert!(said.contains("secure_audit_log: holds") && said.contains("\naudit_log: holds"), "{said}");
}

/// This program's migrations, without the last `less`, and with `more` behind them.
fn migrations(site: &Site, database: &str, less: usize, more: &[String]) -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(database);
    let mut files: Vec<_> = std::fs::read_dir(ours).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.truncate(files.len() - less);
    let directory = site.path(&format!("{database}-{less}-{}", more.len()));
    std::fs::create_dir(&directory).unwrap();
    for file in files {
        std::fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
    }
    for (number, statements) in (9001..).zip(more) {
        std::fs::write(directory.join(format!("{number}_later.sql")), statements).unwrap();
    }
    directory
}

async fn migrate(database: &TestDatabase, directory: PathBuf) {
    let pool = database.migration_pool().await.unwrap();
    Migrator::new(directory).await.unwrap().run(&pool).await.unwrap();
    // As `clm migrate` does.
    let shown = "GRANT SELECT ON _sqlx_migrations TO clm_secure_app, clm_core_app";
    sqlx::query(shown).execute(&pool).await.unwrap();
    pool.close().await;
}

/// What a later release may do: add.
fn later(generation: i32, tables: &[&str]) -> String {
    let function = format!(
        "CREATE OR REPLACE FUNCTION schema_generation() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT {generation}';"
    );
    let add = |table: &&str| {
        format!(
            "ALTER TABLE {table} ADD COLUMN later_{generation} text; CREATE INDEX ON {table} (later_{generation}) WHERE later_{generation} IS NOT NULL;"
        )
    };
    function + &tables.iter().map(add).collect::<String>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_works_on_while_the_next_release_migrates_and_refuses_the_one_after() {
    let mut site = Site::ready("").await.unwrap();
    let server = Arc::new(started(&site).await);
    let (ended, signatures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (server, ended, signatures) = (Arc::clone(&server), Arc::clone(&ended), Arc::clone(&signatures));
            tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    signs(&server).await;
                    signatures.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = async |count| {
        let wanted = signatures.load(Ordering::Relaxed) + count;
        while signatures.load(Ordering::Relaxed) < wanted {
            assert!(!load.iter().any(tokio::task::JoinHandle::is_finished), "a request failed");
            tokio::task::yield_now().await;
        }
    };
    more(20).await;
    let secure = later(2, &["named_keys", "private_keys", "encryption_keys", "secure_audit_log"]);
    migrate(&site.secure, migrations(&site, "clm_secure_db", 0, std::slice::from_ref(&secure))).await;
    more(20).await;
    let core = later(2, &["tokens", "mounts", "access_policies", "audit_log"]);
    migrate(&site.core, migrations(&site, "clm_core_db", 0, std::slice::from_ref(&core))).await;
    more(20).await;
    for (path, body) in [
        ("transit/keys/new", json!({"type": "rsa-2048"})),
        ("transit/keys/k/rotate", json!({})),
        ("auth/token/create", json!({"ttl": "1h"})),
    ] {
        let answer = server.put(path, body).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    ended.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    let token = server.token.clone();
    drop(server);

    let mut again = site.serve().await.unwrap();
    again.until_health(200).await.unwrap();
    again.token = token;
    let signed = again.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap();
    assert!(signed.text("signature").starts_with("vault:v2:"), "{signed:?}");
    drop(again);

    migrate(&site.core, migrations(&site, "clm_core_db", 0, &[core, later(3, &[])])).await;
    let said = refused(&mut site);
    assert!(said.contains("clm_core_db has a schema of generation 3") && said.contains("use a newer `clm`"), "{said}");
    migrate(&site.secure, migrations(&site, "clm_secure_db", 0, &[secure, later(3, &[])])).await;
    let said = refused(&mut site);
    assert!(said.contains("clm_secure_db has a schema of generation 3"), "{said}");
}

#[tokio::test]
async fn a_server_refuses_the_schema_of_the_release_before_and_names_the_command() {
    let mut site = Site::new().await.unwrap();
    migrate(&site.secure, migrations(&site, "clm_secure_db", 1, &[])).await;
    let said = refused(&mut site);
    assert!(said.contains("clm_secure_db lacks migration") && said.contains("run `clm migrate`"), "{said}");
    site.succeeds(&["migrate"]).unwrap();
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&mut superuser)
        .await
        .unwrap();
    let said = refused(&mut site);
    assert!(said.contains("clm_core_db lacks migration") && said.contains("run `clm migrate`"), "{said}");
}

/// As docs/OPERATIONS.md says it.
async fn copied(from: &TestDatabase) -> TestDatabase {
    let to = TestDatabase::create().await.unwrap();
    let mut dump = Command::new("pg_dump")
        .args(["--enable-row-security", "--dbname", &from.url("clm_backup")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restored = Command::new("psql")
        .args(["-qX", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "--dbname", &to.url("clm_admin")])
        .stdin(dump.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(dump.wait().unwrap().success() && restored.success());
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_by_the_backup_role_verifies_row_by_row_and_serves() {
    let mut site = Site::ready("").await.unwrap();
    let server = started(&site).await;
    signs(&server).await;
    let token = server.token.clone();
    let (secure, core) = (copied(&site.secure).await, copied(&site.core).await);
    let mut original = site.secure.superuser().await.unwrap();
    let mut copy = secure.superuser().await.unwrap();
    for table in ["secure_audit_log", "named_keys", "private_keys", "encryption_keys", "_sqlx_migrations"] {
        let count = || sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        let there: i64 = count().fetch_one(&mut original).await.unwrap();
        let copied: i64 = count().fetch_one(&mut copy).await.unwrap();
        assert!(copied > 0 && copied == there, "{table}: {copied} of {there}");
    }
    drop(server);
    // The copies take the databases' place: verified, and worked with, under the same restrictions.
    (site.secure, site.core) = (secure, core);
    let settings = std::fs::read_to_string(site.path("clm.toml")).unwrap();
    site.reconfigure("").unwrap();
    assert_ne!(std::fs::read_to_string(site.path("clm.toml")).unwrap(), settings);
    let said = site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    assert!(said.contains("secure_audit_log: holds") && said.contains("1 rows of named_keys compared"), "{said}");
    let mut server = site.serve().await.unwrap();
    server.until_health(200).await.unwrap();
    server.token = token;
    signs(&server).await;
    let mut app = sqlx::PgPool::connect(&site.secure.url("clm_secure_app")).await.unwrap().acquire().await.unwrap();
    let edited = sqlx::query("DELETE FROM secure_audit_log").execute(&mut *app).await.unwrap_err();
    assert_eq!(edited.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"), "{edited}");
}

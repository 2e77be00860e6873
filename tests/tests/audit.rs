//! `clm audit` as an auditor uses it, on logs whose checkpoints a software key signs.
#![expect(clippy::unwrap_used, reason = "tests")]

use audit_chain::{Checkpoint, Event, Outcome, Severity, Value};
use audit_log::{AuditLog, CORE, CheckpointSigner, SECURE, SignedCheckpoint, Table};
use futures_util::future::BoxFuture;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tests::{TestDatabase, built};
use uuid::Uuid;

const ORGANIZATION: Uuid = Uuid::from_u128(1);

struct Key(SigningKey);

impl CheckpointSigner for Key {
    fn sign<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Option<SignedCheckpoint>> {
        let signature: DerSignature = self.0.sign(&checkpoint.signed_bytes());
        let public_key = VerifyingKey::from(&self.0).to_public_key_der().unwrap().as_bytes().to_vec();
        let signed = SignedCheckpoint { signature: signature.as_bytes().to_vec(), public_key };
        Box::pin(async move { Some(signed) })
    }
}

struct Site {
    directory: TempDir,
    secure: TestDatabase,
    core: TestDatabase,
}

impl Site {
    async fn new() -> Self {
        let site = Self {
            directory: TempDir::new().unwrap(),
            secure: TestDatabase::create().await.unwrap(),
            core: TestDatabase::create().await.unwrap(),
        };
        let (secure, core) = (site.secure.migration_pool().await.unwrap(), site.core.migration_pool().await.unwrap());
        sqlx::migrate!("../migrations/clm_secure_db").run(&secure).await.unwrap();
        sqlx::migrate!("../migrations/clm_core_db").run(&core).await.unwrap();
        for (name, number) in [("audit.pem", 7), ("other.pem", 8)] {
            let key = VerifyingKey::from(&SigningKey::from_slice(&[number; 32]).unwrap());
            std::fs::write(site.path(name), key.to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
        }
        site
    }

    fn secure_log(&self) -> AuditLog {
        self.log("secure")
    }

    fn log(&self, name: &str) -> AuditLog {
        let (database, role, table) = self.side(name);
        AuditLog::start(database.url(role).parse().unwrap(), table)
    }

    /// A database as commands name it, with the service's role and the log in it.
    fn side(&self, name: &str) -> (&TestDatabase, &'static str, Table) {
        if name == "core" { (&self.core, "clm_core_app", CORE) } else { (&self.secure, "clm_secure_app", SECURE) }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn clm(&self, arguments: &[&str]) -> Output {
        Command::new(built("clm").unwrap())
            .args(arguments)
            .env("CLM_AUDITOR__SECURE_URL", self.secure.url("clm_auditor"))
            .env("CLM_AUDITOR__CORE_URL", self.core.url("clm_auditor"))
            .env("CLM_MIGRATION__SECURE_URL", self.secure.url("clm_migrate"))
            .env("CLM_MIGRATION__CORE_URL", self.core.url("clm_migrate"))
            .env("CLM_SECURE_DATABASE__URL", self.secure.url("clm_secure_app"))
            .env("CLM_CORE_DATABASE__URL", self.core.url("clm_core_app"))
            .output()
            .unwrap()
    }

    /// Exit code and standard output; what goes to standard error with it when there is no other.
    fn says(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.clm(arguments);
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn holds(&self, arguments: &[&str]) -> String {
        let (code, said) = self.says(arguments);
        assert_eq!(code, 0, "clm {arguments:?}: {said}");
        said
    }

    fn does_not(&self, arguments: &[&str], names: &[&str]) {
        let (code, said) = self.says(arguments);
        assert_eq!(code, 1, "clm {arguments:?}: {said}");
        assert!(names.iter().all(|name| said.contains(name)), "{names:?} in {said}");
    }

    async fn sql(&self, statement: &str) -> u64 {
        self.sql_in("secure", statement).await
    }

    /// `$log` is the log's table.
    async fn sql_in(&self, name: &str, statement: &str) -> u64 {
        let (database, _, table) = self.side(name);
        let statement = AssertSqlSafe(statement.replace("$log", table.name));
        sqlx::query(statement).execute(&mut database.superuser().await.unwrap()).await.unwrap().rows_affected()
    }

    /// Waits until a checkpoint over that many records of the secure log is signed.
    async fn signed(&self, log: &AuditLog, records: i64) {
        self.signed_in("secure", log, records).await;
    }

    async fn signed_in(&self, name: &str, log: &AuditLog, records: i64) {
        let (database, role, table) = self.side(name);
        let signer = Arc::new(Key(SigningKey::from_slice(&[7; 32]).unwrap()));
        let at = event().timestamp;
        log.checkpoint_with(database.url(role).parse().unwrap(), signer, move || at);
        let mut superuser = database.superuser().await.unwrap();
        // With a pause between two looks: a loop without one takes the processor from what it waits for.
        tests::found(Duration::from_secs(30), "no checkpoint was signed", async || {
            let checkpoints = audit_log::read_checkpoints(&mut superuser, table).await.unwrap();
            let heads = checkpoints.iter().flat_map(|stored| &stored.checkpoint.heads);
            let numbers: Vec<i64> = heads.map(|head| head.seq).collect();
            if numbers.contains(&records) { Ok(()) } else { Err(format!("{numbers:?}, and not {records}")) }
        })
        .await;
    }
}

fn event() -> Event {
    let id = Uuid::now_v7();
    let (seconds, nanoseconds) = id.get_timestamp().unwrap().to_unix();
    Event {
        id,
        timestamp: std::time::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)).unwrap().into(),
        event_type: "key.sign".into(),
        category: "system".into(),
        severity: Severity::Info,
        organization_id: ORGANIZATION,
        resource_type: "key".into(),
        resource_id: Some("k".into()),
        action: "sign".into(),
        outcome: Outcome::Success,
        error_message: None,
        result_sha256: None,
        request_id: Uuid::now_v7(),
        user_id: None,
        accessor: Some("accessor".into()),
        ip_address: None,
        user_agent: None,
        data: BTreeMap::new(),
        arrival: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_log_is_verified_without_the_database() {
    let site = Site::new().await;
    let log = site.secure_log();
    let events: Vec<Event> = (0..4).map(|_| event()).collect();
    for event in &events {
        log.append(event.clone()).await.unwrap();
    }
    site.signed(&log, 4).await;
    let (file, key) = (site.path("log.jsonl"), site.path("audit.pem"));
    let export = ["audit", "export", "--database", "secure", "--out", &file];
    site.holds(&export);
    let verify = ["audit", "verify", "--file", &file, "--public-key", &key];
    let said = site.holds(&verify);
    assert!(said.contains("4 records in 1 chains, 1 signed checkpoints") && said.contains("signed up to 4"), "{said}");
    assert!(said.contains("OK: 4 records (1-4)"), "{said}");
    site.does_not(&export, &["cannot be made"]);
    let other = site.path("other.pem");
    site.does_not(&["audit", "verify", "--file", &file, "--public-key", &other], &["not signed by the audit key"]);

    // The owner of the database cuts off the tail and all that knew of it; the export knows.
    site.sql("DELETE FROM secure_audit_log WHERE seq > 2").await;
    site.sql("DELETE FROM audit_checkpoints").await;
    site.sql("UPDATE audit_chains SET seq = 2, hash = (SELECT record_hash FROM secure_audit_log WHERE seq = 2)").await;
    let live = ["audit", "verify", "--database", "secure", "--public-key", &key];
    assert!(site.holds(&live).contains("2 records (1-2), signed up to none"));
    site.does_not(&[&live[..], &["--checkpoints", &file]].concat(), &["records 3-4", "the tail was cut off"]);

    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 4 + 1);
    let third = events[2].id.to_string();
    let edited = |edit: &dyn Fn(&mut Vec<String>), names: &[&str]| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        edit(&mut lines);
        std::fs::write(&file, lines.join("\n")).unwrap();
        site.does_not(&verify, names);
    };
    edited(
        &|lines| lines[4] = lines[4].replace("accessor\":\"accessor", "accessor\":\"other"),
        &["record 3", &third, "was edited"],
    );
    edited(&|lines| lines[4] = lines[4].replace("\"info\"", "\"loud\""), &["record 3", &third, "never writes"]);
    edited(&|lines| drop(lines.remove(4)), &["record 3: missing", "it holds 3"]);
    edited(&|lines| lines.swap(3, 4), &["record 2", "out of order"]);
    edited(&|lines| drop(lines.remove(5)), &["record 4", "the tail was cut off"]);
    edited(&|lines| drop(lines.pop()), &["not written to its end"]);
    edited(&|lines| lines[1] = lines[1].replace("\"seq\":4", "\"seq\":3"), &["not signed by the audit key"]);
    edited(&|lines| lines.push("more".into()), &["line 8 comes after the end"]);
    edited(&|lines| lines[3] = "rubbish".into(), &["line 4", "record 2: missing"]);
    edited(&|lines| drop(lines.remove(0)), &["does not begin as an export"]);
}

#[tokio::test]
async fn months_are_exported_apart_and_verified_alone_or_one_after_another() {
    let site = Site::new().await;
    let log = site.secure_log();
    for time in ["2026-10-30T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-12-01T00:00:00Z"] {
        log.append(Event { timestamp: time.parse().unwrap(), ..event() }).await.unwrap();
    }
    let key = site.path("audit.pem");
    let months: Vec<String> = ["2026-10", "2026-11", "2026-12"]
        .into_iter()
        .map(|month| {
            let file = site.path(month);
            site.holds(&["audit", "export", "--database", "secure", "--month", month, "--out", &file]);
            file
        })
        .collect();
    let verify = |files: &[usize]| {
        let mut arguments = vec!["audit", "verify", "--public-key", &key];
        files.iter().for_each(|file| arguments.extend(["--file", &months[*file]]));
        site.says(&arguments)
    };
    let (code, said) = verify(&[1]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("starts after record 1") && said.contains("2 records (2-3)"), "{said}");
    let (code, said) = verify(&[0, 1, 2]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("4 records (1-4)"), "{said}");
    let (code, said) = verify(&[0, 2]);
    assert!(code == 1 && said.contains("records 2-3: missing"), "{said}");
    let (code, said) = site.says(&["audit", "export", "--database", "secure", "--month", "2026-13", "--out", "x"]);
    assert!(code == 2 && said.contains("YYYY-MM"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_month_of_the_secure_log_is_detached_and_what_remains_verifies_with_its_file_or_without() {
    detached("secure").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_month_of_the_core_log_is_detached_and_what_remains_verifies_with_its_file_or_without() {
    detached("core").await;
}

async fn detached(database: &str) {
    let site = Site::new().await;
    let table = site.side(database).2.name;
    site.sql_in(database, "SELECT ensure_audit_partitions('2020-02-01')").await;
    let log = site.log(database);
    // The third bears a time of the month before: requests are recorded in another order than they came.
    for time in ["01-31T23:59:59.9Z", "02-01T00:00:00.1Z", "01-31T23:59:59.95Z", "02-10T00:00:00Z", "03-02T00:00:00Z"] {
        log.append(Event { timestamp: format!("2020-{time}").parse().unwrap(), ..event() }).await.unwrap();
    }
    log.append(event()).await.unwrap();
    site.signed_in(database, &log, 6).await;
    let key = site.path("audit.pem");
    let [january, february, march] = ["2020-01", "2020-02", "2020-03"].map(|month| {
        let file = site.path(month);
        site.holds(&["audit", "export", "--database", database, "--month", month, "--out", &file]);
        file
    });
    let said = site.holds(&[
        "audit",
        "verify",
        "--public-key",
        &key,
        "--file",
        &january,
        "--file",
        &february,
        "--file",
        &march,
    ]);
    assert!(said.contains("5 records (1-5)"), "{said}");

    let detach = |month: &str, file: &str| {
        let output = site.clm(&[
            "audit",
            "detach",
            "--database",
            database,
            "--month",
            month,
            "--file",
            file,
            "--public-key",
            &key,
        ]);
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (month, file, names) in [
        ("2020-02", &february, "detach earlier months first"),
        ("2020-01", &february, "not 2020-01"),
        ("2999-01", &february, "too young"),
    ] {
        let (code, said) = detach(month, file);
        assert!(code == 1 && said.contains(names), "{said}");
    }
    let (short, text) = (site.path("short"), std::fs::read_to_string(&january).unwrap());
    std::fs::write(&short, text.lines().filter(|line| !line.contains("\"seq\":3,")).collect::<Vec<_>>().join("\n"))
        .unwrap();
    let (code, said) = detach("2020-01", &short);
    assert!(code == 1 && said.contains("it holds 2"), "{said}");
    let verify = ["audit", "verify", "--database", database, "--public-key", &key];
    assert!(site.holds(&verify).contains("6 records (1-6)"), "nothing was detached yet");

    let (code, said) = detach("2020-01", &january);
    assert!(code == 0 && said.contains(&format!("{table}_2020_01 is detached: 2 records")), "{said}");
    let said = site.holds(&verify);
    assert!(said.contains("records 1-3 are in exported files") && said.contains("signed up to 6"), "{said}");
    let whole = [&verify[..], &["--rows", "--exported", &january]].concat();
    let said = site.holds(&whole);
    assert!(said.contains("6 records (1-6)") && !said.contains("are in exported files"), "{said}");
    site.does_not(&[&verify[..], &["--rows"]].concat(), &["give the exported files"]);
    // The second record is in January's file by its number, and in the database by its time.
    site.sql_in(database, "UPDATE $log SET accessor = 'other' WHERE seq = 2 AND event_timestamp < '2021-01-01'").await;
    site.does_not(&verify, &["record 2 ", "was edited"]);
    site.does_not(&whole, &["record 2: is not what its exported file holds"]);
    let (code, said) = detach("2020-02", &february);
    assert!(code == 0, "what the exported file holds is kept: {said}");
    let said = site.holds(&verify);
    assert!(said.contains("records 1-3 are in") && said.contains("records 4-4 are in"), "{said}");
    site.holds(&[&whole[..], &["--exported", &february]].concat());

    // Taken away without having been exported.
    site.sql_in(database, "ALTER TABLE $log DETACH PARTITION $log_2020_03").await;
    site.does_not(&verify, &["record 5: missing"]);
    let attach = |month: &str| site.holds(&["audit", "attach", "--database", database, "--month", month]);
    attach("2020-03");
    site.holds(&verify);
    attach("2020-02");
    attach("2020-01");
    site.does_not(&verify, &["record 2 ", "was edited"]);
    site.sql_in(database, "UPDATE $log SET accessor = 'accessor' WHERE seq = 2 AND event_timestamp < '2021-01-01'")
        .await;
    let said = site.holds(&verify);
    assert!(said.contains("6 records (1-6)") && !said.contains("are in exported files"), "{said}");
    site.does_not(&["audit", "attach", "--database", database, "--month", "2020-01"], &["is attached"]);
    site.does_not(&["audit", "attach", "--database", database, "--month", "2019-01"], &["restore it from a backup"]);
}

#[tokio::test]
async fn rows_are_compared_with_what_the_log_says_of_them() {
    let site = Site::new().await;
    let log = site.secure_log();
    let id = Uuid::now_v7();
    let write = |revision: i64| {
        let log = log.clone();
        async move {
            log.commit::<_, sqlx::Error, _>(ORGANIZATION, move |connection| {
                Box::pin(async move {
                    let mac = [u8::try_from(revision).unwrap(); 32];
                    sqlx::query(
                        "INSERT INTO named_keys (id, organization_id, mount_id, name, key_type, latest_version, min_decryption_version, min_encryption_version, \
                         min_available_version, deletion_allowed, exportable, allow_plaintext_backup, auto_rotate_seconds, revision, row_mac, created_at) \
                         VALUES ($1, $2, $1, 'k', 'aes', 1, 1, 0, 0, false, false, false, 0, $3, $4, now()) \
                         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, row_mac = excluded.row_mac",
                    )
                    .bind(id)
                    .bind(ORGANIZATION)
                    .bind(revision)
                    .bind(mac.as_slice())
                    .execute(connection)
                    .await?;
                    let row = [
                        ("table".to_owned(), Value::Text("named_keys".into())),
                        ("id".to_owned(), Value::Text(id.to_string().into())),
                        ("revision".to_owned(), Value::Integer(revision)),
                        ("mac".to_owned(), Value::Text(hex::encode(mac).into())),
                    ];
                    let data = [("rows".to_owned(), Value::List(vec![Value::Map(row.into())]))].into();
                    Ok(((), Event { data, ..event() }))
                })
            })
            .await
            .unwrap();
        }
    };
    write(1).await;
    write(2).await;
    let verify = ["audit", "verify", "--rows", "--database", "secure"];
    assert!(site.holds(&verify).contains("1 rows of named_keys compared"));
    let named = id.to_string();
    let put = |revision: u8, mac: u8| {
        format!("UPDATE named_keys SET revision = {revision}, row_mac = decode(repeat('0{mac}', 32), 'hex')")
    };
    for (edit, says) in [
        (put(1, 1), "an older self, revision 1; the log knows revision 2"),
        (put(2, 1), "another MAC"),
        (put(3, 3), "newer than the newest record"),
        ("UPDATE named_keys SET id = gen_random_uuid()".to_owned(), "no record tells where it comes from"),
    ] {
        assert_eq!(site.sql(&edit).await, 1);
        let (code, said) = site.says(&verify);
        assert!(code == 1 && said.contains(says), "{edit}: {said}");
        if !edit.contains("gen_random") {
            assert!(said.contains(&named), "{said}");
        }
        // Without --rows the log itself holds.
        site.holds(&["audit", "verify", "--database", "secure"]);
    }
    site.sql("DELETE FROM named_keys").await;
    site.does_not(&verify, &[&named, "was deleted, and no record says so"]);
}

#[tokio::test]
async fn who_may_not_see_the_whole_log_is_told_so() {
    let site = Site::new().await;
    site.secure_log().append(event()).await.unwrap();
    for role in ["clm_secure_app", "clm_migrate"] {
        let url = site.secure.url(role);
        site.does_not(&["audit", "verify", "--secure-url", &url], &["connect as clm_auditor"]);
    }
    let url = site.secure.url("clm_auditor");
    let said = site.holds(&["audit", "verify", "--database", "secure", "--secure-url", &url]);
    assert!(said.contains("1 records"), "{said}");
    for url in [url.replacen('@', ":secret@", 1), format!("{url}&password=secret")] {
        let (code, said) = site.says(&["audit", "verify", "--secure-url", &url]);
        assert!(code == 1 && said.contains("PGPASSWORD") && !said.contains("secret"), "{said}");
    }
    let core = AuditLog::start(site.core.url("clm_core_app").parse().unwrap(), CORE);
    core.append(event()).await.unwrap();
    // Whoever writes the database could have named a key of his own.
    let (remark, key) = ("the key that the databases name", site.path("audit.pem"));
    assert!(!site.holds(&["audit", "verify", "--public-key", &key]).contains(remark));
    let said = site.holds(&["audit", "verify"]);
    assert!(said.lines().last().unwrap().contains(remark), "{said}");
    assert!(said.contains("\naudit_log: holds: 1 records") && said.contains("secure_audit_log: holds"), "{said}");
}

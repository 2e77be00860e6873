//! What was done to a real service's databases behind its back is found and named by `clm audit verify`: records deleted, swapped, edited
//! and cut off in both logs, and rows that were put back to an older self.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::time::Duration;
use tests::{Server, Site, until};
use uuid::Uuid;

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

async fn done(server: &Server, path: &str, body: serde_json::Value) {
    let answer = server.put(path, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
}

async fn sql(database: &mut PgConnection, statement: &str) {
    database.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
}

/// Columns that are written, not generated.
async fn columns(database: &mut PgConnection, table: &str) -> String {
    let columns = "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = $1::regclass \
                   AND attnum > 0 AND attgenerated = '' AND NOT attisdropped";
    sqlx::query_scalar(columns).bind(table).fetch_one(database).await.unwrap()
}

/// One of the two logs; none of its records is younger than its newest checkpoint.
struct Log {
    superuser: PgConnection,
    database: &'static str,
    table: &'static str,
    /// Events by their numbers, from 1.
    events: Vec<Uuid>,
    /// Its columns.
    columns: String,
}

impl Log {
    async fn signed(site: &Site, superuser: PgConnection, database: &'static str, table: &'static str) -> Self {
        let mut log = Self { superuser, database, table, events: Vec::new(), columns: String::new() };
        log.columns = columns(&mut log.superuser, table).await;
        let events = format!("SELECT event_id FROM {table} ORDER BY seq");
        log.events = sqlx::query_scalar(AssertSqlSafe(events)).fetch_all(&mut log.superuser).await.unwrap();
        let covered = format!("(1-{0}), signed up to {0}\n", log.events.len());
        let signed = async || log.verify(site).1.contains(&covered);
        until(Duration::from_secs(30), "a checkpoint covers all records", true, signed).await;
        let (chains, kept) = ("CREATE TABLE kept_chains AS TABLE audit_chains", "CREATE TABLE kept AS TABLE");
        sql(&mut log.superuser, &format!("{chains}; {kept} {table}")).await;
        log
    }

    /// Whether it holds, and what was said of it.
    fn verify(&self, site: &Site) -> (bool, String) {
        let output = site.command(&["audit", "verify", "--database", self.database]).unwrap().output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// Does that to the database, expects each record to be named with its event where it is still there, and undoes it.
    async fn damaged(&mut self, site: &Site, statements: &str, named: &[(String, &str)]) {
        let (table, statements) = (self.table, statements.replace("$log", self.table));
        sql(&mut self.superuser, &statements).await;
        let (holds, said) = self.verify(site);
        assert!(!holds, "{statements}: {said}");
        for (record, finding) in named {
            let line = said.lines().find(|line| line.contains(record) && line.contains(finding));
            assert!(line.is_some_and(|line| line.starts_with(table)), "{statements}: {record} {finding}: {said}");
        }
        let (chains, columns) = ("DELETE FROM audit_chains; INSERT INTO audit_chains TABLE kept_chains", &self.columns);
        let records = format!("DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM kept");
        sql(&mut self.superuser, &format!("{chains}; {records}")).await;
        let (holds, said) = self.verify(site);
        assert!(holds, "{said}");
    }

    /// How a record is named that is still there.
    fn named(&self, seq: usize) -> String {
        format!(" record {seq} (event {})", self.events[seq - 1])
    }
}

// Several threads: nothing may keep the service from signing its checkpoints while this waits for a command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_swapped_edited_and_cut_off_records_of_both_logs_are_named() {
    let (site, server) = started().await;
    done(&server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    for number in 0..6 {
        done(&server, "transit/sign/k", json!({"input": "YQ=="})).await;
        done(&server, &format!("sys/policies/acl/p{number}"), json!({"policy": "path \"a\" {}"})).await;
    }
    for (superuser, database, table) in [
        (site.secure.superuser().await.unwrap(), "secure", "secure_audit_log"),
        (site.core.superuser().await.unwrap(), "core", "audit_log"),
    ] {
        let mut log = Log::signed(&site, superuser, database, table).await;
        let last = log.events.len();
        assert!(last > 6, "{last} records");
        let missing = ": missing; deleted";
        log.damaged(&site, "DELETE FROM $log WHERE seq = 3", &[(" record 3".into(), missing)]).await;
        log.damaged(&site, "DELETE FROM $log WHERE seq IN (1, 2)", &[(" records 1-2".into(), missing)]).await;
        log.damaged(
            &site,
            "DELETE FROM $log WHERE seq IN (2, 5)",
            &[(" record 2:".into(), missing), (" record 5:".into(), missing)],
        )
        .await;
        // Numbers are exchanged: the first comes where the second was.
        let (third, fourth) = (log.events[2], log.events[3]);
        let swapped = [format!(" record 3 (event {fourth})"), format!(" record 4 (event {third})")];
        let swapped = swapped.map(|record| (record, ": was edited"));
        log.damaged(&site, "UPDATE $log SET seq = 7 - seq WHERE seq IN (3, 4)", &swapped).await;
        // Numbers, links and hashes are exchanged, so that the numbers still fit their places in the chain.
        let places = "UPDATE $log a SET seq = b.seq, previous_hash = b.previous_hash, record_hash = b.record_hash FROM $log b \
                      WHERE a.seq + b.seq = 7 AND a.seq IN (3, 4)";
        log.damaged(&site, places, &swapped).await;
        for edit in [
            "accessor = 'somebody'",
            "event_data = jsonb_set(event_data::jsonb, '{key}', '\"other\"')",
            "event_timestamp = event_timestamp + interval '1 microsecond'",
            "organization_id = gen_random_uuid()",
            "request_id = gen_random_uuid()",
        ] {
            let edited = [(log.named(4), ": was edited")];
            log.damaged(&site, &format!("UPDATE $log SET {edit} WHERE seq = 4"), &edited).await;
        }
        let cut = format!("DELETE FROM $log WHERE seq > {}", last - 2);
        let gone = (format!(" records {}-{last}", last - 1), "the tail was cut off");
        log.damaged(&site, &cut, std::slice::from_ref(&gone)).await;
        // The chain's own row is made to fit: a checkpoint still knows.
        let fitted = format!(
            "{cut}; UPDATE audit_chains SET (seq, hash) = (SELECT seq, record_hash FROM $log ORDER BY seq DESC LIMIT 1)"
        );
        log.damaged(&site, &fitted, &[gone]).await;
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_either_log_is_verified_by_the_printed_key_alone_and_what_was_done_to_it_is_named() {
    let (site, server) = started().await;
    done(&server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    for number in 0..6 {
        done(&server, "transit/sign/k", json!({"input": "YQ=="})).await;
        done(&server, &format!("sys/policies/acl/p{number}"), json!({"policy": "path \"a\" {}"})).await;
    }
    let key = site.path("transcript");
    std::fs::write(&key, site.succeeds(&["ceremony", "check"]).unwrap()).unwrap();
    for (database, table) in [("secure", "secure_audit_log"), ("core", "audit_log")] {
        let file = site.path(database);
        let (path, key) = (file.to_str().unwrap(), key.to_str().unwrap());
        let verify = ["audit", "verify", "--file", path, "--public-key", key];
        let is_record = |line: &str| line.contains("\"kind\":\"record\"");
        let covered = async || {
            drop(std::fs::remove_file(&file));
            site.succeeds(&["audit", "export", "--database", database, "--out", path]).unwrap();
            let records = std::fs::read_to_string(&file).unwrap().lines().filter(|line| is_record(line)).count();
            site.succeeds(&verify).unwrap().contains(&format!("{table}: holds: {records} records in 1 chains"))
                && site.succeeds(&verify).unwrap().contains(&format!("(1-{records}), signed up to {records}\n"))
        };
        until(Duration::from_secs(30), "a checkpoint in the export covers its records", true, covered).await;
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let first = lines.iter().position(|line| is_record(line)).unwrap();
        let damaged = |damage: &dyn Fn(&mut Vec<String>), record: &str, finding: &str| {
            let mut lines = lines.clone();
            damage(&mut lines);
            std::fs::write(&file, lines.join("\n")).unwrap();
            let said = site.fails(&verify).unwrap();
            let named = |line: &str| line.starts_with(table) && line.contains(record) && line.contains(finding);
            assert!(said.lines().any(named), "{record} {finding}: {said}");
        };
        let last = lines.iter().filter(|line| is_record(line)).count();
        damaged(&|lines| drop(lines.remove(first + 2)), " record 3", ": missing; deleted");
        damaged(
            &|lines| lines[first + 2] = lines[first + 2].replacen("\"action\":\"", "\"action\":\"x", 1),
            " record 3",
            ": was edited",
        );
        damaged(&|lines| lines.swap(first + 1, first + 2), " record 2", "out of order");
        damaged(&|lines| drop(lines.remove(first + last - 1)), &format!(" record {last}"), "the tail was cut off");
    }
}

/// Puts the rows back as they were when they were kept, and nobody is told.
async fn put_back(database: &mut PgConnection, table: &str) {
    let columns = columns(database, table).await;
    let statements = format!(
        "SET session_replication_role = replica; DELETE FROM {table} WHERE id IN (SELECT id FROM kept.{table}); \
         INSERT INTO {table} ({columns}) SELECT {columns} FROM kept.{table}"
    );
    sql(database, &statements).await;
}

#[tokio::test]
async fn rows_put_back_to_an_older_self_are_named() {
    let (site, server) = started().await;
    let mut secure = site.secure.superuser().await.unwrap();
    let mut core = site.core.superuser().await.unwrap();
    for key in ["rotated", "deleted"] {
        done(&server, &format!("transit/keys/{key}"), json!({"type": "ecdsa-p256"})).await;
        done(&server, &format!("transit/keys/{key}/config"), json!({"deletion_allowed": key == "deleted"})).await;
    }
    let policy = |path: &str| json!({"policy": format!("path \"{path}\" {{ capabilities = [\"read\"] }}")});
    done(&server, "sys/policies/acl/narrowed", policy("*")).await;
    for (database, table) in [(&mut secure, "named_keys"), (&mut core, "access_policies")] {
        sql(database, &format!("CREATE SCHEMA kept; CREATE TABLE kept.{table} AS TABLE {table}")).await;
    }
    sql(&mut secure, "CREATE TABLE kept.private_keys AS TABLE private_keys").await;
    done(&server, "transit/keys/rotated/rotate", json!({})).await;
    done(&server, "transit/keys/rotated/config", json!({"min_decryption_version": 2})).await;
    assert_eq!(server.ask(Method::DELETE, "transit/keys/deleted", None).await.unwrap().status, 204);
    done(&server, "sys/policies/acl/narrowed", policy("a")).await;
    drop(server);
    let said = site.succeeds(&["audit", "verify", "--rows"]).unwrap();
    assert!(said.contains("secure_audit_log: holds") && said.contains("\naudit_log: holds"), "{said}");

    let rows = "SELECT name, id FROM named_keys UNION ALL SELECT n.name || ' 1', p.id FROM private_keys p \
                JOIN named_keys n ON n.id = p.named_key_id WHERE p.version = 1";
    let rows: Vec<(String, Uuid)> = sqlx::query_as(rows).fetch_all(&mut secure).await.unwrap();
    let id = |name: &str| rows.iter().find(|(known, _)| known == name).unwrap().1;
    put_back(&mut secure, "named_keys").await;
    put_back(&mut secure, "private_keys").await;
    put_back(&mut core, "access_policies").await;
    // Each is a row that this service once wrote: its own MAC holds, and so does the log.
    site.succeeds(&["audit", "verify"]).unwrap();
    let said = site.fails(&["audit", "verify", "--rows"]).unwrap();
    let narrowed: Uuid = sqlx::query_scalar("SELECT id FROM access_policies WHERE name = 'narrowed'")
        .fetch_one(&mut core)
        .await
        .unwrap();
    for (table, id, revisions) in [
        // Made without leave to be deleted, which changed nothing; rotated; version 1 closed.
        ("named_keys", id("rotated"), "revision 1; the log knows revision 3"),
        // Made; leave to be deleted given; deleted.
        ("named_keys", id("deleted"), "revision 2; the log knows revision 3"),
        ("private_keys", id("deleted 1"), "revision 1; the log knows revision 2"),
        ("access_policies", narrowed, "revision 1; the log knows revision 2"),
    ] {
        assert!(said.contains(&format!("{table} row {id}: is an older self, {revisions}")), "{table} {id}: {said}");
    }
    assert_eq!(said.matches("older self").count(), 4, "nothing else was put back: {said}");
}

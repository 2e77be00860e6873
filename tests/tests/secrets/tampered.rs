//! What the databases show, and what happens to rows that are changed behind the service's back.

use super::{ask, done, started};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row};
use tests::{Server, Site};

const SECRET: &str = "correct horse battery staple";

async fn sql(site: &Site, statement: &str) -> u64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap().rows_affected()
}

async fn alarms(site: &Site) -> i64 {
    let mut superuser = site.secure.superuser().await.unwrap();
    let count =
        "SELECT count(*) FROM secure_audit_log WHERE event_type = 'integrity.row_refused' AND severity = 'critical'";
    sqlx::query_scalar(count).fetch_one(&mut superuser).await.unwrap()
}

/// The read is refused, with an alarm on record.
async fn refused(site: &Site, server: &Server, line: &str, what: &str) {
    let before = alarms(site).await;
    let answer = ask(server, line).await;
    assert_eq!(answer.status, 500, "{what}: {line}: {answer:?}");
    assert!(answer.error().contains("is not what this service wrote"), "{what}: {answer:?}");
    assert_eq!(alarms(site).await, before + 1, "{what}");
}

#[tokio::test]
async fn a_row_edited_swapped_or_copied_to_another_path_is_refused() {
    let (site, server) = started().await;
    for path in ["a", "b"] {
        done(&server, &format!("POST secret/data/{path} {{\"data\":{{\"of\":\"{path}\"}}}}")).await;
        done(&server, &format!("POST secret/data/{path} {{\"data\":{{\"of\":\"{path} again\"}}}}")).await;
    }
    let of = |path: &str| format!("(SELECT id FROM secrets WHERE secret_path = '{path}')");
    let versions = [
        "encrypted_data = set_byte(encrypted_data, 20, 255 - get_byte(encrypted_data, 20))",
        "deleted_at = NULL, created_at = created_at - interval '1 second'",
        "deleted_at = now() - interval '1 second'",
        "value_hmac = sha256('x')",
    ];
    for change in versions {
        sql(&site, "CREATE TABLE kept AS TABLE secret_versions").await;
        assert_eq!(sql(&site, &format!("UPDATE secret_versions SET {change} WHERE secret_id = {}", of("a"))).await, 2);
        refused(&site, &server, "GET secret/data/a", change).await;
        refused(&site, &server, "GET secret/metadata/a", change).await;
        assert_eq!(ask(&server, "GET secret/data/b").await.status, 200);
        sql(&site, "UPDATE secret_versions v SET encrypted_data = k.encrypted_data, value_hmac = k.value_hmac, deleted_at = k.deleted_at, created_at = k.created_at FROM kept k WHERE k.id = v.id").await;
        sql(&site, "DROP TABLE kept").await;
        done(&server, "GET secret/data/a").await;
    }
    // Whole rows, with their MACs, under the other's name: versions, ciphertexts alone, and secrets.
    let swap = |table: &str, column: &str, from: &str, to: &str| {
        format!(
            "WITH x AS (SELECT id, {column} FROM {table}) UPDATE {table} t SET {column} = (SELECT {column} FROM x WHERE x.id = {to}) WHERE t.id = {from}"
        )
    };
    let version =
        |path: &str| format!("(SELECT id FROM secret_versions WHERE version = 2 AND secret_id = {})", of(path));
    sql(&site, &swap("secret_versions", "encrypted_data", &version("a"), &version("b"))).await;
    refused(&site, &server, "GET secret/data/a", "a ciphertext copied to another path").await;
    sql(&site, "UPDATE secrets SET secret_path = 'c' WHERE secret_path = 'b'").await;
    refused(&site, &server, "GET secret/data/c", "a secret under another name").await;
    refused(&site, &server, "POST secret/data/c {\"data\":{}}", "writing over it").await;
    sql(&site, "UPDATE secrets SET secret_path = 'b' WHERE secret_path = 'c'").await;
    done(&server, "GET secret/data/b").await;
    sql(&site, &format!("DELETE FROM secret_versions WHERE id = {}", version("b"))).await;
    refused(&site, &server, "GET secret/data/b", "a version taken away").await;
    refused(&site, &server, "GET secret/metadata/b", "a version taken away").await;
    let metrics = server.get("sys/metrics?format=prometheus").await.unwrap().body;
    let counted = metrics.as_str().unwrap().lines().find(|line| line.starts_with("clm_integrity_alarms_total "));
    assert_eq!(counted.unwrap().rsplit(' ').next().unwrap().parse::<i64>().unwrap(), alarms(&site).await);
}

#[tokio::test]
async fn settings_of_a_mount_that_were_edited_stop_its_writes() {
    let (site, server) = started().await;
    done(&server, "POST secret/config {\"cas_required\":true}").await;
    assert_eq!(sql(&site, "UPDATE secret_mounts SET cas_required = false").await, 1);
    refused(&site, &server, "POST secret/data/a {\"data\":{}}", "cas_required edited").await;
    refused(&site, &server, "GET secret/config", "cas_required edited").await;
}

#[tokio::test]
async fn an_older_self_of_a_secret_is_told_by_the_log() {
    let (site, server) = started().await;
    done(&server, "POST secret/data/a {\"data\":{\"x\":1}}").await;
    sql(&site, "CREATE SCHEMA aside").await;
    sql(&site, "CREATE TABLE aside.kept AS TABLE secrets").await;
    done(&server, "POST secret/data/a {\"data\":{\"x\":2}}").await;
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
    sql(&site, "UPDATE secrets s SET version = k.version, revision = k.revision, row_mac = k.row_mac, written_at = k.written_at FROM aside.kept k").await;
    // The row is whole, so it is believed; the log knows a newer one.
    assert_eq!(done(&server, "GET secret/data/a").await["data"], json!({"x": 1}));
    let verified = site.command(&["audit", "verify", "--rows"]).unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!verified.status.success() && said.contains("secrets"), "{said}");
}

#[tokio::test]
async fn values_are_nowhere_in_the_clear() {
    let (site, server) = started().await;
    let data = json!({"data": {"password": SECRET}});
    server.put("secret/data/app/a", data.clone()).await.unwrap();
    server.put("secret/data/app/a", data.clone()).await.unwrap();
    server.put("kv/app/a", data["data"].clone()).await.unwrap();
    // Refused in every way in which a value comes near an error.
    for (line, status) in [
        (format!("POST secret/data/app/a {{\"data\":\"{SECRET}\"}}"), 400),
        (format!("POST secret/data/app/a {{\"data\":{{\"x\":\"{SECRET}\"}},\"options\":{{\"cas\":9}}}}"), 400),
        (format!("POST secret/data/app/a {{\"data\":{{\"x\":\"{SECRET}\"}}, bad"), 400),
        (format!("POST secret/data/app/a {{\"data\":{{\"x\":\"{SECRET}\"}},\"options\":\"{SECRET}\"}}"), 400),
        (format!("PATCH secret/data/none {{\"data\":{{\"x\":\"{SECRET}\"}}}}"), 404),
        (format!("POST kv/dir/ {{\"x\":\"{SECRET}\"}}"), 400),
    ] {
        let answer = ask(&server, &line).await;
        assert_eq!(answer.status.as_u16(), status, "{line}: {answer:?}");
        assert!(!answer.body.to_string().contains(SECRET), "{answer:?}");
    }
    assert_eq!(done(&server, "GET secret/data/app/a").await["data"]["password"], SECRET);
    done(&server, "PATCH secret/data/app/a {\"data\":{\"b\":1}}").await;
    assert_eq!(done(&server, "GET kv/app/a").await["password"], SECRET);
    let metrics = server.get("sys/metrics?format=prometheus").await.unwrap().body.to_string();
    assert!(!metrics.contains(SECRET) && !metrics.contains("app/a"));
    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    assert!(!log.contains(SECRET), "{log}");
    // Both databases whole, as a dump gives them: texts, and the bytes of bytea.
    let hex = hex::encode(SECRET);
    for database in [&site.secure, &site.core] {
        let dump = std::process::Command::new("pg_dump").arg(database.url("clm_admin")).output().unwrap();
        assert!(dump.status.success(), "{dump:?}");
        let dump = String::from_utf8_lossy(&dump.stdout);
        assert!(dump.contains("audit_log") && !dump.contains(SECRET) && !dump.contains(&hex));
    }
}

#[tokio::test]
async fn a_record_names_the_version_that_was_read_and_its_value_by_hmac() {
    let (site, mut server) = started().await;
    done(&server, "POST secret/data/a {\"data\":{\"x\":1}}").await;
    done(&server, "POST secret/data/b {\"data\":{\"x\":1}}").await;
    done(&server, "POST secret/data/a {\"data\":{\"x\":2}}").await;
    "the reader".clone_into(&mut server.user_agent);
    for path in ["a?version=1", "b", "a", "nothing"] {
        ask(&server, &format!("GET secret/data/{path}")).await;
    }
    done(&server, "DELETE secret/data/a").await;
    ask(&server, "GET secret/data/a").await;
    let mut superuser = site.secure.superuser().await.unwrap();
    let rows = sqlx::query(
        "SELECT event_data ->> 'secret', (event_data ->> 'version')::integer, event_data ->> 'value_hmac', result, error_message, result_sha256 \
         FROM secure_audit_log WHERE user_agent = 'the reader' AND event_type = 'secret.read' ORDER BY seq",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let told: Vec<(String, Option<i32>, Option<String>, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let hmacs: Vec<Option<&String>> = told.iter().map(|row| row.2.as_ref()).collect();
    assert!(hmacs[0].is_some() && hmacs[0] == hmacs[1] && hmacs[0] != hmacs[2], "{told:?}");
    assert_eq!((hmacs[3], hmacs[4]), (None, None));
    let what: Vec<(&str, Option<i32>, &str)> = told.iter().map(|row| (row.0.as_str(), row.1, row.3.as_str())).collect();
    assert_eq!(
        what,
        [
            ("a", Some(1), "success"),
            ("b", Some(1), "success"),
            ("a", Some(2), "success"),
            ("nothing", None, "failure"),
            ("a", Some(2), "failure")
        ]
    );
    // Nothing that could be tried out without the HSM.
    assert!(rows.iter().all(|row| row.get::<Option<Vec<u8>>, _>(5).is_none()));
}

//! What each role is refused, tried as that role.

use crate::catalogue::Catalogue;
use crate::refused::{attempt, refused, vain};
use crate::rows::Rows;
use crate::{Databases, KEPT, ROLES, connect};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, query, query_scalar};
use tests::TestDatabase;
use uuid::Uuid;

/// DDL, and the ways around grants that a role might try.
const BEYOND_ANY: &[&str] = &[
    "CREATE TABLE public.mine (id integer)",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "SET ROLE clm_migrate",
    "SET SESSION AUTHORIZATION clm_migrate",
    "SET session_replication_role = replica",
    "ALTER ROLE clm_migrate SUPERUSER",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
];

async fn beyond_any(connection: &mut PgConnection, role: &str, catalogue: &Catalogue) {
    for statement in BEYOND_ANY {
        refused(connection, role, statement).await;
    }
    for (table, _) in catalogue.tables() {
        for statement in [
            format!("ALTER TABLE \"{table}\" ADD COLUMN mine integer"),
            format!("ALTER TABLE \"{table}\" DISABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE \"{table}\" DISABLE TRIGGER ALL"),
            format!("DROP TABLE \"{table}\""),
            format!("TRUNCATE \"{table}\""),
        ] {
            refused(connection, role, &statement).await;
        }
    }
}

/// It can change nothing.
async fn read_only(connection: &mut PgConnection, role: &str, catalogue: &Catalogue) {
    for (table, relation) in catalogue.tables() {
        let column = &relation.columns[0].name;
        refused(connection, role, &format!("INSERT INTO \"{table}\" ({column}) VALUES (NULL)")).await;
        refused(connection, role, &format!("UPDATE \"{table}\" SET {column} = NULL")).await;
        refused(connection, role, &format!("DELETE FROM \"{table}\"")).await;
    }
}

/// One row of each table for each of two organizations.
async fn filled(catalogue: &Catalogue, database: &TestDatabase) -> [Uuid; 2] {
    let organizations = [Uuid::new_v4(), Uuid::new_v4()];
    let mut rows = Rows::new(catalogue, database.superuser().await.unwrap());
    for organization in organizations {
        rows.everywhere(organization).await;
    }
    organizations
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_roles_change_no_record_delete_nothing_that_is_kept_and_run_no_ddl() {
    let databases = Databases::new().await;
    for database in databases.all() {
        let catalogue = Catalogue::read(database).await;
        let role = catalogue.app;
        let [ours, _] = filled(&catalogue, database.2).await;
        let mut app = connect(database.2, role).await;
        query("SELECT set_config('clm.organization_id', $1, false)")
            .bind(ours.to_string())
            .execute(&mut app)
            .await
            .unwrap();
        beyond_any(&mut app, role, &catalogue).await;
        for (table, relation) in catalogue.tables() {
            if table.ends_with("audit_log") || table == "audit_checkpoints" {
                refused(&mut app, role, &format!("UPDATE \"{table}\" SET {0} = {0}", relation.columns[0].name)).await;
                refused(&mut app, role, &format!("DELETE FROM \"{table}\"")).await;
            } else if KEPT.contains(&table.as_str()) && table != "sessions" {
                refused(&mut app, role, &format!("DELETE FROM \"{table}\"")).await;
            }
            // Asking to see all is refused rather than answered with less.
            if relation.forced && relation.granted(role, "SELECT").is_some() {
                query("SET row_security = off").execute(&mut app).await.unwrap();
                refused(&mut app, role, &format!("SELECT * FROM \"{table}\"")).await;
                query("RESET row_security").execute(&mut app).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_deleted_after_its_end_and_not_before() {
    let databases = Databases::new().await;
    let catalogue = Catalogue::read(databases.all()[1]).await;
    let [ours, _] = filled(&catalogue, &databases.site.core).await;
    let mut app = connect(&databases.site.core, catalogue.app).await;
    query("SELECT set_config('clm.organization_id', $1, false)")
        .bind(ours.to_string())
        .execute(&mut app)
        .await
        .unwrap();
    let mut superuser = databases.site.core.superuser().await.unwrap();
    for (table, end) in [
        ("tokens", "expire_time = now()"),
        ("sessions", "is_active = false, invalidated_at = now()"),
        (
            "sessions",
            "created_at = now() - interval '2 days', expires_at = now() - interval '1 day', is_active = true, invalidated_at = NULL",
        ),
        // One that has expired may still work at its engine.
        ("leases", "revoked = true, revoked_at = now()"),
    ] {
        let delete = format!("DELETE FROM {table}");
        if table == "leases" {
            let expired =
                "UPDATE leases SET issued_at = now() - interval '2 days', expires_at = now() - interval '1 day'";
            query(expired).execute(&mut superuser).await.unwrap();
        }
        if !end.contains("is_active = true") {
            assert_eq!(attempt(&mut app, &delete).await, Ok(0), "{table}: a live one was deleted");
        }
        query(AssertSqlSafe(format!("UPDATE {table} SET {end}"))).execute(&mut superuser).await.unwrap();
        assert_eq!(attempt(&mut app, &delete).await, Ok(1), "{table}: {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_reads_the_logs_and_nothing_secret_and_changes_nothing() {
    /// All of their columns.
    const OPEN: [&str; 6] =
        ["audit_log", "secure_audit_log", "audit_chains", "audit_checkpoints", "hsm_tokens", "organizations"];
    let databases = Databases::new().await;
    for database in databases.all() {
        let catalogue = Catalogue::read(database).await;
        filled(&catalogue, database.2).await;
        let role = ROLES[2];
        let mut auditor = connect(database.2, role).await;
        beyond_any(&mut auditor, role, &catalogue).await;
        read_only(&mut auditor, role, &catalogue).await;
        for (name, relation) in &catalogue.relations {
            for column in &relation.columns {
                let select = format!("SELECT \"{}\" FROM \"{name}\"", column.name);
                let bound = relation.column("row_mac").is_some()
                    && ["id", "organization_id", "revision", "row_mac"].contains(&column.name.as_str());
                if OPEN.contains(&name.as_str()) {
                    assert!(attempt(&mut auditor, &select).await.is_ok_and(|rows| rows > 0), "{select}");
                } else if !bound {
                    refused(&mut auditor, role, &select).await;
                }
            }
            // What it compares with the log, it must be able to read: of all organizations.
            if ["id", "revision", "row_mac"].iter().all(|column| relation.column(column).is_some()) && !relation.is_view
            {
                let select = format!("SELECT id, revision, row_mac FROM \"{name}\"");
                assert_eq!(attempt(&mut auditor, &select).await, Ok(2), "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_role_reads_all_of_every_organization_and_changes_nothing() {
    let databases = Databases::new().await;
    for database in databases.all() {
        let catalogue = Catalogue::read(database).await;
        let organizations = filled(&catalogue, database.2).await;
        let role = ROLES[3];
        let mut backup = connect(database.2, role).await;
        beyond_any(&mut backup, role, &catalogue).await;
        read_only(&mut backup, role, &catalogue).await;
        let url = database.2.url(role);
        let dump =
            std::process::Command::new("pg_dump").args([&url, "--enable-row-security", "--inserts"]).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let dump = String::from_utf8(dump.stdout).unwrap();
        for (table, relation) in catalogue.tables() {
            let Some(tenant) = relation.tenant_column(table) else { continue };
            for organization in organizations {
                let statement = format!("SELECT count(*) FROM \"{table}\" WHERE {tenant} = '{organization}'");
                let rows: i64 = query_scalar(AssertSqlSafe(statement)).fetch_one(&mut backup).await.unwrap();
                assert!(rows > 0, "{table}");
                let start = format!("INSERT INTO public.{table}{}", if relation.is_partitioned { "_" } else { " " });
                let found =
                    dump.lines().any(|line| line.starts_with(&start) && line.contains(&organization.to_string()));
                assert!(found, "{table}: a row of {organization} is missing in the dump");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_role_owns_the_schema_and_is_still_no_superuser() {
    let databases = Databases::new().await;
    for database in databases.all() {
        let catalogue = Catalogue::read(database).await;
        filled(&catalogue, database.2).await;
        let role = ROLES[4];
        let mut owner = connect(database.2, role).await;
        let foreign: i64 = query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> 'clm_migrate'::regrole")
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(foreign, 0, "something in {} is not clm_migrate's", catalogue.name);
        for statement in [
            "CREATE ROLE mine",
            "CREATE DATABASE mine",
            "ALTER ROLE clm_migrate BYPASSRLS",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "SELECT pg_read_file('/etc/passwd')",
            "SET session_replication_role = replica",
        ] {
            if statement.starts_with("CREATE DATABASE") {
                let error = query(AssertSqlSafe(statement)).execute(&mut owner).await.unwrap_err();
                assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"));
            } else {
                refused(&mut owner, role, statement).await;
            }
        }
        // Forced row-level security holds the owner as well: it writes no tenant's row as long as it does not change the schema.
        for (table, relation) in catalogue.tables() {
            if let Some(tenant) = relation.tenant_column(table) {
                vain(&mut owner, role, &format!("UPDATE \"{table}\" SET {tenant} = {tenant}")).await;
                vain(&mut owner, role, &format!("DELETE FROM \"{table}\"")).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_half_of_the_service_is_refused_by_the_others_database() {
    let databases = Databases::new().await;
    let [(_, secure_app, secure), (_, core_app, core)] = databases.all();
    for (database, role) in [(secure, core_app), (core, secure_app)] {
        let options: PgConnectOptions = database.url(role).parse().unwrap();
        let error = options.connect().await.unwrap_err();
        assert_eq!(
            error.as_database_error().and_then(|error| error.code()).as_deref(),
            Some("42501"),
            "{role}: {error}"
        );
    }
    // The same way to connect works for one that may.
    let mut own = connect(secure, secure_app).await;
    assert_eq!(query("SELECT 1").fetch_one(&mut own).await.unwrap().get::<i32, _>(0), 1);
}

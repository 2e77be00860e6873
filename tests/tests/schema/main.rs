//! Both schemas as the catalogue of live databases describes them: the documents made of it, the rules that hold for every table, what each
//! role is refused, and that no organization sees another's rows. A table that is added is in all of them without a word here.
#![expect(clippy::unwrap_used, reason = "tests")]

mod catalogue;
mod changes;
mod documents;
mod grants;
mod isolation;
mod references;
mod refused;
mod rows;
mod rules;
mod second_organization;

use catalogue::Catalogue;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Row};
use tests::{Site, TestDatabase};

/// What the service's databases are called where they are documented.
const NAMES: [&str; 2] = ["clm_secure_db", "clm_core_db"];

/// The service's roles, as migrations/bootstrap.sql makes them.
const ROLES: [&str; 5] = ["clm_secure_app", "clm_core_app", "clm_auditor", "clm_backup", "clm_migrate"];

/// The seeds' 21 tables, and `secrets`: nobody deletes from them, but sessions that have ended.
const KEPT: [&str; 23] = [
    "encryption_keys",
    "certificates",
    "private_keys",
    "certificate_requests",
    "certificate_revocations",
    "key_rotation_history",
    "secure_audit_log",
    "users",
    "roles",
    "user_roles",
    "organizations",
    "user_organizations",
    "policies",
    "workflows",
    "workflow_instances",
    "workflow_steps",
    "notifications",
    "audit_log",
    "api_keys",
    "sessions",
    "certificate_metadata",
    "secrets",
    "secret_versions",
];

/// Both databases with their schema.
struct Databases {
    site: Site,
}

impl Databases {
    async fn new() -> Self {
        let site = Site::new().await.unwrap();
        site.succeeds(&["migrate"]).unwrap();
        Self { site }
    }

    /// Each with its name and the role of the service that works on it.
    fn all(&self) -> [(&'static str, &'static str, &TestDatabase); 2] {
        [(NAMES[0], ROLES[0], &self.site.secure), (NAMES[1], ROLES[1], &self.site.core)]
    }

    async fn catalogues(&self) -> [Catalogue; 2] {
        let [secure, core] = self.all();
        [Catalogue::read(secure).await, Catalogue::read(core).await]
    }
}

/// A connection of that role, which is nobody mightier.
async fn connect(database: &TestDatabase, role: &str) -> PgConnection {
    let options: PgConnectOptions = database.url(role).parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let row = sqlx::query("SELECT current_user::text, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), role);
    for (index, power) in
        ["rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication"].iter().enumerate()
    {
        assert!(!row.get::<bool, _>(index + 1), "{role} has {power}");
    }
    let others: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(others, 0, "{role} is a member of another role");
    connection
}

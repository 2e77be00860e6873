//! All SQL of clm_secure_db, one file a table. Statements are checked when they are compiled, as the service's own role, against `.sqlx/`:
//! `make renew` writes that from the schema.

pub(crate) mod certificate_requests;
pub(crate) mod certificates;
pub(crate) mod closed_mounts;
pub(crate) mod cubbyhole_entries;
pub(crate) mod cubbyhole_keys;
pub(crate) mod encryption_keys;
pub(crate) mod hsm_tokens;
pub(crate) mod key_aliases;
pub(crate) mod key_callers;
pub(crate) mod key_rotation_history;
pub(crate) mod key_state_changes;
pub(crate) mod key_usage;
pub(crate) mod key_versions;
pub(crate) mod named_keys;
pub(crate) mod private_keys;
pub(crate) mod secret_mounts;
pub(crate) mod secret_versions;
pub(crate) mod secrets;

use crate::{Error, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/clm_secure_db");

/// The generation of this program's schema; `schema_generation()` of its migrations gives the same. It runs on this one and the next.
const GENERATION: i32 = 1;

/// What roles may do here, as the migrations grant it: `ROLE PRIVILEGE OBJECT` lines, made by `make renew`.
pub const GRANTS: &str = include_str!("grants.txt");

/// Brings clm_secure_db to this version's schema; as the role clm_migrate.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await?;
    // The service's role must be able to see which schema it meets, and a backup without it could not be migrated.
    sqlx::query("GRANT SELECT ON _sqlx_migrations TO clm_secure_app, clm_backup").execute(pool).await?;
    Ok(())
}

/// Whether the program fits the schema: all its migrations are there, and none of a release after the next.
pub async fn check_schema(connection: &mut PgConnection) -> Result<()> {
    let applied: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut *connection).await;
    let applied =
        applied.map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("42P01" | "42501") => Error::Operator("clm_secure_db has no schema yet: run `clm migrate`".into()),
            _ => Error::Database(error),
        })?;
    if let Some(missing) = MIGRATOR.iter().find(|migration| !applied.contains(&migration.version)) {
        let (version, about) = (missing.version, &missing.description);
        return Err(Error::Operator(format!(
            "clm_secure_db lacks migration {version} ({about}), which this program needs: run `clm migrate`"
        )));
    }
    let generation: i32 = sqlx::query_scalar("SELECT schema_generation()").fetch_one(connection).await?;
    if generation > GENERATION + 1 {
        return Err(Error::Operator(format!(
            "clm_secure_db has a schema of generation {generation}, this program runs on {GENERATION} and {}: use a newer `clm`",
            GENERATION + 1
        )));
    }
    Ok(())
}

/// A transaction that reads one organization's rows, all as of one moment: a key and its versions lie in several tables, and a rotation that
/// commits between two statements must not look like a row taken away.
pub(crate) async fn read_as_of_now(
    pool: &PgPool,
    organization_id: Uuid,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_for(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", organization_id).await
}

/// A transaction that writes rows of one organization beside the audit log: what may be lost.
pub(crate) async fn write_for(
    pool: &PgPool,
    organization_id: Uuid,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_for(pool, "BEGIN", organization_id).await
}

/// Says for whom the transaction speaks in the message that begins it, a trip less for whatever is read: row-level security shows it nothing
/// else. A UUID's text ends no literal.
async fn begin_for(
    pool: &PgPool,
    begin: &'static str,
    organization_id: Uuid,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    audit_log::begin(pool, AssertSqlSafe(format!("{begin}; SET LOCAL clm.organization_id = '{organization_id}'"))).await
}

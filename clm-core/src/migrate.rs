//! The schema of `clm_core_db`.

use crate::error::{Error, Result};
use crate::store::StoreError;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/clm_core_db");

/// Brings the schema up to this program's; as the migration role, which owns the database.
pub async fn migrate(pool: &PgPool) -> Result<()> {
    MIGRATOR.run(pool).await.map_err(|error| schema(format!("clm_core_db could not be migrated: {error}")))?;
    // The service's role must be able to see which schema it meets, and a backup without it could not be migrated.
    sqlx::query("GRANT SELECT ON _sqlx_migrations TO clm_core_app, clm_backup")
        .execute(pool)
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Whether the program fits the schema: its own or the next one.
pub async fn schema_check(pool: &PgPool) -> Result<()> {
    let ours = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let theirs: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
        .map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("42P01" | "42501") => schema("clm_core_db has no schema yet: run `clm migrate`".to_owned()),
            _ => StoreError::from(error).into(),
        })?;
    match theirs.unwrap_or(0) {
        version if version < ours => {
            Err(schema(format!("clm_core_db has schema {version}, this program needs {ours}: run `clm migrate`")))
        }
        version if version > ours + 1 => Err(schema(format!(
            "clm_core_db has schema {version}, this program knows {ours} and runs on {ours} and {}: use a newer `clm`",
            ours + 1
        ))),
        _ => Ok(()),
    }
}

fn schema(text: String) -> Error {
    StoreError::Schema(text).into()
}

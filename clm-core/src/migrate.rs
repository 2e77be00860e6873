//! The schema of `clm_core_db`.

use crate::error::{Error, Result};
use crate::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgConnection, PgPool};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/clm_core_db");

/// The generation of this program's schema; `schema_generation()` of its migrations gives the same. It runs on this one and the next.
const GENERATION: i32 = 1;

/// Brings the schema up to this program's; as the migration role, which owns the database.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await?;
    // The service's role must be able to see which schema it meets, and a backup without it could not be migrated.
    sqlx::query("GRANT SELECT ON _sqlx_migrations TO clm_core_app, clm_backup").execute(pool).await?;
    Ok(())
}

/// Whether the program fits the schema: all its migrations are there, and none of a release after the next.
pub async fn schema_check(connection: &mut PgConnection) -> Result<()> {
    let applied: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut *connection).await;
    let applied =
        applied.map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("42P01" | "42501") => schema("clm_core_db has no schema yet: run `clm migrate`".to_owned()),
            _ => StoreError::from(error).into(),
        })?;
    if let Some(missing) = MIGRATOR.iter().find(|migration| !applied.contains(&migration.version)) {
        let (version, about) = (missing.version, &missing.description);
        return Err(schema(format!(
            "clm_core_db lacks migration {version} ({about}), which this program needs: run `clm migrate`"
        )));
    }
    let generation: i32 =
        sqlx::query_scalar("SELECT schema_generation()").fetch_one(connection).await.map_err(StoreError::from)?;
    if generation > GENERATION + 1 {
        return Err(schema(format!(
            "clm_core_db has a schema of generation {generation}, this program runs on {GENERATION} and {}: use a newer `clm`",
            GENERATION + 1
        )));
    }
    Ok(())
}

fn schema(text: String) -> Error {
    StoreError::Schema(text).into()
}

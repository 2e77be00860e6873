//! All SQL of clm_core_db, one file a table.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/clm_core_db");

/// Brings clm_core_db to this version's schema; as the role clm_migrate.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await
}

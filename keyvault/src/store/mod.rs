//! All SQL of clm_secure_db, one file a table.

pub(crate) mod encryption_keys;
pub(crate) mod hsm_tokens;
pub(crate) mod named_keys;
pub(crate) mod private_keys;
pub(crate) mod settings;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

static MIGRATOR: Migrator = sqlx::migrate!("../migrations/clm_secure_db");

/// Brings clm_secure_db to this version's schema; as the role clm_migrate.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATOR.run(pool).await
}

/// Says for whom the transaction speaks: row-level security shows it nothing else.
pub(crate) async fn speak_for(connection: &mut PgConnection, organization_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('clm.organization_id', $1, true)")
        .bind(organization_id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

//! A database that may forget what it acknowledged is none.

use crate::error::Result;
use crate::store::StoreError;
use sqlx::{PgPool, Row};

pub(super) async fn check(pool: &PgPool) -> Result<()> {
    let rows = sqlx::query(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')",
    )
    .fetch_all(pool)
    .await
    .map_err(StoreError::from)?;
    for row in rows {
        let (name, setting): (String, String) =
            (row.try_get("name").map_err(StoreError::from)?, row.try_get("setting").map_err(StoreError::from)?);
        if matches!(setting.as_str(), "off" | "local") {
            return Err(StoreError::Schema(format!(
                "PostgreSQL runs with {name} = {setting}: a crash could lose acknowledged records; set {name} = on"
            ))
            .into());
        }
    }
    Ok(())
}

//! Settings of the server that durability stands on.

use super::{Store, StoreError};

impl Store {
    /// Refuses a database that may forget what it acknowledged.
    pub(crate) async fn check_durability(&self) -> Result<(), StoreError> {
        let settings = sqlx::query!(
            r#"SELECT name AS "name!", setting AS "setting!" FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"#
        )
        .fetch_all(&self.pool)
        .await?;
        match settings.iter().find(|found| matches!(found.setting.as_str(), "off" | "local")) {
            None => Ok(()),
            Some(found) => Err(StoreError::Schema(format!(
                "PostgreSQL runs with {} = {}: a crash could lose acknowledged records; set {} = on",
                found.name, found.setting, found.name
            ))),
        }
    }
}

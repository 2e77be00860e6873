//! What is kept by code, whatever its table.

use super::{Store, StoreError};
use crate::registry::{Entry, Fields};
use uuid::Uuid;

impl Store {
    /// What has that code, deleted or not.
    pub(crate) async fn entry<F: Fields>(&self, owner: Uuid, code: &str) -> Result<Option<Entry<F>>, StoreError> {
        let mut transaction = self.tenant(owner).await?;
        let entry = F::find(&mut transaction, owner, code).await?;
        transaction.commit().await?;
        Ok(entry)
    }

    /// Codes, sorted, of what is there or of what was deleted.
    pub(crate) async fn entry_codes<F: Fields>(&self, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(owner).await?;
        let codes = F::codes(&mut transaction, owner, deleted).await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// Texts of JSON as PostgreSQL spells them.
    pub(crate) async fn spelled(&self, texts: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.nobody().await?;
        let spelled = sqlx::query_scalar!(
            r#"SELECT json::jsonb::text AS "json!" FROM unnest($1::text[]) WITH ORDINALITY AS texts (json, place) ORDER BY place"#,
            &texts
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(spelled)
    }
}

//! Table `organizations`.

use super::{Store, StoreError};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

impl Store {
    /// Whether it is there.
    pub(crate) async fn organization_exists(&self, organization_id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM organizations WHERE id = $1) AS "exists!""#,
            organization_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(exists)
    }

    /// What is set for it, if it is there.
    pub(crate) async fn organization_settings(&self, organization_id: Uuid) -> Result<Option<Value>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let settings = sqlx::query_scalar!("SELECT settings FROM organizations WHERE id = $1", organization_id)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(settings)
    }

    /// Ids of all tenants that are active.
    pub(crate) async fn active_organizations(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.nobody().await?;
        let ids =
            sqlx::query_scalar!(r#"SELECT active_organizations() AS "id!""#).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ids)
    }
}

/// Adds one; a second with the same id or code is [`StoreError::Taken`].
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
    code: &str,
    settings: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO organizations (id, org_name, org_code, settings, status) VALUES ($1, $2, $3, $4, 'active')",
        id,
        name,
        code,
        settings
    )
    .execute(connection)
    .await?;
    Ok(())
}

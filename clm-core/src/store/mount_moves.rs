//! Table `mount_moves`.

use super::{Store, StoreError};
use crate::mount::MountMove;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

impl Store {
    /// A move by its id.
    pub(crate) async fn mount_move(&self, organization_id: Uuid, id: Uuid) -> Result<Option<MountMove>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query("SELECT from_path, to_path FROM mount_moves WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        row.map(|row| Ok(MountMove { from: row.try_get("from_path")?, to: row.try_get("to_path")? })).transpose()
    }
}

/// Adds one.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    organization_id: Uuid,
    moved: &MountMove,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO mount_moves (id, organization_id, from_path, to_path, moved_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(organization_id)
    .bind(&moved.from)
    .bind(&moved.to)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

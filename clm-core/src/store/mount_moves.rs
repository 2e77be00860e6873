//! Table `mount_moves`.

use super::{Store, StoreError};
use crate::mount::MountMove;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

impl Store {
    /// A move by its id.
    pub(crate) async fn mount_move(&self, organization_id: Uuid, id: Uuid) -> Result<Option<MountMove>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query!("SELECT from_path, to_path FROM mount_moves WHERE id = $1", id)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(row.map(|row| MountMove { from: row.from_path, to: row.to_path }))
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
    sqlx::query!(
        "INSERT INTO mount_moves (id, organization_id, from_path, to_path, moved_at) VALUES ($1, $2, $3, $4, $5)",
        id,
        organization_id,
        moved.from,
        moved.to,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

//! Table `secret_mounts`.

use crate::row_mac::RowBytes;
use crate::secret::SecretSettings;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "secret_mounts";

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct SecretMountRow {
    /// The mount's.
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) settings: SecretSettings,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
}

impl SecretMountRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .integer(self.settings.max_versions.into())
            .flag(self.settings.cas_required)
            .integer(self.settings.delete_version_after)
            .time(Some(self.created_at))
            .finish()
    }
}

pub(crate) async fn by_id(connection: &mut PgConnection, id: Uuid) -> Result<Option<SecretMountRow>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, organization_id, max_versions, cas_required, delete_version_after_seconds, revision, row_mac, created_at \
         FROM secret_mounts WHERE id = $1",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| SecretMountRow {
        id: row.id,
        organization_id: row.organization_id,
        settings: SecretSettings {
            max_versions: row.max_versions,
            cas_required: row.cas_required,
            delete_version_after: row.delete_version_after_seconds,
        },
        revision: row.revision,
        row_mac: row.row_mac,
        created_at: row.created_at,
    }))
}

/// Adds the row of revision 1, or writes over that of the revision before; `false`: somebody else was faster.
pub(crate) async fn put(connection: &mut PgConnection, row: &SecretMountRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO secret_mounts AS known (id, organization_id, max_versions, cas_required, delete_version_after_seconds, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET max_versions = $3, cas_required = $4, \
         delete_version_after_seconds = $5, revision = $6, row_mac = $7 WHERE known.revision = $6::bigint - 1",
        row.id,
        row.organization_id,
        row.settings.max_versions,
        row.settings.cas_required,
        row.settings.delete_version_after,
        row.revision,
        row.row_mac,
        row.created_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

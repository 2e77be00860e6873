//! Table `cubbyhole_keys`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "cubbyhole_keys";

/// A key as stored.
#[derive(Clone, Debug)]
pub(crate) struct CubbyholeKeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) key_version: i32,
    /// Wrapped by the organization key.
    pub(crate) blob: Vec<u8>,
    pub(crate) encryption_key_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

/// One of the organization that the transaction speaks for, by its id, or the newest.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    id: Option<Uuid>,
) -> Result<Option<CubbyholeKeyRow>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, organization_id, key_version, encrypted_key_material, encryption_key_id, revision, row_mac FROM cubbyhole_keys \
         WHERE $1::uuid IS NULL OR id = $1 ORDER BY key_version DESC LIMIT 1",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| CubbyholeKeyRow {
        id: row.id,
        organization_id: row.organization_id,
        key_version: row.key_version,
        blob: row.encrypted_key_material,
        encryption_key_id: row.encryption_key_id,
        revision: row.revision,
        row_mac: row.row_mac,
    }))
}

/// Adds one, unless the organization has that version.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    row: &CubbyholeKeyRow,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO cubbyhole_keys (id, organization_id, key_version, encrypted_key_material, encryption_key_id, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (organization_id, key_version) DO NOTHING",
        row.id,
        row.organization_id,
        row.key_version,
        row.blob,
        row.encryption_key_id,
        row.revision,
        row.row_mac,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

//! Table `key_usage`.

use crate::row_mac::RowBytes;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "key_usage";

/// What servers have taken of a version's encryptions.
#[derive(Clone, Debug)]
pub(crate) struct KeyUsageRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    /// The version.
    pub(crate) encryption_key_id: Uuid,
    pub(crate) reserved: i64,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

impl KeyUsageRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.encryption_key_id))
            .integer(self.reserved)
            .finish()
    }
}

/// Of a version; `None`: nothing was taken yet.
pub(crate) async fn of_version(
    connection: &mut PgConnection,
    encryption_key_id: Uuid,
) -> Result<Option<KeyUsageRow>, sqlx::Error> {
    sqlx::query_as!(
        KeyUsageRow,
        "SELECT id, organization_id, encryption_key_id, reserved, revision, row_mac FROM key_usage WHERE encryption_key_id = $1",
        encryption_key_id
    )
    .fetch_optional(connection)
    .await
}

/// Writes a row over the revision before; `false`: somebody else was faster.
pub(crate) async fn put(connection: &mut PgConnection, row: &KeyUsageRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO key_usage (id, organization_id, encryption_key_id, reserved, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (encryption_key_id) DO UPDATE SET reserved = excluded.reserved, revision = excluded.revision, row_mac = excluded.row_mac \
         WHERE key_usage.id = excluded.id AND key_usage.revision = excluded.revision - 1",
        row.id,
        row.organization_id,
        row.encryption_key_id,
        row.reserved,
        row.revision,
        row.row_mac
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

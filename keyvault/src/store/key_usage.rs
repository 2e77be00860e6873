//! Table `key_usage`.

use crate::row_mac::RowBytes;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "key_usage";

/// In which table a version is a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionKind {
    /// `cubbyhole_keys`.
    CubbyholeKey,
    /// `private_keys`.
    Pair,
    /// `encryption_keys`.
    SecretKey,
}

/// What servers have taken of a version's encryptions.
#[derive(Clone, Debug)]
pub(crate) struct KeyUsageRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    /// The version.
    pub(crate) version_id: Uuid,
    pub(crate) kind: VersionKind,
    pub(crate) reserved: i64,
    pub(crate) reserved_bytes: i64,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

impl KeyUsageRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.version_id))
            .integer(self.reserved)
            .later("private_key_id", (self.kind == VersionKind::Pair).then_some(true), RowBytes::flag)
            .later("reserved_bytes", Some(self.reserved_bytes).filter(|bytes| *bytes > 0), RowBytes::integer)
            .later("cubbyhole_key_id", (self.kind == VersionKind::CubbyholeKey).then_some(true), RowBytes::flag)
            .finish()
    }
}

/// Of a version; `None`: nothing was taken yet.
pub(crate) async fn of_version(
    connection: &mut PgConnection,
    version_id: Uuid,
) -> Result<Option<KeyUsageRow>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT id, organization_id, coalesce(encryption_key_id, private_key_id, cubbyhole_key_id) AS "version_id!",
           private_key_id IS NOT NULL AS "of_pair!", cubbyhole_key_id IS NOT NULL AS "of_cubbyhole!", reserved, reserved_bytes, revision, row_mac
           FROM key_usage WHERE encryption_key_id = $1 OR private_key_id = $1 OR cubbyhole_key_id = $1"#,
        version_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| KeyUsageRow {
        id: row.id,
        organization_id: row.organization_id,
        version_id: row.version_id,
        kind: match (row.of_pair, row.of_cubbyhole) {
            (true, _) => VersionKind::Pair,
            (_, true) => VersionKind::CubbyholeKey,
            _ => VersionKind::SecretKey,
        },
        reserved: row.reserved,
        reserved_bytes: row.reserved_bytes,
        revision: row.revision,
        row_mac: row.row_mac,
    }))
}

/// Writes a row over the revision before; `false`: somebody else was faster.
pub(crate) async fn put(connection: &mut PgConnection, row: &KeyUsageRow) -> Result<bool, sqlx::Error> {
    let of = |kind| (row.kind == kind).then_some(row.version_id);
    let done = sqlx::query!(
        "INSERT INTO key_usage (id, organization_id, encryption_key_id, private_key_id, cubbyhole_key_id, reserved, reserved_bytes, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (id) DO UPDATE SET reserved = excluded.reserved, reserved_bytes = excluded.reserved_bytes, revision = excluded.revision, \
         row_mac = excluded.row_mac WHERE key_usage.revision = excluded.revision - 1",
        row.id,
        row.organization_id,
        of(VersionKind::SecretKey),
        of(VersionKind::Pair),
        of(VersionKind::CubbyholeKey),
        row.reserved,
        row.reserved_bytes,
        row.revision,
        row.row_mac
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

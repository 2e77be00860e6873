//! Named keys.

use crate::key::{Key, KeyName, KeySettings};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedKeyRow {
    pub(crate) id: Uuid,
    pub(crate) key_type: String,
    pub(crate) settings: KeySettings,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

pub(crate) async fn by_name(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    name: &KeyName,
) -> Result<Option<NamedKeyRow>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, key_type, latest_version, min_decryption_version, min_encryption_version, min_available_version, deletion_allowed, exportable, \
         allow_plaintext_backup, auto_rotate_seconds, revision, row_mac FROM named_keys \
         WHERE organization_id = $1 AND mount_id = $2 AND name = $3 AND deleted_at IS NULL",
    )
    .bind(organization_id)
    .bind(mount_id)
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn names(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT name FROM named_keys WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL ORDER BY name COLLATE \"C\"")
        .bind(organization_id)
        .bind(mount_id)
        .fetch_all(connection)
        .await
}

/// `false`: the name is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    key: &Key,
    row_mac: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO named_keys (id, organization_id, mount_id, name, key_type, latest_version, min_decryption_version, min_encryption_version, \
         min_available_version, deletion_allowed, exportable, allow_plaintext_backup, auto_rotate_seconds, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (organization_id, mount_id, name) WHERE deleted_at IS NULL DO NOTHING",
    )
    .bind(key.id)
    .bind(key.organization_id)
    .bind(key.mount_id)
    .bind(key.name.as_str())
    .bind(key.algorithm.name())
    .bind(integer(key.settings.latest_version))
    .bind(integer(key.settings.min_decryption_version))
    .bind(integer(key.settings.min_encryption_version))
    .bind(integer(key.settings.min_available_version))
    .bind(key.settings.deletion_allowed)
    .bind(key.settings.exportable)
    .bind(key.settings.allow_plaintext_backup)
    .bind(i64::try_from(key.settings.auto_rotate_seconds).unwrap_or(i64::MAX))
    .bind(key.revision)
    .bind(row_mac)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes settings and revision of `key` over the revision before; `false`: somebody else was faster.
pub(crate) async fn update(
    connection: &mut PgConnection,
    key: &Key,
    row_mac: &[u8],
    deleted_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE named_keys SET latest_version = $1, min_decryption_version = $2, min_encryption_version = $3, min_available_version = $4, \
         deletion_allowed = $5, exportable = $6, allow_plaintext_backup = $7, auto_rotate_seconds = $8, revision = $9, row_mac = $10, deleted_at = $11 \
         WHERE id = $12 AND revision = $9 - 1 AND deleted_at IS NULL",
    )
    .bind(integer(key.settings.latest_version))
    .bind(integer(key.settings.min_decryption_version))
    .bind(integer(key.settings.min_encryption_version))
    .bind(integer(key.settings.min_available_version))
    .bind(key.settings.deletion_allowed)
    .bind(key.settings.exportable)
    .bind(key.settings.allow_plaintext_backup)
    .bind(i64::try_from(key.settings.auto_rotate_seconds).unwrap_or(i64::MAX))
    .bind(key.revision)
    .bind(row_mac)
    .bind(deleted_at)
    .bind(key.id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn read(row: &PgRow) -> Result<NamedKeyRow, sqlx::Error> {
    let version =
        |column: &str| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(column)?).unwrap_or_default());
    Ok(NamedKeyRow {
        id: row.try_get("id")?,
        key_type: row.try_get("key_type")?,
        settings: KeySettings {
            latest_version: version("latest_version")?,
            min_decryption_version: version("min_decryption_version")?,
            min_encryption_version: version("min_encryption_version")?,
            min_available_version: version("min_available_version")?,
            deletion_allowed: row.try_get("deletion_allowed")?,
            exportable: row.try_get("exportable")?,
            allow_plaintext_backup: row.try_get("allow_plaintext_backup")?,
            auto_rotate_seconds: u64::try_from(row.try_get::<i64, _>("auto_rotate_seconds")?).unwrap_or_default(),
        },
        revision: row.try_get("revision")?,
        row_mac: row.try_get("row_mac")?,
    })
}

fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

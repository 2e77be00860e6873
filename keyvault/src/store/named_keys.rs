//! Named keys.

use crate::key::{Copied, Derivation, Key, KeyAlgorithm, KeyLimits, KeyName, KeySettings, KeyState};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedKeyRow {
    pub(crate) id: Uuid,
    /// `None`: a type that this program does not know.
    pub(crate) algorithm: Option<KeyAlgorithm>,
    /// `None`: a function that this program does not know.
    pub(crate) derivation: Option<Derivation>,
    pub(crate) settings: KeySettings,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
}

/// The columns of [`NamedKeyRow`], of the one row that the condition names.
macro_rules! stored {
    ($connection:expr, $condition:literal, $($argument:expr),+) => {
        sqlx::query!(
            "SELECT id, key_type, key_size, kdf, convergent_encryption, latest_version, min_decryption_version, min_encryption_version, min_available_version, \
             deletion_allowed, exportable, allow_plaintext_backup, auto_rotate_seconds, revision, row_mac, imported_key, imported_key_allow_rotation, \
             key_state, state_changes, soft_deleted, destroy_at, activated_at, originator_usage_seconds, recipient_usage_seconds, max_uses, max_bytes, \
             backed_up_at, backup_version, restored_at, restored_version FROM named_keys " + $condition,
            $($argument),+
        )
        .fetch_optional($connection)
        .await
        .map(|row| row.map(|row| NamedKeyRow {
                id: row.id,
                algorithm: KeyAlgorithm::parse(
                    &row.key_type,
                    row.key_size.map(|bytes| u16::try_from(bytes).unwrap_or_default()),
                ),
                derivation: Derivation::parse(row.kdf.as_deref(), row.convergent_encryption),
                settings: KeySettings {
                    latest_version: version(row.latest_version),
                    min_decryption_version: version(row.min_decryption_version),
                    min_encryption_version: version(row.min_encryption_version),
                    min_available_version: version(row.min_available_version),
                    deletion_allowed: row.deletion_allowed,
                    exportable: row.exportable,
                    allow_plaintext_backup: row.allow_plaintext_backup,
                    auto_rotate_seconds: unsigned(row.auto_rotate_seconds),
                    imported: row.imported_key,
                    imported_may_rotate: row.imported_key_allow_rotation,
                    // The column's check knows no other words, and the MAC no other rows.
                    state: KeyState::parse(&row.key_state).unwrap_or(KeyState::Suspended),
                    state_changes: version(row.state_changes),
                    soft_deleted: row.soft_deleted,
                    destroy_at: row.destroy_at,
                    activated_at: row.activated_at,
                    limits: KeyLimits {
                        originator_usage_seconds: unsigned(row.originator_usage_seconds),
                        recipient_usage_seconds: unsigned(row.recipient_usage_seconds),
                        max_uses: unsigned(row.max_uses),
                        max_bytes: unsigned(row.max_bytes),
                    },
                    backup: copied(row.backed_up_at, row.backup_version),
                    restoration: copied(row.restored_at, row.restored_version),
                },
                revision: row.revision,
                row_mac: row.row_mac,
            }))
    };
}

pub(crate) async fn by_name(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    name: &KeyName,
) -> Result<Option<NamedKeyRow>, sqlx::Error> {
    stored!(
        connection,
        "WHERE organization_id = $1 AND mount_id = $2 AND name = $3 AND deleted_at IS NULL",
        organization_id,
        mount_id,
        name.as_str()
    )
}

/// The last that had the name and was deleted.
pub(crate) async fn last_deleted(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    name: &KeyName,
) -> Result<Option<NamedKeyRow>, sqlx::Error> {
    stored!(
        connection,
        "WHERE organization_id = $1 AND mount_id = $2 AND name = $3 AND deleted_at IS NOT NULL ORDER BY deleted_at DESC LIMIT 1",
        organization_id,
        mount_id,
        name.as_str()
    )
}

pub(crate) async fn names(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT name FROM named_keys WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL ORDER BY name COLLATE "C""#,
        organization_id,
        mount_id
    )
    .fetch_all(connection)
    .await
}

/// Names of a mount's keys after one, sorted, at most `limit`.
pub(crate) async fn names_after(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT name FROM named_keys WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL AND name COLLATE "C" > $3 ORDER BY name COLLATE "C" LIMIT $4"#,
        organization_id,
        mount_id,
        after,
        limit
    )
    .fetch_all(connection)
    .await
}

/// A key whose newest version is old enough to be followed by another.
#[derive(Clone, Debug)]
pub(crate) struct DueKey {
    pub(crate) id: Uuid,
    pub(crate) mount_id: Uuid,
    pub(crate) name: String,
    pub(crate) latest_version: u32,
}

/// Those of an organization after an id, by id. Nothing of them is believed: rotating reads and checks the rows.
pub(crate) async fn due_for_rotation(
    connection: &mut PgConnection,
    organization_id: Uuid,
    now: DateTime<Utc>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<DueKey>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT n.id, n.mount_id, n.name, n.latest_version FROM named_keys n \
         LEFT JOIN private_keys p ON p.named_key_id = n.id AND p.version = n.latest_version \
         LEFT JOIN encryption_keys e ON e.named_key_id = n.id AND e.key_version = n.latest_version \
         WHERE n.organization_id = $1 AND n.auto_rotate_seconds > 0 AND n.deleted_at IS NULL AND n.id > $3 \
         AND (NOT n.imported_key OR n.imported_key_allow_rotation) AND n.key_state = 'active' AND NOT n.soft_deleted AND n.destroy_at IS NULL \
         AND coalesce(p.created_at, e.created_at) + make_interval(secs => n.auto_rotate_seconds) <= $2 ORDER BY n.id LIMIT $4",
        organization_id,
        now,
        after,
        limit
    )
    .fetch_all(connection)
    .await?;
    let due = rows.into_iter().map(|row| DueKey {
        id: row.id,
        mount_id: row.mount_id,
        name: row.name,
        latest_version: version(row.latest_version),
    });
    Ok(due.collect())
}

/// Keys of an organization whose waiting period is over, after an id, by id. Nothing of them is believed: destroying reads and checks the rows.
pub(crate) async fn due_for_destruction(
    connection: &mut PgConnection,
    organization_id: Uuid,
    now: DateTime<Utc>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<DueKey>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT id, mount_id, name, latest_version FROM named_keys \
         WHERE organization_id = $1 AND destroy_at <= $2 AND objects_removed_at IS NULL AND deleted_at IS NULL AND id > $3 ORDER BY id LIMIT $4",
        organization_id,
        now,
        after,
        limit
    )
    .fetch_all(connection)
    .await?;
    let due = rows.into_iter().map(|row| DueKey {
        id: row.id,
        mount_id: row.mount_id,
        name: row.name,
        latest_version: version(row.latest_version),
    });
    Ok(due.collect())
}

/// Keys that were destroyed with a destruction scheduled, and whose objects on the token may still be there.
pub(crate) async fn with_objects_to_remove(
    connection: &mut PgConnection,
    organization_id: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM named_keys WHERE organization_id = $1 AND destroy_at IS NOT NULL AND objects_removed_at IS NULL AND deleted_at IS NOT NULL \
         ORDER BY id LIMIT $2",
        organization_id,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Says that the token is rid of what these keys had there.
pub(crate) async fn objects_are_removed(
    connection: &mut PgConnection,
    keys: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE named_keys SET objects_removed_at = $2 WHERE id = ANY($1) AND deleted_at IS NOT NULL",
        keys,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Mounts that have keys, and how many.
pub(crate) async fn mounts(
    connection: &mut PgConnection,
    organization_id: Uuid,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT mount_id, count(*) AS "keys!" FROM named_keys WHERE organization_id = $1 AND deleted_at IS NULL GROUP BY mount_id ORDER BY mount_id"#,
        organization_id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mount_id, row.keys)).collect())
}

/// Whether there are more than `most`, for whoever has just inserted one: those of others come after this transaction, or are seen.
pub(crate) async fn count_beyond(
    connection: &mut PgConnection,
    organization_id: Uuid,
    most: u32,
) -> Result<bool, sqlx::Error> {
    // One lock for all organizations: a transaction of the log's writer makes keys of several, and with a lock each two writers could wait
    // for each other.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('quota of keys', 0))")
        .execute(&mut *connection)
        .await?;
    let counted = sqlx::query_scalar!(
        r#"SELECT count(*) AS "keys!" FROM (SELECT FROM named_keys WHERE organization_id = $1 AND deleted_at IS NULL LIMIT $2::bigint + 1) counted"#,
        organization_id,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    Ok(counted > i64::from(most))
}

/// `false`: the name is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    key: &Key,
    row_mac: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    insert_all(connection, &[(key, row_mac)], now).await
}

/// Adds new keys that were asked for alike: they differ in id, name and MAC. `false`: a name is taken.
pub(crate) async fn insert_all(
    connection: &mut PgConnection,
    keys: &[(&Key, &[u8])],
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let Some((first, _)) = keys.first() else { return Ok(true) };
    let ids: Vec<Uuid> = keys.iter().map(|(key, _)| key.id).collect();
    let names: Vec<String> = keys.iter().map(|(key, _)| key.name.to_string()).collect();
    let macs: Vec<Vec<u8>> = keys.iter().map(|(_, mac)| mac.to_vec()).collect();
    let done = sqlx::query!(
        "INSERT INTO named_keys (id, organization_id, mount_id, name, key_type, latest_version, min_decryption_version, min_encryption_version, \
         min_available_version, deletion_allowed, exportable, allow_plaintext_backup, auto_rotate_seconds, revision, row_mac, created_at, key_size, kdf, \
         convergent_encryption, imported_key, imported_key_allow_rotation, key_state, activated_at, originator_usage_seconds, \
         recipient_usage_seconds, max_uses, max_bytes, backed_up_at, backup_version, restored_at, restored_version, soft_deleted, destroy_at) \
         SELECT n.id, $4, $5, n.name, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, n.row_mac, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, \
         $27, $28, $29, $30, $31, $32, $33 \
         FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS n(id, name, row_mac) \
         ON CONFLICT (organization_id, mount_id, name) WHERE deleted_at IS NULL DO NOTHING",
        &ids,
        &names,
        &macs,
        first.organization_id,
        first.mount_id,
        first.algorithm.name(),
        integer(first.settings.latest_version),
        integer(first.settings.min_decryption_version),
        integer(first.settings.min_encryption_version),
        integer(first.settings.min_available_version),
        first.settings.deletion_allowed,
        first.settings.exportable,
        first.settings.allow_plaintext_backup,
        signed(first.settings.auto_rotate_seconds),
        first.revision,
        now,
        first.algorithm.key_size().map(i32::from),
        first.derivation.kdf(),
        first.derivation.is_convergent(),
        first.settings.imported,
        first.settings.imported_may_rotate,
        first.settings.state.word(),
        first.settings.activated_at,
        signed(first.settings.limits.originator_usage_seconds),
        signed(first.settings.limits.recipient_usage_seconds),
        signed(first.settings.limits.max_uses),
        signed(first.settings.limits.max_bytes),
        first.settings.backup.map(|backup| backup.at),
        first.settings.backup.map(|backup| integer(backup.version)),
        first.settings.restoration.map(|restoration| restoration.at),
        first.settings.restoration.map(|restoration| integer(restoration.version)),
        first.settings.soft_deleted,
        first.settings.destroy_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == keys.len() as u64)
}

/// Writes settings and revision of `key` over the revision before; `false`: somebody else was faster.
pub(crate) async fn update(
    connection: &mut PgConnection,
    key: &Key,
    row_mac: &[u8],
    deleted_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE named_keys SET latest_version = $1, min_decryption_version = $2, min_encryption_version = $3, min_available_version = $4, \
         deletion_allowed = $5, exportable = $6, allow_plaintext_backup = $7, auto_rotate_seconds = $8, revision = $9, row_mac = $10, deleted_at = $11, \
         imported_key = $13, key_state = $14, state_changes = $15, soft_deleted = $16, destroy_at = $17, activated_at = $18, \
         originator_usage_seconds = $19, recipient_usage_seconds = $20, max_uses = $21, max_bytes = $22, backed_up_at = $23, backup_version = $24 \
         WHERE id = $12 AND revision = $9::bigint - 1 AND deleted_at IS NULL",
        integer(key.settings.latest_version),
        integer(key.settings.min_decryption_version),
        integer(key.settings.min_encryption_version),
        integer(key.settings.min_available_version),
        key.settings.deletion_allowed,
        key.settings.exportable,
        key.settings.allow_plaintext_backup,
        signed(key.settings.auto_rotate_seconds),
        key.revision,
        row_mac,
        deleted_at,
        key.id,
        key.settings.imported,
        key.settings.state.word(),
        integer(key.settings.state_changes),
        key.settings.soft_deleted,
        key.settings.destroy_at,
        key.settings.activated_at,
        signed(key.settings.limits.originator_usage_seconds),
        signed(key.settings.limits.recipient_usage_seconds),
        signed(key.settings.limits.max_uses),
        signed(key.settings.limits.max_bytes),
        key.settings.backup.map(|backup| backup.at),
        key.settings.backup.map(|backup| integer(backup.version))
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn version(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn copied(at: Option<DateTime<Utc>>, newest: Option<i32>) -> Option<Copied> {
    Some(Copied { at: at?, version: version(newest?) })
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

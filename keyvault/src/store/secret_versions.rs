//! Table `secret_versions`.

use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "secret_versions";

/// A row as it is stored, without its ciphertext; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct SecretVersionRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) secret_id: Uuid,
    pub(crate) version: i32,
    /// SHA-256 of the ciphertext; none when it was destroyed.
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) value_hmac: Option<Vec<u8>>,
    pub(crate) encryption_key_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_by_user_id: Option<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    pub(crate) destroyed_at: Option<DateTime<Utc>>,
}

impl SecretVersionRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.secret_id))
            .integer(self.version.into())
            .bytes(self.digest.as_deref())
            .bytes(self.value_hmac.as_deref())
            .id(Some(self.encryption_key_id))
            .id(self.created_by_user_id)
            .time(Some(self.created_at))
            .time(self.deleted_at)
            .time(self.destroyed_at)
            .finish()
    }

    /// Without its ciphertext.
    pub(crate) fn destroy(&mut self, now: DateTime<Utc>) {
        self.digest = None;
        self.value_hmac = None;
        self.destroyed_at = Some(now);
    }
}

/// Those of one secret that are not below `oldest`, by version; `only`: of these alone.
pub(crate) async fn of_secret(
    connection: &mut PgConnection,
    secret_id: Uuid,
    oldest: i32,
    only: Option<&[i32]>,
) -> Result<Vec<SecretVersionRow>, sqlx::Error> {
    sqlx::query_as!(
        SecretVersionRow,
        "SELECT id, organization_id, secret_id, version, sha256(encrypted_data) AS digest, value_hmac, encryption_key_id, revision, row_mac, \
         created_by_user_id, created_at, deleted_at, destroyed_at FROM secret_versions \
         WHERE secret_id = $1 AND version >= $2 AND ($3::integer[] IS NULL OR version = ANY($3)) ORDER BY version",
        secret_id,
        oldest,
        only
    )
    .fetch_all(connection)
    .await
}

/// Those of some secrets whose ciphertext is there.
pub(crate) async fn readable(
    connection: &mut PgConnection,
    secrets: &[Uuid],
) -> Result<Vec<SecretVersionRow>, sqlx::Error> {
    sqlx::query_as!(
        SecretVersionRow,
        "SELECT id, organization_id, secret_id, version, sha256(encrypted_data) AS digest, value_hmac, encryption_key_id, revision, row_mac, \
         created_by_user_id, created_at, deleted_at, destroyed_at FROM secret_versions \
         WHERE secret_id = ANY($1) AND destroyed_at IS NULL ORDER BY secret_id, version",
        secrets
    )
    .fetch_all(connection)
    .await
}

/// A version that is not under its organization's newest data key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outdated {
    pub(crate) id: Uuid,
    pub(crate) secret_id: Uuid,
    pub(crate) version: i32,
}

/// Those whose ciphertext is under an older data key, in the order of their ids.
pub(crate) async fn under_older_keys(
    connection: &mut PgConnection,
    organization_id: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Outdated>, sqlx::Error> {
    sqlx::query_as!(
        Outdated,
        "SELECT id, secret_id, version FROM secret_versions WHERE destroyed_at IS NULL AND id > $2 AND encryption_key_id IN \
         (SELECT k.id FROM encryption_keys k WHERE k.organization_id = $1 AND k.key_type = 'data' AND k.named_key_id IS NULL AND k.key_version < \
         (SELECT max(n.key_version) FROM encryption_keys n WHERE n.organization_id = $1 AND n.key_type = 'data' AND n.named_key_id IS NULL)) \
         ORDER BY id LIMIT $3",
        organization_id,
        after,
        limit
    )
    .fetch_all(connection)
    .await
}

/// How many are under a data key, destroyed ones too.
pub(crate) async fn encrypted_under(connection: &mut PgConnection, key_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM secret_versions WHERE encryption_key_id = $1"#, key_id)
        .fetch_one(connection)
        .await
}

/// Writes the same value under another key over the revision before; `false`: somebody else was faster.
pub(crate) async fn re_encrypt(
    connection: &mut PgConnection,
    row: &SecretVersionRow,
    ciphertext: &[u8],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE secret_versions SET encrypted_data = $1, encryption_key_id = $2, revision = $3, row_mac = $4 WHERE id = $5 AND revision = $3::bigint - 1",
        ciphertext,
        row.encryption_key_id,
        row.revision,
        row.row_mac,
        row.id
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// IV, ciphertext and tag of one.
pub(crate) async fn ciphertext(connection: &mut PgConnection, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("SELECT encrypted_data FROM secret_versions WHERE id = $1", id).fetch_one(connection).await
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    row: &SecretVersionRow,
    ciphertext: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO secret_versions (id, organization_id, secret_id, version, encrypted_data, value_hmac, encryption_key_id, revision, row_mac, \
         created_by_user_id, created_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        row.id,
        row.organization_id,
        row.secret_id,
        row.version,
        ciphertext,
        row.value_hmac.as_deref(),
        row.encryption_key_id,
        row.revision,
        row.row_mac,
        row.created_by_user_id,
        row.created_at,
        row.deleted_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds first versions.
pub(crate) async fn insert_all(
    connection: &mut PgConnection,
    rows: &[SecretVersionRow],
    ciphertexts: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let Some(first) = rows.first() else { return Ok(()) };
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let secrets: Vec<Uuid> = rows.iter().map(|row| row.secret_id).collect();
    let hmacs: Vec<Vec<u8>> = rows.iter().filter_map(|row| row.value_hmac.clone()).collect();
    let macs: Vec<Vec<u8>> = rows.iter().map(|row| row.row_mac.clone()).collect();
    sqlx::query!(
        "INSERT INTO secret_versions (id, organization_id, secret_id, version, encrypted_data, value_hmac, encryption_key_id, revision, row_mac, \
         created_by_user_id, created_at) SELECT n.id, $6, n.secret_id, 1, n.encrypted_data, n.value_hmac, $7, 1, n.row_mac, $8, $9 \
         FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[]) AS n(id, secret_id, encrypted_data, value_hmac, row_mac)",
        &ids,
        &secrets,
        ciphertexts,
        &hmacs,
        &macs,
        first.organization_id,
        first.encryption_key_id,
        first.created_by_user_id,
        first.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes another value over the revision before; `false`: somebody else was faster.
pub(crate) async fn replace(
    connection: &mut PgConnection,
    row: &SecretVersionRow,
    ciphertext: &[u8],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE secret_versions SET encrypted_data = $1, value_hmac = $2, encryption_key_id = $3, revision = $4, row_mac = $5, created_by_user_id = $6, \
         created_at = $7, deleted_at = NULL, destroyed_at = NULL WHERE id = $8 AND revision = $4::bigint - 1",
        ciphertext,
        row.value_hmac.as_deref(),
        row.encryption_key_id,
        row.revision,
        row.row_mac,
        row.created_by_user_id,
        row.created_at,
        row.id
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the states of versions over the revisions before; those destroyed lose their ciphertext. `false`: somebody else was faster.
pub(crate) async fn update_states(
    connection: &mut PgConnection,
    rows: &[SecretVersionRow],
) -> Result<bool, sqlx::Error> {
    if rows.is_empty() {
        return Ok(true);
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let revisions: Vec<i64> = rows.iter().map(|row| row.revision).collect();
    let macs: Vec<Vec<u8>> = rows.iter().map(|row| row.row_mac.clone()).collect();
    let deleted: Vec<Option<DateTime<Utc>>> = rows.iter().map(|row| row.deleted_at).collect();
    let destroyed: Vec<Option<DateTime<Utc>>> = rows.iter().map(|row| row.destroyed_at).collect();
    let done = sqlx::query!(
        "UPDATE secret_versions v SET revision = n.revision, row_mac = n.row_mac, deleted_at = n.deleted_at, destroyed_at = n.destroyed_at, \
         encrypted_data = CASE WHEN n.destroyed_at IS NULL THEN v.encrypted_data END, value_hmac = CASE WHEN n.destroyed_at IS NULL THEN v.value_hmac END \
         FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5::timestamptz[]) AS n(id, revision, row_mac, deleted_at, destroyed_at) \
         WHERE v.id = n.id AND v.revision = n.revision - 1",
        &ids,
        &revisions,
        &macs,
        &deleted as &[Option<DateTime<Utc>>],
        &destroyed as &[Option<DateTime<Utc>>]
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

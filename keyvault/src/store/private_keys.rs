//! Versions of asymmetric keys.

use crate::key::KeyAlgorithm;
use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) named_key_id: Uuid,
    pub(crate) version: i32,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) storage: String,
    pub(crate) blob: Option<Vec<u8>>,
    pub(crate) encryption_key_id: Option<Uuid>,
    pub(crate) is_exportable: bool,
    pub(crate) hsm_key_id: Option<Uuid>,
    pub(crate) hsm_token_id: Option<Uuid>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) key_state: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
}

impl PrivateKeyRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new("private_keys")
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.named_key_id))
            .integer(self.version.into())
            .text(self.algorithm.name())
            .text(&self.storage)
            .bytes(self.blob.as_deref())
            .id(self.encryption_key_id)
            .flag(self.is_exportable)
            .id(self.hsm_key_id)
            .id(self.hsm_token_id)
            .bytes(Some(&self.public_key))
            .text(&self.key_state)
            .finish()
    }
}

pub(crate) async fn of_key(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    algorithm: KeyAlgorithm,
) -> Result<Vec<PrivateKeyRow>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, organization_id, named_key_id, version, storage, encrypted_key_material, encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, \
         public_key, key_state, revision, row_mac, created_at FROM private_keys WHERE named_key_id = $1 ORDER BY version",
    )
    .bind(named_key_id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| read(row, algorithm)).collect()
}

pub(crate) async fn insert(connection: &mut PgConnection, key: &PrivateKeyRow) -> Result<(), sqlx::Error> {
    let (family, size, curve) = key.algorithm.columns();
    sqlx::query(
        "INSERT INTO private_keys (id, organization_id, named_key_id, version, key_algorithm, key_size, curve_name, storage, encrypted_key_material, \
         encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, public_key, key_state, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(key.id)
    .bind(key.organization_id)
    .bind(key.named_key_id)
    .bind(key.version)
    .bind(family)
    .bind(size)
    .bind(curve)
    .bind(&key.storage)
    .bind(&key.blob)
    .bind(key.encryption_key_id)
    .bind(key.is_exportable)
    .bind(key.hsm_key_id)
    .bind(key.hsm_token_id)
    .bind(&key.public_key)
    .bind(&key.key_state)
    .bind(key.revision)
    .bind(&key.row_mac)
    .bind(key.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes state, material and revision over the revision before.
pub(crate) async fn update(connection: &mut PgConnection, key: &PrivateKeyRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE private_keys SET encrypted_key_material = $1, key_state = $2, revision = $3, row_mac = $4 WHERE id = $5 AND revision = $3 - 1",
    )
    .bind(&key.blob)
    .bind(&key.key_state)
    .bind(key.revision)
    .bind(&key.row_mac)
    .bind(key.id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn read(row: &PgRow, algorithm: KeyAlgorithm) -> Result<PrivateKeyRow, sqlx::Error> {
    Ok(PrivateKeyRow {
        id: row.try_get("id")?,
        organization_id: row.try_get("organization_id")?,
        named_key_id: row.try_get("named_key_id")?,
        version: row.try_get("version")?,
        algorithm,
        storage: row.try_get("storage")?,
        blob: row.try_get("encrypted_key_material")?,
        encryption_key_id: row.try_get("encryption_key_id")?,
        is_exportable: row.try_get("is_exportable")?,
        hsm_key_id: row.try_get("hsm_key_id")?,
        hsm_token_id: row.try_get("hsm_token_id")?,
        public_key: row.try_get("public_key")?,
        key_state: row.try_get("key_state")?,
        revision: row.try_get("revision")?,
        row_mac: row.try_get("row_mac")?,
        created_at: row.try_get("created_at")?,
    })
}

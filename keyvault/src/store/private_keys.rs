//! Versions of asymmetric keys.

use crate::key::KeyAlgorithm;
use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
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
    let rows = sqlx::query!(
        "SELECT id, organization_id, named_key_id, version, storage, encrypted_key_material, encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, \
         public_key, key_state, revision, row_mac, created_at FROM private_keys WHERE named_key_id = $1 ORDER BY version",
        named_key_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| PrivateKeyRow {
        id: row.id,
        organization_id: row.organization_id,
        named_key_id: row.named_key_id,
        version: row.version,
        algorithm,
        storage: row.storage,
        blob: row.encrypted_key_material,
        encryption_key_id: row.encryption_key_id,
        is_exportable: row.is_exportable,
        hsm_key_id: row.hsm_key_id,
        hsm_token_id: row.hsm_token_id,
        public_key: row.public_key,
        key_state: row.key_state,
        revision: row.revision,
        row_mac: row.row_mac,
        created_at: row.created_at,
    });
    Ok(read.collect())
}

/// Versions of an organization's keys that are objects on a token, or were; of deleted keys too.
pub(crate) async fn on_token(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
) -> Result<Vec<PrivateKeyRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT n.key_type, p.id, p.organization_id, p.named_key_id, p.version, p.storage, p.encrypted_key_material, p.encryption_key_id, \
         p.is_exportable, p.hsm_key_id, p.hsm_token_id, p.public_key, p.key_state, p.revision, p.row_mac, p.created_at \
         FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id WHERE p.organization_id = $1 AND p.hsm_token_id = $2 ORDER BY p.id",
        organization_id,
        token_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().filter_map(|row| {
        // An unknown type was written behind the service's back; its object is then one that no row names.
        Some(PrivateKeyRow {
            id: row.id,
            organization_id: row.organization_id,
            named_key_id: row.named_key_id,
            version: row.version,
            algorithm: KeyAlgorithm::parse(&row.key_type)?,
            storage: row.storage,
            blob: row.encrypted_key_material,
            encryption_key_id: row.encryption_key_id,
            is_exportable: row.is_exportable,
            hsm_key_id: row.hsm_key_id,
            hsm_token_id: row.hsm_token_id,
            public_key: row.public_key,
            key_state: row.key_state,
            revision: row.revision,
            row_mac: row.row_mac,
            created_at: row.created_at,
        })
    });
    Ok(read.collect())
}

pub(crate) async fn insert(connection: &mut PgConnection, key: &PrivateKeyRow) -> Result<(), sqlx::Error> {
    let (family, size, curve) = key.algorithm.columns();
    sqlx::query!(
        "INSERT INTO private_keys (id, organization_id, named_key_id, version, key_algorithm, key_size, curve_name, storage, encrypted_key_material, \
         encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, public_key, key_state, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        key.id,
        key.organization_id,
        key.named_key_id,
        key.version,
        family,
        size,
        curve,
        key.storage,
        key.blob.as_deref(),
        key.encryption_key_id,
        key.is_exportable,
        key.hsm_key_id,
        key.hsm_token_id,
        key.public_key,
        key.key_state,
        key.revision,
        key.row_mac,
        key.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes state, material and revision over the revision before.
pub(crate) async fn update(connection: &mut PgConnection, key: &PrivateKeyRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE private_keys SET encrypted_key_material = $1, key_state = $2, revision = $3, row_mac = $4 WHERE id = $5 AND revision = $3::bigint - 1",
        key.blob.as_deref(),
        key.key_state,
        key.revision,
        key.row_mac,
        key.id
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

//! Versions of asymmetric keys.

use super::key_versions::KeyVersionRow;
use crate::key::KeyAlgorithm;
use sqlx::PgConnection;
use uuid::Uuid;

/// A version and the key that it is of.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKeyRow {
    pub(crate) version: KeyVersionRow,
    pub(crate) name: String,
    pub(crate) mount_id: Uuid,
    pub(crate) latest_version: i32,
}

/// By its id, deleted or not; of keys that are there.
pub(crate) async fn by_id(
    connection: &mut PgConnection,
    organization_id: Uuid,
    id: Uuid,
) -> Result<Option<PrivateKeyRow>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT n.key_type, n.name, n.mount_id, n.latest_version, p.named_key_id FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id \
         WHERE p.organization_id = $1 AND p.id = $2 AND n.deleted_at IS NULL",
        organization_id,
        id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(algorithm) = KeyAlgorithm::parse(&row.key_type, None) else { return Ok(None) };
    let versions = versions(connection, row.named_key_id, algorithm).await?;
    Ok(versions.into_iter().find(|version| version.id == id).map(|version| PrivateKeyRow {
        version,
        name: row.name,
        mount_id: row.mount_id,
        latest_version: row.latest_version,
    }))
}

/// Ids of versions of keys that are there, sorted.
pub(crate) async fn ids(
    connection: &mut PgConnection,
    organization_id: Uuid,
    deleted: bool,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT p.id FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id \
         WHERE p.organization_id = $1 AND (p.deleted_at IS NOT NULL) = $2 AND n.deleted_at IS NULL ORDER BY p.id",
        organization_id,
        deleted
    )
    .fetch_all(connection)
    .await
}

/// Writes whether it is deleted over the revision before; `false`: somebody else was faster.
pub(crate) async fn mark(connection: &mut PgConnection, row: &KeyVersionRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE private_keys SET deleted_at = $2, revision = $3, row_mac = $4 WHERE id = $1 AND revision = $3::bigint - 1",
        row.id,
        row.deleted_at,
        row.revision,
        row.row_mac
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn versions(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    algorithm: KeyAlgorithm,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT id, organization_id, named_key_id, version, storage, encrypted_key_material, hmac_key_material, encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, \
         public_key, key_state, revision, row_mac, created_at, certificate_chain, activated_at, deleted_at FROM private_keys WHERE named_key_id = $1 ORDER BY version",
        named_key_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| KeyVersionRow {
        id: row.id,
        organization_id: row.organization_id,
        named_key_id: row.named_key_id,
        version: row.version,
        algorithm,
        storage: row.storage,
        blob: row.encrypted_key_material,
        hmac_blob: row.hmac_key_material,
        encryption_key_id: row.encryption_key_id,
        is_exportable: row.is_exportable,
        hsm_key_id: row.hsm_key_id,
        hsm_token_id: row.hsm_token_id,
        public_key: row.public_key,
        certificate_chain: row.certificate_chain,
        key_state: row.key_state,
        revision: row.revision,
        row_mac: row.row_mac,
        created_at: row.created_at,
        activated_at: row.activated_at,
        deleted_at: row.deleted_at,
    });
    Ok(read.collect())
}

/// Versions of an organization's keys that are objects on a token, or were; of deleted keys too.
pub(super) async fn on_token(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
    mount_id: Option<Uuid>,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT n.key_type, p.id, p.organization_id, p.named_key_id, p.version, p.storage, p.encrypted_key_material, p.hmac_key_material, p.encryption_key_id, \
         p.is_exportable, p.hsm_key_id, p.hsm_token_id, p.public_key, p.key_state, p.revision, p.row_mac, p.created_at, p.certificate_chain, p.activated_at, p.deleted_at \
         FROM private_keys p JOIN named_keys n ON n.id = p.named_key_id WHERE p.organization_id = $1 AND p.hsm_token_id = $2 \
         AND ($3::uuid IS NULL OR n.mount_id = $3) ORDER BY p.id",
        organization_id,
        token_id,
        mount_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().filter_map(|row| {
        // An unknown type was written behind the service's back; its object is then one that no row names.
        Some(KeyVersionRow {
            id: row.id,
            organization_id: row.organization_id,
            named_key_id: row.named_key_id,
            version: row.version,
            algorithm: KeyAlgorithm::parse(&row.key_type, None)?,
            storage: row.storage,
            blob: row.encrypted_key_material,
            hmac_blob: row.hmac_key_material,
            encryption_key_id: row.encryption_key_id,
            is_exportable: row.is_exportable,
            hsm_key_id: row.hsm_key_id,
            hsm_token_id: row.hsm_token_id,
            public_key: row.public_key,
            certificate_chain: row.certificate_chain,
            key_state: row.key_state,
            revision: row.revision,
            row_mac: row.row_mac,
            created_at: row.created_at,
            activated_at: row.activated_at,
            deleted_at: row.deleted_at,
        })
    });
    Ok(read.collect())
}

pub(super) async fn insert_version(connection: &mut PgConnection, key: &KeyVersionRow) -> Result<(), sqlx::Error> {
    let (family, size, curve) = key.algorithm.columns();
    sqlx::query!(
        "INSERT INTO private_keys (id, organization_id, named_key_id, version, key_algorithm, key_size, curve_name, storage, encrypted_key_material, \
         encryption_key_id, is_exportable, hsm_key_id, hsm_token_id, public_key, key_state, revision, row_mac, created_at, hmac_key_material, activated_at, certificate_chain, \
         deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
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
        key.created_at,
        key.hmac_blob.as_deref(),
        key.activated_at,
        key.certificate_chain,
        key.deleted_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn update_version(connection: &mut PgConnection, key: &KeyVersionRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE private_keys SET encrypted_key_material = $1, key_state = $2, revision = $3, row_mac = $4, hmac_key_material = $6, storage = $7, \
         encryption_key_id = $8, certificate_chain = $9 WHERE id = $5 AND revision = $3::bigint - 1",
        key.blob.as_deref(),
        key.key_state,
        key.revision,
        key.row_mac,
        key.id,
        key.hmac_blob.as_deref(),
        key.storage,
        key.encryption_key_id,
        key.certificate_chain
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

//! Organization keys and their wrappings, one per token; data keys of organizations; versions of symmetric keys.

use super::key_versions::KeyVersionRow;
use crate::key::KeyAlgorithm;
use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// An organization key as one token unwraps it.
#[derive(Clone, Debug)]
pub(crate) struct OrganizationKeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) key_version: i32,
    pub(crate) key_state: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) token_id: Uuid,
    pub(crate) root_version: i32,
    pub(crate) blob: Vec<u8>,
    pub(crate) wrapping_mac: Vec<u8>,
}

/// A data key of an organization.
#[derive(Clone, Debug)]
pub(crate) struct DataKeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) key_version: i32,
    pub(crate) key_state: String,
    /// Wrapped by the organization key.
    pub(crate) blob: Vec<u8>,
    pub(crate) encryption_key_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
}

impl DataKeyRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new("encryption_keys")
            .text("data key")
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .integer(self.key_version.into())
            .text(&self.key_state)
            .bytes(Some(&self.blob))
            .id(Some(self.encryption_key_id))
            .finish()
    }
}

/// The newest of an organization.
pub(crate) async fn newest(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
) -> Result<Option<OrganizationKeyRow>, sqlx::Error> {
    sqlx::query_as!(
        OrganizationKeyRow,
        "SELECT k.id, k.organization_id, k.key_version, k.key_state, k.revision, k.row_mac, w.token_id, w.root_version, w.blob, w.row_mac AS wrapping_mac \
         FROM encryption_keys k JOIN key_wrappings w ON w.key_id = k.id \
         WHERE k.organization_id = $1 AND w.token_id = $2 AND k.key_type = 'master' ORDER BY k.key_version DESC LIMIT 1",
        organization_id,
        token_id
    )
    .fetch_optional(connection)
    .await
}

/// Organizations that have a key.
pub(crate) async fn organizations(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut transaction = audit_log::begin(pool, "BEGIN").await?;
    let found =
        sqlx::query_scalar!(r#"SELECT organizations_with_keys() AS "id!""#).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    key: &OrganizationKeyRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO encryption_keys (id, organization_id, key_id, key_type, algorithm, key_state, key_version, key_wrap_algorithm, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, 'master', 'AES-256', $4, $5, 'AES-KWP', $6, $7, $8)",
        key.id,
        key.organization_id,
        format!("org/{}/{}", key.organization_id, key.key_version),
        key.key_state,
        key.key_version,
        key.revision,
        key.row_mac,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO key_wrappings (key_id, token_id, organization_id, root_version, blob, row_mac) VALUES ($1, $2, $3, $4, $5, $6)",
        key.id,
        key.token_id,
        key.organization_id,
        key.root_version,
        key.blob,
        key.wrapping_mac
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A data key by its id, or the newest.
pub(crate) async fn data_key(
    connection: &mut PgConnection,
    organization_id: Uuid,
    id: Option<Uuid>,
) -> Result<Option<DataKeyRow>, sqlx::Error> {
    sqlx::query_as!(
        DataKeyRow,
        "SELECT id, organization_id, key_version, key_state, encrypted_key_material AS \"blob!\", encryption_key_id AS \"encryption_key_id!\", revision, row_mac, created_at \
         FROM encryption_keys WHERE organization_id = $1 AND key_type = 'data' AND named_key_id IS NULL AND ($2::uuid IS NULL OR id = $2) \
         ORDER BY key_version DESC LIMIT 1",
        organization_id,
        id
    )
    .fetch_optional(connection)
    .await
}

/// Adds a data key, unless the organization has that version.
pub(crate) async fn insert_data_key(
    connection: &mut PgConnection,
    key: &DataKeyRow,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO encryption_keys (id, organization_id, key_id, key_type, algorithm, key_state, key_version, key_wrap_algorithm, storage, is_exportable, \
         encrypted_key_material, encryption_key_id, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, 'data', 'AES-256', $4, $5, 'AES-KWP', 'wrapped', false, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        key.id,
        key.organization_id,
        format!("data/{}/{}", key.organization_id, key.key_version),
        key.key_state,
        key.key_version,
        key.blob,
        key.encryption_key_id,
        key.revision,
        key.row_mac,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a data key's state over the revision before; `false`: somebody else was faster.
pub(crate) async fn update_data_key(connection: &mut PgConnection, key: &DataKeyRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE encryption_keys SET key_state = $1, revision = $2, row_mac = $3 WHERE id = $4 AND revision = $2::bigint - 1",
        key.key_state,
        key.revision,
        key.row_mac,
        key.id
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Versions of a symmetric key.
pub(super) async fn versions(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    algorithm: KeyAlgorithm,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT id, organization_id, named_key_id AS \"named_key_id!\", key_version, storage AS \"storage!\", encrypted_key_material, hmac_key_material, \
         encryption_key_id, is_exportable AS \"is_exportable!\", hsm_key_id, hsm_token_id, key_state, revision, row_mac, created_at, activated_at \
         FROM encryption_keys WHERE named_key_id = $1 ORDER BY key_version",
        named_key_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| KeyVersionRow {
        id: row.id,
        organization_id: row.organization_id,
        named_key_id: row.named_key_id,
        version: row.key_version,
        algorithm,
        storage: row.storage,
        blob: row.encrypted_key_material,
        hmac_blob: row.hmac_key_material,
        encryption_key_id: row.encryption_key_id,
        is_exportable: row.is_exportable,
        hsm_key_id: row.hsm_key_id,
        hsm_token_id: row.hsm_token_id,
        public_key: Vec::new(),
        certificate_chain: None,
        key_state: row.key_state,
        revision: row.revision,
        row_mac: row.row_mac,
        created_at: row.created_at,
        activated_at: row.activated_at,
        deleted_at: None,
    });
    Ok(read.collect())
}

/// Versions of an organization's symmetric keys that are objects on a token, or were; of deleted keys too.
pub(super) async fn on_token(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
    mount_id: Option<Uuid>,
) -> Result<Vec<KeyVersionRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT n.key_type, n.key_size, k.id, k.organization_id, n.id AS named_key_id, k.key_version, k.storage AS \"storage!\", k.encrypted_key_material, \
         k.hmac_key_material, k.encryption_key_id, k.is_exportable AS \"is_exportable!\", k.hsm_key_id, k.hsm_token_id, k.key_state, k.revision, k.row_mac, \
         k.created_at, k.activated_at FROM encryption_keys k JOIN named_keys n ON n.id = k.named_key_id WHERE k.organization_id = $1 AND k.hsm_token_id = $2 \
         AND ($3::uuid IS NULL OR n.mount_id = $3) ORDER BY k.id",
        organization_id,
        token_id,
        mount_id
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().filter_map(|row| {
        // An unknown type was written behind the service's back; its object is then one that no row names.
        let key_size = row.key_size.map(|bytes| u16::try_from(bytes).unwrap_or_default());
        Some(KeyVersionRow {
            id: row.id,
            organization_id: row.organization_id,
            named_key_id: row.named_key_id,
            version: row.key_version,
            algorithm: KeyAlgorithm::parse(&row.key_type, key_size)?,
            storage: row.storage,
            blob: row.encrypted_key_material,
            hmac_blob: row.hmac_key_material,
            encryption_key_id: row.encryption_key_id,
            is_exportable: row.is_exportable,
            hsm_key_id: row.hsm_key_id,
            hsm_token_id: row.hsm_token_id,
            public_key: Vec::new(),
            certificate_chain: None,
            key_state: row.key_state,
            revision: row.revision,
            row_mac: row.row_mac,
            created_at: row.created_at,
            activated_at: row.activated_at,
            deleted_at: None,
        })
    });
    Ok(read.collect())
}

pub(super) async fn insert_version(connection: &mut PgConnection, key: &KeyVersionRow) -> Result<(), sqlx::Error> {
    insert_versions(connection, std::slice::from_ref(key)).await
}

/// Adds versions of keys that were asked for alike: they differ in id, key, material, object and MAC.
pub(super) async fn insert_versions(connection: &mut PgConnection, keys: &[KeyVersionRow]) -> Result<(), sqlx::Error> {
    let Some(first) = keys.first() else { return Ok(()) };
    let ids: Vec<Uuid> = keys.iter().map(|key| key.id).collect();
    let names: Vec<String> = keys.iter().map(|key| format!("key/{}/{}", key.named_key_id, key.version)).collect();
    let named_keys: Vec<Uuid> = keys.iter().map(|key| key.named_key_id).collect();
    let blobs: Vec<Option<Vec<u8>>> = keys.iter().map(|key| key.blob.clone()).collect();
    let hmac_blobs: Vec<Option<Vec<u8>>> = keys.iter().map(|key| key.hmac_blob.clone()).collect();
    let macs: Vec<Vec<u8>> = keys.iter().map(|key| key.row_mac.clone()).collect();
    let hsm_keys: Vec<Option<Uuid>> = keys.iter().map(|key| key.hsm_key_id).collect();
    let hsm_tokens: Vec<Option<Uuid>> = keys.iter().map(|key| key.hsm_token_id).collect();
    sqlx::query!(
        "INSERT INTO encryption_keys (id, organization_id, key_id, key_type, algorithm, key_state, key_version, key_wrap_algorithm, named_key_id, \
         storage, encrypted_key_material, hmac_key_material, encryption_key_id, is_exportable, revision, row_mac, created_at, activated_at, \
         hsm_key_id, hsm_token_id) \
         SELECT n.id, $7, n.key_id, $8, $9, $10, $11, 'AES-KWP', n.named_key_id, $12, n.material, n.hmac_material, $13, $14, $15, n.row_mac, $16, $17, \
         n.hsm_key_id, n.hsm_token_id \
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[], $18::uuid[], $19::uuid[]) \
         AS n(id, key_id, named_key_id, material, hmac_material, row_mac, hsm_key_id, hsm_token_id)",
        &ids,
        &names,
        &named_keys,
        &blobs as &[Option<Vec<u8>>],
        &hmac_blobs as &[Option<Vec<u8>>],
        &macs,
        first.organization_id,
        if first.algorithm.key_size().is_some() { "hmac" } else { "data" },
        first.algorithm.name(),
        first.key_state,
        first.version,
        first.storage,
        first.encryption_key_id,
        first.is_exportable,
        first.revision,
        first.created_at,
        first.activated_at,
        &hsm_keys as &[Option<Uuid>],
        &hsm_tokens as &[Option<Uuid>]
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn update_version(connection: &mut PgConnection, key: &KeyVersionRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE encryption_keys SET encrypted_key_material = $1, key_state = $2, revision = $3, row_mac = $4, hmac_key_material = $6 \
         WHERE id = $5 AND revision = $3::bigint - 1",
        key.blob.as_deref(),
        key.key_state,
        key.revision,
        key.row_mac,
        key.id,
        key.hmac_blob.as_deref()
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

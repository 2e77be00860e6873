//! Table `api_keys`.

use super::bind::RowBytes;
use super::{GoneRow, Store, StoreError, expect_one};
use crate::api_key::ApiKey;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::PgConnection;
use std::net::IpAddr;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "api_keys";

/// What the row's MAC is over: not what only counts, nor who revoked it, which the log says.
pub(crate) fn bound_bytes(key: &ApiKey) -> Vec<u8> {
    let ApiKey {
        id,
        organization_id,
        mount_id,
        user_id,
        key_name,
        key_hash,
        key_prefix,
        scopes,
        is_active,
        last_used_at: _,
        last_used_ip: _,
        usage_count: _,
        expires_at,
        created_at,
        revoked_at,
        revoked_by_user_id: _,
        revision,
        row_mac: _,
    } = key;
    RowBytes::new("api_keys.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*mount_id)
        .uuid(*user_id)
        .text(key_name)
        .bytes(key_hash)
        .text(key_prefix)
        .list(scopes.iter(), |row, scope| row.text(scope))
        .flag(*is_active)
        .optional(*expires_at, RowBytes::time)
        .time(*created_at)
        .optional(*revoked_at, RowBytes::time)
        .integer(*revision)
        .finish()
}

impl Store {
    /// By the HMAC of its text, or by id.
    pub(crate) async fn api_key(
        &self,
        organization_id: Uuid,
        id: Option<Uuid>,
        key_hash: Option<[u8; 32]>,
    ) -> Result<Option<ApiKey>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let key = sqlx::query_as!(
            ApiKey,
            r#"SELECT id, organization_id, mount_id, user_id, key_name, key_hash AS "key_hash: [u8; 32]", key_prefix, scopes, is_active,
             last_used_at, last_used_ip AS "last_used_ip: IpNet", usage_count, expires_at, created_at, revoked_at, revoked_by_user_id,
             revision, row_mac AS "row_mac: [u8; 32]" FROM api_keys WHERE id = $1 OR key_hash = $2"#,
            id,
            key_hash.as_ref().map(<[u8; 32]>::as_slice)
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(key)
    }

    /// All of a login method, by id.
    pub(crate) async fn api_keys(&self, organization_id: Uuid, mount_id: Uuid) -> Result<Vec<ApiKey>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let keys = sqlx::query_as!(
            ApiKey,
            r#"SELECT id, organization_id, mount_id, user_id, key_name, key_hash AS "key_hash: [u8; 32]", key_prefix, scopes, is_active,
             last_used_at, last_used_ip AS "last_used_ip: IpNet", usage_count, expires_at, created_at, revoked_at, revoked_by_user_id,
             revision, row_mac AS "row_mac: [u8; 32]" FROM api_keys WHERE mount_id = $1 ORDER BY id"#,
            mount_id
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(keys)
    }
}

/// Adds one.
pub(crate) async fn insert(connection: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO api_keys (id, organization_id, mount_id, user_id, key_name, key_hash, key_prefix, scopes, is_active, expires_at, \
         created_at, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        key.id,
        key.organization_id,
        key.mount_id,
        key.user_id,
        key.key_name,
        key.key_hash.as_slice(),
        key.key_prefix,
        &key.scopes,
        key.is_active,
        key.expires_at,
        key.created_at,
        key.revision,
        key.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes that a key of that revision opens nothing any more: its row stays, its HMAC goes.
pub(crate) async fn revoke(connection: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE api_keys SET is_active = false, revoked_at = $2, key_hash = $3, revision = $4, row_mac = $5, revoked_by_user_id = $6 \
         WHERE id = $1 AND revision = $4::bigint - 1",
        key.id,
        key.revoked_at,
        key.key_hash.as_slice(),
        key.revision,
        key.row_mac.as_slice(),
        key.revoked_by_user_id
    )
    .execute(connection)
    .await?;
    expect_one(&done, "API key")
}

/// Counts a login with a key of that revision.
pub(crate) async fn used(
    connection: &mut PgConnection,
    key: &ApiKey,
    now: DateTime<Utc>,
    source: Option<IpAddr>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE api_keys SET last_used_at = $3, last_used_ip = $4, usage_count = usage_count + 1 WHERE id = $1 AND revision = $2 AND is_active",
        key.id,
        key.revision,
        now,
        source.map(IpNet::from) as _
    )
    .execute(connection)
    .await?;
    expect_one(&done, "API key")
}

/// Keys of a login method that goes open nothing any more; what records say of them.
pub(crate) async fn revoke_of_mount(
    connection: &mut PgConnection,
    mount_id: Uuid,
    now: DateTime<Utc>,
    by: Option<Uuid>,
) -> Result<Vec<GoneRow>, StoreError> {
    let rows = sqlx::query!(
        "UPDATE api_keys SET is_active = false, revoked_at = $2, key_hash = sha256(id::text::bytea || key_hash), row_mac = $3, \
         revision = revision + 1, revoked_by_user_id = $4 WHERE mount_id = $1 AND is_active RETURNING id, revision",
        mount_id,
        now,
        super::tokens::REVOKED_MAC.as_slice(),
        by
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (TABLE, row.id, row.revision, super::tokens::REVOKED_MAC)).collect())
}

//! Table `app_role_secret_ids`.

use super::bind::RowBytes;
use super::{GoneRow, Store, StoreError, bytes32, gone};
use crate::approle::SecretId;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "app_role_secret_ids";

/// What the row's MAC is over: every column but `uses_left`, a counter.
pub(crate) fn bound_bytes(secret: &SecretId) -> Vec<u8> {
    let SecretId {
        id,
        organization_id,
        app_role_id,
        hash,
        accessor,
        num_uses,
        uses_left: _,
        bound_cidrs,
        token_bound_cidrs,
        metadata,
        expires_at,
        created_at,
        updated_at: _,
        revision,
        row_mac: _,
    } = secret;
    RowBytes::new("app_role_secret_ids.v1")
        .uuid(*id)
        .uuid(*organization_id)
        .uuid(*app_role_id)
        .bytes(hash)
        .text(accessor)
        .integer(i64::from(*num_uses))
        .list(bound_cidrs.iter(), |row, network| row.text(&network.to_string()))
        .list(token_bound_cidrs.iter(), |row, network| row.text(&network.to_string()))
        .list(metadata.iter(), |row, (key, value)| row.text(key).text(value))
        .optional(*expires_at, RowBytes::time)
        .time(*created_at)
        .integer(*revision)
        .finish()
}

struct Columns {
    id: Uuid,
    organization_id: Uuid,
    app_role_id: Uuid,
    secret_id_hash: Vec<u8>,
    secret_id_accessor: String,
    num_uses: i32,
    uses_left: Option<i32>,
    bound_cidr_list: Vec<IpNet>,
    token_bound_cidr_list: Vec<IpNet>,
    metadata: Json<BTreeMap<String, String>>,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    row_mac: Vec<u8>,
}

fn read(row: Columns) -> Result<SecretId, StoreError> {
    let count = |number: i32| u32::try_from(number).map_err(|_| StoreError::Malformed("a SecretID's uses"));
    Ok(SecretId {
        id: row.id,
        organization_id: row.organization_id,
        app_role_id: row.app_role_id,
        hash: bytes32(&row.secret_id_hash, "app_role_secret_ids.secret_id_hash")?,
        accessor: row.secret_id_accessor,
        num_uses: count(row.num_uses)?,
        uses_left: row.uses_left.map(count).transpose()?,
        bound_cidrs: row.bound_cidr_list,
        token_bound_cidrs: row.token_bound_cidr_list,
        metadata: row.metadata.0,
        expires_at: row.expires_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
        revision: row.revision,
        row_mac: bytes32(&row.row_mac, "app_role_secret_ids.row_mac")?,
    })
}

/// By the HMAC of its text.
pub(crate) async fn hashed(
    connection: &mut PgConnection,
    organization_id: Uuid,
    hash: [u8; 32],
) -> Result<Option<SecretId>, StoreError> {
    let row = sqlx::query_as!(
        Columns,
        r#"SELECT id, organization_id, app_role_id, secret_id_hash, secret_id_accessor, num_uses, uses_left, bound_cidr_list,
         token_bound_cidr_list, metadata AS "metadata: Json<BTreeMap<String, String>>", expires_at, created_at, updated_at, revision, row_mac
         FROM app_role_secret_ids WHERE organization_id = $1 AND secret_id_hash = $2"#,
        organization_id,
        hash.as_slice()
    )
    .fetch_optional(connection)
    .await?;
    row.map(read).transpose()
}

impl Store {
    /// By the HMAC of its text.
    pub(crate) async fn secret_id(
        &self,
        organization_id: Uuid,
        hash: [u8; 32],
    ) -> Result<Option<SecretId>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let secret = hashed(&mut transaction, organization_id, hash).await?;
        transaction.commit().await?;
        Ok(secret)
    }

    /// By its accessor.
    pub(crate) async fn secret_id_by_accessor(
        &self,
        organization_id: Uuid,
        app_role_id: Uuid,
        accessor: &str,
    ) -> Result<Option<SecretId>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            r#"SELECT id, organization_id, app_role_id, secret_id_hash, secret_id_accessor, num_uses, uses_left, bound_cidr_list,
             token_bound_cidr_list, metadata AS "metadata: Json<BTreeMap<String, String>>", expires_at, created_at, updated_at, revision, row_mac
             FROM app_role_secret_ids WHERE app_role_id = $1 AND secret_id_accessor = $2"#,
            app_role_id,
            accessor
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(read).transpose()
    }

    /// Accessors of a role's SecretIDs that can be used, sorted.
    pub(crate) async fn secret_id_accessors(
        &self,
        organization_id: Uuid,
        app_role_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let accessors = sqlx::query_scalar!(
        "SELECT secret_id_accessor FROM app_role_secret_ids WHERE app_role_id = $1 AND uses_left IS DISTINCT FROM 0 \
             AND (expires_at IS NULL OR expires_at > $2) ORDER BY secret_id_accessor COLLATE \"C\"",
        app_role_id,
        now
    )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(accessors)
    }

    /// How many a mount's roles have, or one of them alone, `limit` at most.
    pub(crate) async fn count_secret_ids(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        app_role_id: Option<Uuid>,
        limit: i64,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM (SELECT FROM app_role_secret_ids s JOIN app_roles r ON r.id = s.app_role_id 
             WHERE r.mount_id = $1 AND ($2::uuid IS NULL OR r.id = $2) LIMIT $3) counted"#,
            mount_id,
            app_role_id,
            limit
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Whether the sweep has something to destroy.
    pub(crate) async fn has_ended_secret_ids(
        &self,
        organization_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let has = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM app_role_secret_ids WHERE organization_id = $1 AND expires_at <= $2) AS "has!""#,
            organization_id,
            now
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(has)
    }
}

/// Adds one to a role that is still of that revision, else [`StoreError::Conflict`].
pub(crate) async fn insert(
    connection: &mut PgConnection,
    secret: &SecretId,
    role_revision: i64,
) -> Result<(), StoreError> {
    // The lock makes a deletion of the role wait, which then finds this row.
    let there = sqlx::query!(
        "SELECT FROM app_roles WHERE id = $1 AND revision = $2 FOR SHARE",
        secret.app_role_id,
        role_revision
    )
    .fetch_optional(&mut *connection)
    .await?;
    if there.is_none() {
        return Err(StoreError::Conflict { what: "role" });
    }
    let uses = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    sqlx::query!(
        "INSERT INTO app_role_secret_ids (id, organization_id, app_role_id, secret_id_hash, secret_id_accessor, num_uses, uses_left, \
         bound_cidr_list, token_bound_cidr_list, metadata, expires_at, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        secret.id,
        secret.organization_id,
        secret.app_role_id,
        secret.hash.as_slice(),
        secret.accessor,
        uses(secret.num_uses),
        secret.uses_left.map(uses),
        &secret.bound_cidrs,
        &secret.token_bound_cidrs,
        Json(&secret.metadata) as _,
        secret.expires_at,
        secret.revision,
        secret.row_mac.as_slice(),
        secret.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Spends one use of a SecretID that is still there and whose uses are counted; with its last one it goes, and that is what comes back.
pub(crate) async fn spend_use(connection: &mut PgConnection, secret: &SecretId) -> Result<Option<GoneRow>, StoreError> {
    let left = sqlx::query_scalar!(
        r#"UPDATE app_role_secret_ids SET uses_left = uses_left - 1 WHERE id = $1 AND revision = $2 AND uses_left > 0
         RETURNING uses_left AS "uses_left!""#,
        secret.id,
        secret.revision
    )
    .fetch_optional(&mut *connection)
    .await?;
    match left {
        None => Err(StoreError::Conflict { what: "SecretID" }),
        Some(0) => Ok(delete(connection, &[secret.id]).await?.pop()),
        Some(_) => Ok(None),
    }
}

/// Deletes these; what records say of those that were there.
pub(crate) async fn delete(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<GoneRow>, StoreError> {
    let rows = sqlx::query!("DELETE FROM app_role_secret_ids WHERE id = ANY($1) RETURNING id, revision", ids)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| gone(TABLE, (row.id, row.revision))).collect())
}

/// Deletes some of a mount's roles, or of one of them alone.
pub(crate) async fn delete_some(
    connection: &mut PgConnection,
    mount_id: Uuid,
    app_role_id: Option<Uuid>,
    limit: i64,
) -> Result<Vec<GoneRow>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT s.id FROM app_role_secret_ids s JOIN app_roles r ON r.id = s.app_role_id WHERE r.mount_id = $1 AND ($2::uuid IS NULL OR r.id = $2) \
         ORDER BY s.id LIMIT $3",
        mount_id,
        app_role_id,
        limit
    )
    .fetch_all(&mut *connection)
    .await?;
    delete(connection, &ids).await
}

/// Deletes those whose time is over, the oldest first.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    organization_id: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<GoneRow>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM app_role_secret_ids WHERE organization_id = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3",
        organization_id,
        now,
        limit
    )
    .fetch_all(&mut *connection)
    .await?;
    delete(connection, &ids).await
}

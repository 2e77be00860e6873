//! Table `tokens`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::token::Token;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "tokens";

/// A token and the first end among it and its ancestors.
#[derive(Debug)]
pub(crate) struct FoundToken {
    pub(crate) token: Token,
    pub(crate) chain_expire_time: Option<DateTime<Utc>>,
}

/// What its MAC is over: every column but `uses_left`, a counter, and `revoked_at`, which a good row has not. What rows had no
/// column for in the first schema is bound only where it is said.
pub(crate) fn bound_bytes(token: &Token) -> Vec<u8> {
    let Token {
        id,
        organization_id,
        user_id,
        accessor,
        token_hmac,
        parent_id,
        policies,
        display_name,
        meta,
        path,
        role,
        creation_time,
        creation_ttl,
        lease_ttl,
        period,
        explicit_max_ttl,
        max_ttl,
        expire_time,
        last_renewal,
        num_uses,
        uses_left: _,
        renewable,
        orphan,
        bound_cidrs,
        batch: _,
        revision,
        row_mac: _,
    } = token;
    let says_more = role.is_some() || *max_ttl > 0;
    let row = RowBytes::new(if says_more { "tokens.v2" } else { "tokens.v1" })
        .uuid(*id)
        .uuid(*organization_id)
        .optional(*user_id, RowBytes::uuid)
        .text(accessor)
        .bytes(token_hmac)
        .optional(*parent_id, RowBytes::uuid)
        .list(policies.iter(), |row, policy| row.text(policy))
        .text(display_name)
        .optional(meta.as_ref(), |row, meta| row.list(meta.iter(), |row, (key, value)| row.text(key).text(value)))
        .text(path)
        .time(*creation_time)
        .integer(seconds(*creation_ttl))
        .integer(seconds(*lease_ttl))
        .integer(seconds(*period))
        .integer(seconds(*explicit_max_ttl))
        .optional(*expire_time, RowBytes::time)
        .optional(*last_renewal, RowBytes::time)
        .integer(i64::from(*num_uses))
        .flag(*renewable)
        .flag(*orphan)
        .list(bound_cidrs.iter(), |row, cidr| row.text(&cidr.to_string()))
        .integer(*revision);
    if says_more {
        return row.optional(role.as_deref(), RowBytes::text).integer(seconds(*max_ttl)).finish();
    }
    row.finish()
}

fn read(row: &PgRow) -> Result<Token, StoreError> {
    let duration = |column| -> Result<u64, StoreError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Malformed("a token's duration"))
    };
    let count = |number: i32| u32::try_from(number).map_err(|_| StoreError::Malformed("a token's uses"));
    Ok(Token {
        id: row.try_get("id")?,
        organization_id: row.try_get("organization_id")?,
        user_id: row.try_get("user_id")?,
        accessor: Arc::from(row.try_get::<&str, _>("accessor")?),
        token_hmac: bytes32(row.try_get("token_hmac")?, "tokens.token_hmac")?,
        parent_id: row.try_get("parent_id")?,
        policies: row.try_get("policies")?,
        display_name: Arc::from(row.try_get::<&str, _>("display_name")?),
        meta: row.try_get::<Option<Json<BTreeMap<String, String>>>, _>("meta")?.map(|meta| meta.0),
        path: row.try_get("path")?,
        role: row.try_get("role")?,
        creation_time: row.try_get("creation_time")?,
        creation_ttl: duration("creation_ttl")?,
        lease_ttl: duration("lease_ttl")?,
        period: duration("period")?,
        explicit_max_ttl: duration("explicit_max_ttl")?,
        max_ttl: duration("max_ttl")?,
        expire_time: row.try_get("expire_time")?,
        last_renewal: row.try_get("last_renewal")?,
        num_uses: count(row.try_get("num_uses")?)?,
        uses_left: row.try_get::<Option<i32>, _>("uses_left")?.map(count).transpose()?,
        renewable: row.try_get("renewable")?,
        orphan: row.try_get("orphan")?,
        bound_cidrs: row.try_get::<Vec<IpNet>, _>("bound_cidrs")?,
        batch: false,
        revision: row.try_get("revision")?,
        row_mac: bytes32(row.try_get("row_mac")?, "tokens.row_mac")?,
    })
}

impl Store {
    /// By the HMAC of its text, whatever the tenant; not the revoked.
    pub(crate) async fn find_token(&self, token_hmac: [u8; 32]) -> Result<Option<FoundToken>, StoreError> {
        let row = sqlx::query("SELECT (f.token).*, f.chain_expire_time FROM find_token($1) f")
            .bind(token_hmac.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(FoundToken { token: read(&row)?, chain_expire_time: row.try_get("chain_expire_time")? }))
            .transpose()
    }

    /// What a token without a row stands on: an active organization and the token that made it, if it has one. `None`: it is gone; else the
    /// first end among that token and its ancestors.
    pub(crate) async fn standing(
        &self,
        organization_id: Uuid,
        parent: Option<Uuid>,
    ) -> Result<Option<Option<DateTime<Utc>>>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query(
            "WITH RECURSIVE chain AS ( \
                 SELECT id, parent_id, expire_time FROM tokens WHERE id = $2 AND revoked_at IS NULL \
                 UNION \
                 SELECT p.id, p.parent_id, p.expire_time FROM tokens p JOIN chain c ON p.id = c.parent_id \
             ) \
             SELECT (SELECT min(expire_time) FROM chain) AS ends FROM organizations \
             WHERE id = $1 AND status = 'active' AND deleted_at IS NULL AND ($2 IS NULL OR EXISTS (SELECT FROM chain))",
        )
        .bind(organization_id)
        .bind(parent)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(|row| Ok(row.try_get("ends")?)).transpose()
    }

    /// By its accessor; not the revoked.
    pub(crate) async fn token_hmac_by_accessor(
        &self,
        organization_id: Uuid,
        accessor: &str,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let found: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT token_hmac FROM tokens WHERE organization_id = $1 AND accessor = $2 AND revoked_at IS NULL",
        )
        .bind(organization_id)
        .bind(accessor)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        found.map(|hmac| bytes32(&hmac, "tokens.token_hmac")).transpose()
    }

    /// Accessors of live tokens, sorted.
    pub(crate) async fn accessors(&self, organization_id: Uuid, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let accessors = sqlx::query_scalar(
            "SELECT accessor FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL \
             AND (expire_time IS NULL OR expire_time > $2) ORDER BY accessor COLLATE \"C\"",
        )
        .bind(organization_id)
        .bind(now)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(accessors)
    }

    /// Spends one use, durably; how many are left, or `None` when there was none.
    pub(crate) async fn spend_use(&self, organization_id: Uuid, id: Uuid) -> Result<Option<u32>, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let left: Option<i32> = sqlx::query_scalar(
            "UPDATE tokens SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0 AND revoked_at IS NULL RETURNING uses_left",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(left.map(|left| u32::try_from(left).unwrap_or(0)))
    }

    /// Tokens whose time is over (or uses, which leaves no children), the oldest first.
    pub(crate) async fn ended_tokens(
        &self,
        organization_id: Uuid,
        before: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = sqlx::query_scalar(
            "SELECT id FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND (expire_time <= $2 OR uses_left = 0) \
             ORDER BY expire_time LIMIT $3",
        )
        .bind(organization_id)
        .bind(before)
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(ids)
    }
}

impl Store {
    /// Whether the sweep has rows to delete.
    pub(crate) async fn has_revoked_before(
        &self,
        organization_id: Uuid,
        before: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let has =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM tokens WHERE organization_id = $1 AND revoked_at <= $2)")
                .bind(organization_id)
                .bind(before)
                .fetch_one(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(has)
    }
}

/// Adds a token. Its parent must be alive at this very moment, else [`StoreError::Conflict`].
pub(crate) async fn insert(connection: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    if let Some(parent) = token.parent_id {
        // The lock makes a revocation of the parent wait, which then finds this child.
        let alive = sqlx::query("SELECT FROM tokens WHERE id = $1 AND revoked_at IS NULL FOR SHARE")
            .bind(parent)
            .fetch_optional(&mut *connection)
            .await?;
        if alive.is_none() {
            return Err(StoreError::Conflict { what: "parent token" });
        }
    }
    sqlx::query(
        "INSERT INTO tokens (id, organization_id, user_id, token_hmac, accessor, parent_id, type, policies, display_name, meta, path, \
         creation_time, creation_ttl, lease_ttl, period, explicit_max_ttl, expire_time, last_renewal, num_uses, uses_left, renewable, \
         orphan, bound_cidrs, revision, row_mac, role, max_ttl) \
         VALUES ($1, $2, $3, $4, $5, $6, 'service', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, \
         $25, $26)",
    )
    .bind(token.id)
    .bind(token.organization_id)
    .bind(token.user_id)
    .bind(token.token_hmac.as_slice())
    .bind(&*token.accessor)
    .bind(token.parent_id)
    .bind(&token.policies)
    .bind(&*token.display_name)
    .bind(token.meta.as_ref().map(Json))
    .bind(&token.path)
    .bind(token.creation_time)
    .bind(seconds(token.creation_ttl))
    .bind(seconds(token.lease_ttl))
    .bind(seconds(token.period))
    .bind(seconds(token.explicit_max_ttl))
    .bind(token.expire_time)
    .bind(token.last_renewal)
    .bind(uses(token.num_uses))
    .bind(token.uses_left.map(uses))
    .bind(token.renewable)
    .bind(token.orphan)
    .bind(&token.bound_cidrs)
    .bind(token.revision)
    .bind(token.row_mac.as_slice())
    .bind(&token.role)
    .bind(seconds(token.max_ttl))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what a renewal or a lost parent changes; the row must be of the revision before.
pub(crate) async fn update(connection: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE tokens SET parent_id = $2, orphan = $3, lease_ttl = $4, expire_time = $5, last_renewal = $6, revision = $7, row_mac = $8 \
         WHERE id = $1 AND revision = $7 - 1 AND revoked_at IS NULL",
    )
    .bind(token.id)
    .bind(token.parent_id)
    .bind(token.orphan)
    .bind(seconds(token.lease_ttl))
    .bind(token.expire_time)
    .bind(token.last_renewal)
    .bind(token.revision)
    .bind(token.row_mac.as_slice())
    .execute(connection)
    .await?;
    expect_one(&done, "token")
}

/// Living tokens that were made at paths beginning with `prefix`.
pub(crate) async fn made_at(
    connection: &mut PgConnection,
    organization_id: Uuid,
    prefix: &str,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND starts_with(path, $2) ORDER BY id LIMIT $3",
    )
    .bind(organization_id)
    .bind(prefix)
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

/// HMACs of the direct children that live.
pub(crate) async fn children(store: &Store, organization_id: Uuid, parent: Uuid) -> Result<Vec<[u8; 32]>, StoreError> {
    let mut transaction = store.tenant(organization_id).await?;
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT token_hmac FROM tokens WHERE parent_id = $1 AND revoked_at IS NULL ORDER BY id")
            .bind(parent)
            .fetch_all(&mut *transaction)
            .await?;
    transaction.commit().await?;
    rows.iter().map(|hmac| bytes32(hmac, "tokens.token_hmac")).collect()
}

/// A row whose authority was taken.
#[derive(Clone, Debug)]
pub(crate) struct RevokedRow {
    pub(crate) id: Uuid,
    pub(crate) revision: i64,
    pub(crate) accessor: String,
}

/// The MAC of a row that gives no authority any more.
pub(crate) const REVOKED_MAC: [u8; 32] = [0; 32];

/// Takes their authority and that of all tokens below them, level by level: a child made meanwhile is found, because its maker
/// has locked the parent. HMAC and MAC are destroyed, which needs no HSM: what was revoked is not brought back by clearing a column.
pub(crate) async fn revoke_trees(
    connection: &mut PgConnection,
    roots: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<RevokedRow>, StoreError> {
    let mut revoked = Vec::new();
    let mut level = revoke_level(connection, "id", roots, now).await?;
    while !level.is_empty() {
        let parents: Vec<Uuid> = level.iter().map(|row| row.id).collect();
        revoked.append(&mut level);
        level = revoke_level(connection, "parent_id", &parents, now).await?;
    }
    Ok(revoked)
}

async fn revoke_level(
    connection: &mut PgConnection,
    column: &'static str,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<RevokedRow>, StoreError> {
    let statement = if column == "id" {
        "UPDATE tokens SET revoked_at = $2, token_hmac = sha256(id::text::bytea || token_hmac), row_mac = $3, revision = revision + 1 \
         WHERE id = ANY($1) AND revoked_at IS NULL RETURNING id, revision, accessor"
    } else {
        "UPDATE tokens SET revoked_at = $2, token_hmac = sha256(id::text::bytea || token_hmac), row_mac = $3, revision = revision + 1 \
         WHERE parent_id = ANY($1) AND revoked_at IS NULL RETURNING id, revision, accessor"
    };
    let rows = sqlx::query(statement).bind(ids).bind(now).bind(REVOKED_MAC.as_slice()).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(RevokedRow {
                id: row.try_get("id")?,
                revision: row.try_get("revision")?,
                accessor: row.try_get("accessor")?,
            })
        })
        .collect()
}

/// Deletes revoked rows that nothing points to; how many.
pub(crate) async fn delete_revoked(
    connection: &mut PgConnection,
    organization_id: Uuid,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "DELETE FROM tokens WHERE id IN (SELECT t.id FROM tokens t WHERE t.organization_id = $1 AND t.revoked_at <= $2 \
         AND NOT EXISTS (SELECT FROM tokens c WHERE c.parent_id = t.id) AND NOT EXISTS (SELECT FROM leases l WHERE l.token_id = t.id) ORDER BY t.revoked_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id",
    )
    .bind(organization_id)
    .bind(before)
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

fn seconds(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}

fn uses(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

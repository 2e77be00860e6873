//! Table `tokens`.

mod revoke;

pub(crate) use revoke::{REVOKED_MAC, RevokedRow, delete_revoked, of_api_key, revoke_trees};

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::token::Token;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
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
        entity_id,
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
    let version = match (entity_id, says_more) {
        (Some(_), _) => "tokens.v3",
        (None, true) => "tokens.v2",
        (None, false) => "tokens.v1",
    };
    let row = RowBytes::new(version)
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
    let row = if says_more || entity_id.is_some() {
        row.optional(role.as_deref(), RowBytes::text).integer(seconds(*max_ttl))
    } else {
        row
    };
    match entity_id {
        Some(entity_id) => row.uuid(*entity_id).finish(),
        None => row.finish(),
    }
}

impl Store {
    /// By the HMAC of its text, whatever the tenant; not the revoked.
    pub(crate) async fn find_token(&self, token_hmac: [u8; 32]) -> Result<Option<FoundToken>, StoreError> {
        let mut transaction = self.nobody().await?;
        // What a function gives may be null for all that PostgreSQL says; the columns of `tokens` are as named here.
        let row = sqlx::query!(
            r#"SELECT (f.token).id AS "id!", (f.token).organization_id AS "organization_id!", (f.token).user_id, (f.token).entity_id, (f.token).accessor AS "accessor!",
             (f.token).token_hmac AS "token_hmac!", (f.token).parent_id, (f.token).policies AS "policies!",
             (f.token).display_name AS "display_name!", (f.token).meta AS "meta: Json<BTreeMap<String, String>>", (f.token).path AS "path!", (f.token).role,
             (f.token).creation_time AS "creation_time!", (f.token).creation_ttl AS "creation_ttl!", (f.token).lease_ttl AS "lease_ttl!",
             (f.token).period AS "period!", (f.token).explicit_max_ttl AS "explicit_max_ttl!", (f.token).max_ttl AS "max_ttl!", (f.token).expire_time, (f.token).last_renewal,
             (f.token).num_uses AS "num_uses!", (f.token).uses_left, (f.token).renewable AS "renewable!", (f.token).orphan AS "orphan!",
             (f.token).bound_cidrs AS "bound_cidrs!", (f.token).revision AS "revision!", (f.token).row_mac AS "row_mac!", f.chain_expire_time
             FROM find_token($1) f"#,
            token_hmac.as_slice()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let duration = |stored: i64| u64::try_from(stored).map_err(|_| StoreError::Malformed("a token's duration"));
        let count = |stored: i32| u32::try_from(stored).map_err(|_| StoreError::Malformed("a token's uses"));
        let token = Token {
            id: row.id,
            organization_id: row.organization_id,
            user_id: row.user_id,
            entity_id: row.entity_id,
            accessor: row.accessor.into(),
            token_hmac: bytes32(&row.token_hmac, "tokens.token_hmac")?,
            parent_id: row.parent_id,
            policies: row.policies,
            display_name: row.display_name.into(),
            meta: row.meta.map(|meta| meta.0),
            path: row.path,
            role: row.role,
            creation_time: row.creation_time,
            creation_ttl: duration(row.creation_ttl)?,
            lease_ttl: duration(row.lease_ttl)?,
            period: duration(row.period)?,
            explicit_max_ttl: duration(row.explicit_max_ttl)?,
            max_ttl: duration(row.max_ttl)?,
            expire_time: row.expire_time,
            last_renewal: row.last_renewal,
            num_uses: count(row.num_uses)?,
            uses_left: row.uses_left.map(count).transpose()?,
            renewable: row.renewable,
            orphan: row.orphan,
            bound_cidrs: row.bound_cidrs,
            batch: false,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "tokens.row_mac")?,
        };
        Ok(Some(FoundToken { token, chain_expire_time: row.chain_expire_time }))
    }

    /// What a token without a row stands on: an active organization and the token that made it, if it has one. `None`: it is gone; else the
    /// first end among that token and its ancestors.
    pub(crate) async fn standing(
        &self,
        organization_id: Uuid,
        parent: Option<Uuid>,
    ) -> Result<Option<Option<DateTime<Utc>>>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ends = sqlx::query_scalar!(
            "WITH RECURSIVE chain AS ( \
                 SELECT id, parent_id, expire_time FROM tokens WHERE id = $2 AND revoked_at IS NULL \
                 UNION \
                 SELECT p.id, p.parent_id, p.expire_time FROM tokens p JOIN chain c ON p.id = c.parent_id \
             ) \
             SELECT (SELECT min(expire_time) FROM chain) AS ends FROM organizations \
             WHERE id = $1 AND status = 'active' AND deleted_at IS NULL AND ($2::uuid IS NULL OR EXISTS (SELECT FROM chain))",
            organization_id,
            parent
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(ends)
    }

    /// By its accessor; not the revoked.
    pub(crate) async fn token_hmac_by_accessor(
        &self,
        organization_id: Uuid,
        accessor: &str,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let found = sqlx::query_scalar!(
            "SELECT token_hmac FROM tokens WHERE organization_id = $1 AND accessor = $2 AND revoked_at IS NULL",
            organization_id,
            accessor
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        found.map(|hmac| bytes32(&hmac, "tokens.token_hmac")).transpose()
    }

    /// By its row; not the revoked.
    pub(crate) async fn token_hmac_by_id(
        &self,
        organization_id: Uuid,
        id: Uuid,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let found = sqlx::query_scalar!("SELECT token_hmac FROM tokens WHERE id = $1 AND revoked_at IS NULL", id)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        found.map(|hmac| bytes32(&hmac, "tokens.token_hmac")).transpose()
    }

    /// Accessors of live tokens, sorted.
    pub(crate) async fn accessors(&self, organization_id: Uuid, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let accessors = sqlx::query_scalar!(
            "SELECT accessor FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND uses_left IS DISTINCT FROM 0 \
             AND (expire_time IS NULL OR expire_time > $2) ORDER BY accessor COLLATE \"C\"",
            organization_id,
            now
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(accessors)
    }

    /// How many living tokens were made at paths beginning with `prefix`, `limit` at most.
    pub(crate) async fn count_made_at(
        &self,
        organization_id: Uuid,
        prefix: &str,
        limit: i64,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND starts_with(path || '/', $2) LIMIT $3) counted"#,
        organization_id,
        prefix,
        limit
    )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Which of these are alive.
    pub(crate) async fn living_tokens(
        &self,
        organization_id: Uuid,
        ids: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let living = sqlx::query_scalar!(
            "SELECT id FROM tokens WHERE organization_id = $1 AND id = ANY($2) AND revoked_at IS NULL \
             AND (expire_time IS NULL OR expire_time > $3)",
            organization_id,
            ids,
            now
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(living)
    }

    /// Spends one use, durably; how many are left, or `None` when there was none.
    pub(crate) async fn spend_use(&self, organization_id: Uuid, id: Uuid) -> Result<Option<u32>, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let left = sqlx::query_scalar!(
            r#"UPDATE tokens SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0 AND revoked_at IS NULL RETURNING uses_left AS "uses_left!""#,
            id
        )
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
        let ids = sqlx::query_scalar!(
            "SELECT id FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND (expire_time <= $2 OR uses_left = 0) \
             ORDER BY expire_time LIMIT $3",
            organization_id,
            before,
            limit
        )
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
        let has = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM tokens WHERE organization_id = $1 AND revoked_at <= $2) AS "has!""#,
            organization_id,
            before
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(has)
    }
}

/// Adds a new one, unless it is a batch token, of which nothing is kept; the row, as records name it.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    token: &Token,
) -> Result<Option<(&'static str, Uuid, i64, [u8; 32])>, StoreError> {
    if token.batch {
        return Ok(None);
    }
    insert(connection, token).await?;
    Ok(Some((TABLE, token.id, token.revision, token.row_mac)))
}

/// Adds a token. Its parent must be alive at this very moment, else [`StoreError::Conflict`].
pub(crate) async fn insert(connection: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    if let Some(parent) = token.parent_id {
        // The lock makes a revocation of the parent wait, which then finds this child.
        let alive = sqlx::query!("SELECT FROM tokens WHERE id = $1 AND revoked_at IS NULL FOR SHARE", parent)
            .fetch_optional(&mut *connection)
            .await?;
        if alive.is_none() {
            return Err(StoreError::Conflict { what: "parent token" });
        }
    }
    sqlx::query!(
        "INSERT INTO tokens (id, organization_id, user_id, token_hmac, accessor, parent_id, type, policies, display_name, meta, path, \
         creation_time, creation_ttl, lease_ttl, period, explicit_max_ttl, expire_time, last_renewal, num_uses, uses_left, renewable, \
         orphan, bound_cidrs, revision, row_mac, role, max_ttl, entity_id) \
         VALUES ($1, $2, $3, $4, $5, $6, 'service', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, \
         $25, $26, $27)",
        token.id,
        token.organization_id,
        token.user_id,
        token.token_hmac.as_slice(),
        &*token.accessor,
        token.parent_id,
        &token.policies,
        &*token.display_name,
        token.meta.as_ref().map(Json) as _,
        token.path,
        token.creation_time,
        seconds(token.creation_ttl),
        seconds(token.lease_ttl),
        seconds(token.period),
        seconds(token.explicit_max_ttl),
        token.expire_time,
        token.last_renewal,
        uses(token.num_uses),
        token.uses_left.map(uses),
        token.renewable,
        token.orphan,
        &token.bound_cidrs,
        token.revision,
        token.row_mac.as_slice(),
        token.role,
        seconds(token.max_ttl),
        token.entity_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what a renewal or a lost parent changes; the row must be of the revision before.
pub(crate) async fn update(connection: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE tokens SET parent_id = $2, orphan = $3, lease_ttl = $4, expire_time = $5, last_renewal = $6, revision = $7, row_mac = $8 \
         WHERE id = $1 AND revision = $7::bigint - 1 AND revoked_at IS NULL",
        token.id,
        token.parent_id,
        token.orphan,
        seconds(token.lease_ttl),
        token.expire_time,
        token.last_renewal,
        token.revision,
        token.row_mac.as_slice()
    )
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
    Ok(sqlx::query_scalar!(
        "SELECT id FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND starts_with(path || '/', $2) ORDER BY id LIMIT $3",
        organization_id,
        prefix,
        limit
    )
    .fetch_all(connection)
    .await?)
}

/// HMACs of the direct children that live.
pub(crate) async fn children(store: &Store, organization_id: Uuid, parent: Uuid) -> Result<Vec<[u8; 32]>, StoreError> {
    let mut transaction = store.tenant(organization_id).await?;
    let rows = sqlx::query_scalar!(
        "SELECT token_hmac FROM tokens WHERE parent_id = $1 AND revoked_at IS NULL ORDER BY id",
        parent
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|hmac| bytes32(hmac, "tokens.token_hmac")).collect()
}

fn seconds(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}

fn uses(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

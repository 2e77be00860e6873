//! Ending tokens, and the rows of those that ended.

use super::StoreError;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

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
    let mut level = sqlx::query_as!(
        RevokedRow,
        "UPDATE tokens SET revoked_at = $2, token_hmac = sha256(id::text::bytea || token_hmac), row_mac = $3, revision = revision + 1 \
         WHERE id = ANY($1) AND revoked_at IS NULL RETURNING id, revision, accessor",
        roots,
        now,
        REVOKED_MAC.as_slice()
    )
    .fetch_all(&mut *connection)
    .await?;
    while !level.is_empty() {
        let parents: Vec<Uuid> = level.iter().map(|row| row.id).collect();
        revoked.append(&mut level);
        level = sqlx::query_as!(
            RevokedRow,
            "UPDATE tokens SET revoked_at = $2, token_hmac = sha256(id::text::bytea || token_hmac), row_mac = $3, revision = revision + 1 \
             WHERE parent_id = ANY($1) AND revoked_at IS NULL RETURNING id, revision, accessor",
            &parents,
            now,
            REVOKED_MAC.as_slice()
        )
        .fetch_all(&mut *connection)
        .await?;
    }
    Ok(revoked)
}

/// Tokens that logins with an API key of a person gave, by what its text begins with. Nobody but a login writes such a path.
pub(crate) async fn of_api_key(
    connection: &mut PgConnection,
    user_id: Uuid,
    key_prefix: &str,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM tokens WHERE user_id = $1 AND meta ->> 'key_prefix' = $2 AND path LIKE 'auth/%/login' AND revoked_at IS NULL",
        user_id,
        key_prefix
    )
    .fetch_all(connection)
    .await?)
}

/// Deletes revoked rows that nothing points to; how many.
pub(crate) async fn delete_revoked(
    connection: &mut PgConnection,
    organization_id: Uuid,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM tokens WHERE id IN (SELECT t.id FROM tokens t WHERE t.organization_id = $1 AND t.revoked_at <= $2 \
         AND NOT EXISTS (SELECT FROM tokens c WHERE c.parent_id = t.id) AND NOT EXISTS (SELECT FROM leases l WHERE l.token_id = t.id) ORDER BY t.revoked_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id",
        organization_id,
        before,
        limit
    )
    .fetch_all(connection)
    .await?)
}

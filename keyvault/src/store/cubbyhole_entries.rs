//! Table `cubbyhole_entries`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "cubbyhole_entries";

/// An entry as stored.
#[derive(Clone, Debug)]
pub(crate) struct EntryRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) token_id: Uuid,
    pub(crate) path: String,
    /// IV, ciphertext and tag.
    pub(crate) encrypted_data: Vec<u8>,
    pub(crate) cubbyhole_key_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// One entry of a token.
pub(crate) async fn by_path(
    connection: &mut PgConnection,
    token_id: Uuid,
    path: &str,
) -> Result<Option<EntryRow>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, organization_id, encrypted_data, cubbyhole_key_id, created_at, expires_at FROM cubbyhole_entries WHERE token_id = $1 AND path = $2",
        token_id,
        path
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| EntryRow {
        id: row.id,
        organization_id: row.organization_id,
        token_id,
        path: path.to_owned(),
        encrypted_data: row.encrypted_data,
        cubbyhole_key_id: row.cubbyhole_key_id,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }))
}

/// Paths of a token's entries that begin with `prefix`, sorted.
pub(crate) async fn paths(
    connection: &mut PgConnection,
    token_id: Uuid,
    prefix: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT path FROM cubbyhole_entries WHERE token_id = $1 AND starts_with(path, $2) ORDER BY path COLLATE \"C\"",
        token_id,
        prefix
    )
    .fetch_all(connection)
    .await
}

/// Adds an entry, or takes the place of the one that is there.
pub(crate) async fn put(connection: &mut PgConnection, row: &EntryRow) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO cubbyhole_entries (id, organization_id, token_id, path, encrypted_data, cubbyhole_key_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (token_id, path) DO UPDATE SET \
         encrypted_data = excluded.encrypted_data, cubbyhole_key_id = excluded.cubbyhole_key_id, created_at = excluded.created_at, \
         expires_at = excluded.expires_at",
        row.id,
        row.organization_id,
        row.token_id,
        row.path,
        row.encrypted_data,
        row.cubbyhole_key_id,
        row.created_at,
        row.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes one entry.
pub(crate) async fn delete(connection: &mut PgConnection, token_id: Uuid, path: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM cubbyhole_entries WHERE token_id = $1 AND path = $2", token_id, path)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tokens that have entries without an end, made before a time, in the order of their ids.
pub(crate) async fn owners(
    connection: &mut PgConnection,
    after: Uuid,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT token_id FROM cubbyhole_entries WHERE token_id > $1 AND created_at < $2 ORDER BY token_id LIMIT $3",
        after,
        before,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Whether anything has ended.
pub(crate) async fn has_ended(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM cubbyhole_entries WHERE expires_at <= $1) AS "has!""#, now)
        .fetch_one(connection)
        .await
}

/// Deletes what has ended; how many.
pub(crate) async fn delete_ended(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM cubbyhole_entries WHERE id IN (SELECT id FROM cubbyhole_entries WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        now,
        limit
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes all entries of these tokens; how many.
pub(crate) async fn delete_of(connection: &mut PgConnection, tokens: &[Uuid]) -> Result<u64, sqlx::Error> {
    let done =
        sqlx::query!("DELETE FROM cubbyhole_entries WHERE token_id = ANY($1)", tokens).execute(connection).await?;
    Ok(done.rows_affected())
}

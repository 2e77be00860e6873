//! Table `key_callers`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// What one caller did with one version.
#[derive(Clone, Debug)]
pub(crate) struct CallerRow {
    pub(crate) named_key_id: Uuid,
    pub(crate) version: i32,
    /// Empty: all that are not named.
    pub(crate) accessor: String,
    pub(crate) display_name: String,
    pub(crate) protected: i64,
    pub(crate) processed: i64,
    pub(crate) protected_at: Option<DateTime<Utc>>,
    pub(crate) processed_at: Option<DateTime<Utc>>,
}

/// Of a key, by version, those who came last first.
pub(crate) async fn of_key(connection: &mut PgConnection, named_key_id: Uuid) -> Result<Vec<CallerRow>, sqlx::Error> {
    sqlx::query_as!(
        CallerRow,
        "SELECT named_key_id, version, accessor, display_name, protected, processed, protected_at, processed_at FROM key_callers \
         WHERE named_key_id = $1 ORDER BY version, last_used_at DESC, accessor",
        named_key_id
    )
    .fetch_all(connection)
    .await
}

/// Adds what somebody did to what was known of him.
pub(crate) async fn add(
    connection: &mut PgConnection,
    organization_id: Uuid,
    row: &CallerRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO key_callers AS known (named_key_id, version, accessor, organization_id, display_name, protected, processed, protected_at, processed_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, $9::timestamptz, greatest($8, $9)) \
         ON CONFLICT (named_key_id, version, accessor) DO UPDATE SET protected = known.protected + excluded.protected, \
         processed = known.processed + excluded.processed, protected_at = greatest(known.protected_at, excluded.protected_at), \
         processed_at = greatest(known.processed_at, excluded.processed_at), last_used_at = greatest(known.last_used_at, excluded.last_used_at)",
        row.named_key_id,
        row.version,
        row.accessor,
        organization_id,
        row.display_name,
        row.protected,
        row.processed,
        row.protected_at,
        row.processed_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes away all named callers of a version but those `kept` who came last; gives what they did.
pub(crate) async fn take_older(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    version: i32,
    kept: i64,
) -> Result<Vec<CallerRow>, sqlx::Error> {
    sqlx::query_as!(
        CallerRow,
        "DELETE FROM key_callers WHERE named_key_id = $1 AND version = $2 AND accessor IN \
         (SELECT accessor FROM key_callers WHERE named_key_id = $1 AND version = $2 AND accessor <> '' ORDER BY last_used_at DESC, accessor OFFSET $3) \
         RETURNING named_key_id, version, accessor, display_name, protected, processed, protected_at, processed_at",
        named_key_id,
        version,
        kept
    )
    .fetch_all(connection)
    .await
}

//! Table `closed_mounts`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Closes a mount, once; `false`: it was closed before. Waits for keys that are being written in it, so that whoever looks for them next
/// finds them.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    change_id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('mount ' || $1::text, 0))", mount_id.to_string())
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query!(
        "INSERT INTO closed_mounts (mount_id, organization_id, change_id, closed_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        mount_id,
        organization_id,
        change_id,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether something may be made in the mount; until this transaction is over nobody closes it.
pub(crate) async fn is_open(connection: &mut PgConnection, mount_id: Uuid) -> Result<bool, sqlx::Error> {
    // A statement of its own: what the next one sees is then of after the lock.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('mount ' || $1::text, 0))",
        mount_id.to_string()
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar!(r#"SELECT NOT EXISTS (SELECT FROM closed_mounts WHERE mount_id = $1) AS "open!""#, mount_id)
        .fetch_one(connection)
        .await
}

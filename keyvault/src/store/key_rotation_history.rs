//! Table `key_rotation_history`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A rotation begins.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization_id: Uuid,
    (old, new): (Uuid, Uuid),
    now: DateTime<Utc>,
    user_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO key_rotation_history (id, organization_id, old_key_id, new_key_id, rotation_type, rotation_started_at, rotation_status, \
         initiated_by_user_id) VALUES ($1, $2, $3, $4, 'manual', $5, 'in_progress', $6)",
        Uuid::now_v7(),
        organization_id,
        old,
        new,
        now,
        user_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// One more thing that was under a key is under a newer one.
pub(crate) async fn count(connection: &mut PgConnection, old: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE key_rotation_history SET items_re_encrypted = items_re_encrypted + 1 WHERE old_key_id = $1 AND rotation_status = 'in_progress'",
        old
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Rotations of data keys that have not ended.
pub(crate) async fn of_data_keys_under_way(
    connection: &mut PgConnection,
    organization_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT h.id FROM key_rotation_history h JOIN encryption_keys k ON k.id = h.old_key_id WHERE h.organization_id = $1 \
         AND h.rotation_status = 'in_progress' AND k.key_type = 'data' AND k.named_key_id IS NULL",
        organization_id
    )
    .fetch_all(connection)
    .await
}

/// They have ended.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE key_rotation_history SET rotation_status = 'completed', rotation_completed_at = greatest($2, rotation_started_at) \
         WHERE id = ANY($1) AND rotation_status = 'in_progress'",
        ids,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

//! Secrets by what is said of them.

use super::SecretRow;
use crate::secret::{SecretName, SecretSearch};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A secret that is to be rotated, and when; nothing of it is believed before its row is read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) id: Uuid,
    pub(crate) name: SecretName,
    pub(crate) due_at: DateTime<Utc>,
}

/// Ids of those that fit, in the order of their paths' bytes.
pub(crate) async fn ids(
    connection: &mut PgConnection,
    organization_id: Uuid,
    search: &SecretSearch,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let literal = search.pattern.split('*').next().unwrap_or_default();
    sqlx::query_scalar!(
        r#"SELECT s.id FROM secrets s LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
        WHERE s.organization_id = $1 AND s.mount_id = $2 AND s.deleted_at IS NULL AND s.secret_path COLLATE "C" >= $3 AND s.secret_path COLLATE "C" > $4
            AND s.secret_path COLLATE "C" < $5 AND s.secret_path ~ $6 AND s.secret_path LIKE $7 AND ($8::text IS NULL OR s.tags @> ARRAY[$8])
            AND ($9::timestamptz IS NULL OR coalesce(v.created_at, s.created_at) <= $9)
        ORDER BY s.secret_path COLLATE "C" LIMIT $10"#,
        organization_id,
        search.mount_id,
        literal,
        search.after,
        format!("{literal}{}", super::ABOVE_ALL.to_string().repeat(501)),
        search.shape,
        like(&search.pattern),
        search.tag,
        search.written_before,
        search.limit
    )
    .fetch_all(connection)
    .await
}

/// When the newest versions were written, of those that have one.
pub(crate) async fn value_times(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, DateTime<Utc>)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT s.id, v.created_at FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version WHERE s.id = ANY($1)",
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.created_at)).collect())
}

/// Whole rows, in the order of their paths' bytes.
pub(crate) async fn by_ids(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<SecretRow>, sqlx::Error> {
    let rows = sqlx::query_as!(
        super::Stored,
        "SELECT id, organization_id, mount_id, secret_path, version, oldest_version, max_versions, cas_required, delete_version_after_seconds, \
         metadata::text AS \"metadata!\", description, tags, expires_at, public_key, rotation_enabled, rotation_schedule, generator::text, last_rotated_at, next_rotation_at, \
         revision, row_mac, created_by_user_id, created_at, written_at, deleted_at FROM secrets WHERE id = ANY($1) ORDER BY secret_path COLLATE \"C\"",
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(SecretRow::from).collect())
}

/// Those whose time to be rotated has come, by the clock of the database, the longest due first.
pub(crate) async fn due(
    connection: &mut PgConnection,
    organization_id: Uuid,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, mount_id, secret_path, next_rotation_at AS "due_at!" FROM secrets
        WHERE organization_id = $1 AND rotation_enabled AND deleted_at IS NULL AND next_rotation_at <= now() AND (expires_at IS NULL OR expires_at > now())
        ORDER BY next_rotation_at LIMIT $2"#,
        organization_id,
        limit
    )
    .fetch_all(connection)
    .await?;
    let name = |mount_id, path| SecretName { mount_id, path };
    Ok(rows
        .into_iter()
        .map(|row| Due { id: row.id, name: name(row.mount_id, row.secret_path), due_at: row.due_at })
        .collect())
}

/// Adds new ones without settings or profile; `false`: a name is taken.
pub(crate) async fn insert_all(connection: &mut PgConnection, rows: &[SecretRow]) -> Result<bool, sqlx::Error> {
    let Some(first) = rows.first() else { return Ok(true) };
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let paths: Vec<String> = rows.iter().map(|row| row.name.path.clone()).collect();
    let macs: Vec<Vec<u8>> = rows.iter().map(|row| row.row_mac.clone()).collect();
    let done = sqlx::query!(
        "INSERT INTO secrets (id, organization_id, mount_id, secret_path, secret_type, version, revision, row_mac, created_by_user_id, created_at, written_at) \
         SELECT n.id, $4, $5, n.secret_path, 'static', 1, 1, n.row_mac, $6, $7, $7 FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS n(id, secret_path, row_mac) \
         ON CONFLICT (organization_id, mount_id, secret_path) WHERE deleted_at IS NULL DO NOTHING",
        &ids,
        &paths,
        &macs,
        first.organization_id,
        first.name.mount_id,
        first.created_by_user_id,
        first.created_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

/// `*` as LIKE writes it, and what LIKE reads otherwise as it stands.
fn like(pattern: &str) -> String {
    pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_star_stands_for_something_else() {
        assert_eq!(super::like("prod/*/db_1*"), "prod/%/db\\_1%");
        assert_eq!(super::like("100%"), "100\\%");
    }
}

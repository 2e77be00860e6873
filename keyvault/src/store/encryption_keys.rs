//! Organization keys and their wrappings, one per token.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// An organization key as one token unwraps it.
#[derive(Clone, Debug)]
pub(crate) struct OrganizationKeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) key_version: i32,
    pub(crate) key_state: String,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) token_id: Uuid,
    pub(crate) root_version: i32,
    pub(crate) blob: Vec<u8>,
    pub(crate) wrapping_mac: Vec<u8>,
}

/// The newest of an organization.
pub(crate) async fn newest(
    connection: &mut PgConnection,
    organization_id: Uuid,
    token_id: Uuid,
) -> Result<Option<OrganizationKeyRow>, sqlx::Error> {
    sqlx::query_as!(
        OrganizationKeyRow,
        "SELECT k.id, k.organization_id, k.key_version, k.key_state, k.revision, k.row_mac, w.token_id, w.root_version, w.blob, w.row_mac AS wrapping_mac \
         FROM encryption_keys k JOIN key_wrappings w ON w.key_id = k.id \
         WHERE k.organization_id = $1 AND w.token_id = $2 AND k.key_type = 'master' ORDER BY k.key_version DESC LIMIT 1",
        organization_id,
        token_id
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    key: &OrganizationKeyRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO encryption_keys (id, organization_id, key_id, key_type, algorithm, key_state, key_version, key_wrap_algorithm, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, 'master', 'AES-256', $4, $5, 'AES-KWP', $6, $7, $8)",
        key.id,
        key.organization_id,
        format!("org/{}/{}", key.organization_id, key.key_version),
        key.key_state,
        key.key_version,
        key.revision,
        key.row_mac,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO key_wrappings (key_id, token_id, organization_id, root_version, blob, row_mac) VALUES ($1, $2, $3, $4, $5, $6)",
        key.id,
        key.token_id,
        key.organization_id,
        key.root_version,
        key.blob,
        key.wrapping_mac
    )
    .execute(connection)
    .await?;
    Ok(())
}

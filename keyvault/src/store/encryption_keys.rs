//! Organization keys and their wrappings, one per token.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
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
    let row = sqlx::query(
        "SELECT k.id, k.organization_id, k.key_version, k.key_state, k.revision, k.row_mac, w.token_id, w.root_version, w.blob, w.row_mac AS wrapping_mac \
         FROM encryption_keys k JOIN key_wrappings w ON w.key_id = k.id \
         WHERE k.organization_id = $1 AND w.token_id = $2 AND k.key_type = 'master' ORDER BY k.key_version DESC LIMIT 1",
    )
    .bind(organization_id)
    .bind(token_id)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(OrganizationKeyRow {
            id: row.try_get("id")?,
            organization_id: row.try_get("organization_id")?,
            key_version: row.try_get("key_version")?,
            key_state: row.try_get("key_state")?,
            revision: row.try_get("revision")?,
            row_mac: row.try_get("row_mac")?,
            token_id: row.try_get("token_id")?,
            root_version: row.try_get("root_version")?,
            blob: row.try_get("blob")?,
            wrapping_mac: row.try_get("wrapping_mac")?,
        })
    })
    .transpose()
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    key: &OrganizationKeyRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO encryption_keys (id, organization_id, key_id, key_type, algorithm, key_state, key_version, key_wrap_algorithm, revision, row_mac, created_at) \
         VALUES ($1, $2, $3, 'master', 'AES-256', $4, $5, 'AES-KWP', $6, $7, $8)",
    )
    .bind(key.id)
    .bind(key.organization_id)
    .bind(format!("org/{}/{}", key.organization_id, key.key_version))
    .bind(&key.key_state)
    .bind(key.key_version)
    .bind(key.revision)
    .bind(&key.row_mac)
    .bind(now)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO key_wrappings (key_id, token_id, organization_id, root_version, blob, row_mac) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(key.id)
        .bind(key.token_id)
        .bind(key.organization_id)
        .bind(key.root_version)
        .bind(&key.blob)
        .bind(&key.wrapping_mac)
        .execute(connection)
        .await?;
    Ok(())
}

//! Table `roles`.

use super::{Store, StoreError, bytes32, expect_one};
use crate::registry::{Entry, RoleFields};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "roles";

/// As PostgreSQL gives it.
struct RoleRow {
    id: Uuid,
    organization_id: Uuid,
    role_name: String,
    role_code: String,
    description: Option<String>,
    permissions: serde_json::Value,
    parent_role_id: Option<Uuid>,
    is_system_role: bool,
    is_active: bool,
    created_by_user_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    revision: i64,
    row_mac: Vec<u8>,
}

impl TryFrom<RoleRow> for Entry<RoleFields> {
    type Error = StoreError;

    fn try_from(row: RoleRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            organization_id: row.organization_id,
            code: row.role_code,
            fields: RoleFields {
                role_name: row.role_name,
                description: row.description,
                permissions: serde_json::from_value(row.permissions)
                    .map_err(|_| StoreError::Malformed("roles.permissions"))?,
                parent_role_id: row.parent_role_id,
                is_system_role: row.is_system_role,
                is_active: row.is_active,
            },
            created_by_user_id: row.created_by_user_id,
            created_at: Some(row.created_at),
            deleted_at: row.deleted_at,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "roles.row_mac")?,
        })
    }
}

/// By its code, deleted or not.
pub(crate) async fn find(
    connection: &mut PgConnection,
    organization_id: Uuid,
    code: &str,
) -> Result<Option<Entry<RoleFields>>, StoreError> {
    let row = sqlx::query_as!(
        RoleRow,
        "SELECT id, organization_id, role_name, role_code, description, permissions, parent_role_id, is_system_role, is_active, created_by_user_id, \
         created_at, deleted_at, revision, row_mac FROM roles WHERE organization_id = $1 AND role_code = $2",
        organization_id,
        code
    )
    .fetch_optional(connection)
    .await?;
    row.map(Entry::try_from).transpose()
}

/// These and all that are above them, deleted or not, by id.
pub(crate) async fn with_those_above(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Entry<RoleFields>>, StoreError> {
    let rows = sqlx::query_as!(
        RoleRow,
        r#"WITH RECURSIVE above AS (
             SELECT r.id, r.parent_role_id FROM roles r WHERE r.id = ANY($1)
             UNION
             SELECT r.id, r.parent_role_id FROM roles r JOIN above a ON r.id = a.parent_role_id
         )
         SELECT id, organization_id, role_name, role_code, description, permissions, parent_role_id, is_system_role, is_active, created_by_user_id,
         created_at, deleted_at, revision, row_mac FROM roles WHERE id IN (SELECT a.id FROM above a) ORDER BY id"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

impl Store {
    /// These and all that are above them, deleted or not.
    pub(crate) async fn roles_above(
        &self,
        organization_id: Uuid,
        ids: &[Uuid],
    ) -> Result<Vec<Entry<RoleFields>>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let roles = with_those_above(&mut transaction, ids).await?;
        transaction.commit().await?;
        Ok(roles)
    }
}

/// Codes, sorted.
pub(crate) async fn codes(
    connection: &mut PgConnection,
    organization_id: Uuid,
    deleted: bool,
) -> Result<Vec<String>, StoreError> {
    let codes = sqlx::query_scalar!(
        r#"SELECT role_code FROM roles WHERE organization_id = $1 AND (deleted_at IS NOT NULL) = $2 ORDER BY role_code COLLATE "C""#,
        organization_id,
        deleted
    );
    Ok(codes.fetch_all(connection).await?)
}

/// Adds a role, or replaces the row it was made from (its revision being one less); a second of the same code is [`StoreError::Taken`].
pub(crate) async fn put(connection: &mut PgConnection, role: &Entry<RoleFields>) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO roles (id, organization_id, role_name, role_code, description, permissions, parent_role_id, is_system_role, is_active, \
         created_by_user_id, deleted_at, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (id) DO UPDATE SET role_name = $3, description = $5, permissions = $6, parent_role_id = $7, is_active = $9, deleted_at = $11, \
         revision = $12, row_mac = $13 WHERE roles.revision = $12::bigint - 1",
        role.id,
        role.organization_id,
        role.fields.role_name,
        role.code,
        role.fields.description,
        json!(role.fields.permissions),
        role.fields.parent_role_id,
        role.fields.is_system_role,
        role.fields.is_active,
        role.created_by_user_id,
        role.deleted_at,
        role.revision,
        role.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "role")
}

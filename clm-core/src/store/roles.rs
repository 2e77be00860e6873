//! Table `roles`.

use super::StoreError;
use super::bind::RowBytes;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "roles";

/// A role as stored.
#[derive(Clone, Debug)]
pub(crate) struct RoleRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) role_name: String,
    pub(crate) role_code: String,
    pub(crate) description: Option<String>,
    /// Verbs by resource.
    pub(crate) permissions: Value,
    pub(crate) parent_role_id: Option<Uuid>,
    pub(crate) is_system_role: bool,
    pub(crate) is_active: bool,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl RoleRow {
    /// What its MAC is over; permissions as JSON with sorted names, since jsonb keeps no order.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self {
            id,
            organization_id,
            role_name,
            role_code,
            description: _,
            permissions,
            parent_role_id,
            is_system_role,
            is_active,
            revision,
            row_mac: _,
        } = self;
        let mut permissions = permissions.clone();
        permissions.sort_all_objects();
        RowBytes::new("roles.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .text(role_name)
            .text(role_code)
            .text(&permissions.to_string())
            .optional(*parent_role_id, RowBytes::uuid)
            .flag(*is_system_role)
            .flag(*is_active)
            .integer(*revision)
            .finish()
    }
}

/// Adds one; a second of the same code is [`StoreError::Taken`].
pub(crate) async fn insert(connection: &mut PgConnection, row: &RoleRow) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO roles (id, organization_id, role_name, role_code, description, permissions, parent_role_id, is_system_role, is_active, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        row.id,
        row.organization_id,
        row.role_name,
        row.role_code,
        row.description,
        row.permissions,
        row.parent_role_id,
        row.is_system_role,
        row.is_active,
        row.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

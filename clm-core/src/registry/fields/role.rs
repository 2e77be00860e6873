//! Roles: verbs by resource. The six that an organization begins with are the service's.

use crate::access::{Permissions, check_permissions};
use crate::error::{Error, Result};
use crate::registry::Kind;
use crate::registry::entry::{Entry, Fields, Moment, Reference, checked_name};
use crate::store::bind::RowBytes;
use crate::store::{StoreError, roles};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleFields {
    #[serde(default)]
    pub(crate) role_name: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) permissions: Permissions,
    #[serde(default)]
    pub(crate) parent_role_id: Option<Uuid>,
    #[serde(default)]
    pub(crate) is_system_role: bool,
    #[serde(default = "active")]
    pub(crate) is_active: bool,
}

fn active() -> bool {
    true
}

/// The service's own stay as they are.
fn may_change(entry: &Entry<RoleFields>) -> Result<()> {
    if entry.fields.is_system_role {
        return Err(Error::invalid(format!(
            "role {} is a system role: it can be neither changed nor deleted",
            entry.code
        )));
    }
    Ok(())
}

impl Fields for RoleFields {
    const KIND: Kind = Kind::Role;

    fn settle(entry: &mut Entry<Self>, old: Option<&Entry<Self>>, _moment: Moment) -> Result<()> {
        old.map_or(Ok(()), may_change)?;
        let mut code = entry.code.bytes();
        let fits = code.next().is_some_and(|first| first.is_ascii_uppercase())
            && code.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if !fits {
            return Err(Error::invalid("a role's code has capitals, digits and `_`, and begins with a capital"));
        }
        let fields = &mut entry.fields;
        if fields.role_name.is_empty() {
            fields.role_name.clone_from(&entry.code);
        }
        checked_name("role_name", &fields.role_name)?;
        check_permissions(&fields.permissions).map_err(Error::invalid)?;
        Ok(())
    }

    fn may_go(entry: &Entry<Self>) -> Result<()> {
        may_change(entry)
    }

    fn references(&self) -> Vec<Reference> {
        self.parent_role_id.map(|id| Reference::RoleAbove("parent_role_id", id)).into_iter().collect()
    }

    /// Permissions as JSON with sorted names, since jsonb keeps no order. A deletion is added where there is one, so that rows written before
    /// there were deletions keep their MAC.
    fn bound_bytes(entry: &Entry<Self>) -> Vec<u8> {
        let Entry {
            id,
            organization_id,
            code,
            fields,
            created_by_user_id: _,
            created_at: _,
            deleted_at,
            revision,
            row_mac: _,
        } = entry;
        let Self { role_name, description: _, permissions, parent_role_id, is_system_role, is_active } = fields;
        let row = RowBytes::new("roles.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .text(role_name)
            .text(code)
            .text(&serde_json::to_string(permissions).unwrap_or_default())
            .optional(*parent_role_id, RowBytes::uuid)
            .flag(*is_system_role)
            .flag(*is_active)
            .integer(*revision);
        match deleted_at {
            None => row.finish(),
            Some(at) => row.text("deleted_at").time(*at).finish(),
        }
    }

    async fn find(connection: &mut PgConnection, owner: Uuid, code: &str) -> Result<Option<Entry<Self>>, StoreError> {
        roles::find(connection, owner, code).await
    }

    async fn put(connection: &mut PgConnection, entry: &Entry<Self>) -> Result<(), StoreError> {
        roles::put(connection, entry).await
    }

    async fn codes(connection: &mut PgConnection, owner: Uuid, deleted: bool) -> Result<Vec<String>, StoreError> {
        roles::codes(connection, owner, deleted).await
    }
}

//! The six roles that every organization has from its beginning. Made here and not by a migration, which cannot make their MACs.

use crate::core::Core;
use crate::error::Result;
use crate::store::roles::RoleRow;
use serde_json::{Value, json};
use uuid::Uuid;

/// Code, name, what it is for, and its permissions: verbs by resource.
fn definitions() -> [(&'static str, &'static str, &'static str, Value); 6] {
    [
        ("SYSTEM_ADMIN", "System administrator", "Everything", json!({"*": ["*"]})),
        (
            "CERT_ADMIN",
            "Certificate administrator",
            "Certificates, their keys, policies and workflows",
            json!({
                "certificates": ["read", "create", "update", "revoke", "export"],
                "certificate_requests": ["read", "create", "approve", "reject", "cancel"],
                "keys": ["read", "create", "rotate"],
                "policies": ["read", "create", "update"],
                "workflows": ["read", "create", "update"],
                "notifications": ["read", "update"],
            }),
        ),
        (
            "CERT_OPERATOR",
            "Certificate operator",
            "Asking for certificates and renewing them",
            json!({
                "certificates": ["read", "create", "update"],
                "certificate_requests": ["read", "create", "cancel"],
                "keys": ["read"],
                "policies": ["read"],
                "workflows": ["read"],
                "notifications": ["read", "update"],
            }),
        ),
        (
            "APPROVER",
            "Approver",
            "Deciding on requests",
            json!({
                "certificates": ["read"],
                "certificate_requests": ["read", "approve", "reject"],
                "policies": ["read"],
                "workflows": ["read", "approve", "reject"],
                "notifications": ["read", "update"],
            }),
        ),
        (
            "AUDITOR",
            "Auditor",
            "Reading everything that is no secret",
            json!({
                "audit": ["read"],
                "certificates": ["read"],
                "certificate_requests": ["read"],
                "keys": ["read"],
                "organizations": ["read"],
                "policies": ["read"],
                "roles": ["read"],
                "users": ["read"],
                "workflows": ["read"],
            }),
        ),
        (
            "USER",
            "User",
            "One's own certificates and requests",
            json!({
                "certificates": ["read"],
                "certificate_requests": ["read", "create", "cancel"],
                "notifications": ["read", "update"],
            }),
        ),
    ]
}

impl Core {
    /// The rows of a new organization, with their MACs.
    pub(crate) async fn system_roles(&self, organization_id: Uuid) -> Result<Vec<RoleRow>> {
        let mut rows = Vec::new();
        for (code, name, description, permissions) in definitions() {
            let mut row = RoleRow {
                id: Uuid::now_v7(),
                organization_id,
                role_name: name.into(),
                role_code: code.into(),
                description: Some(description.into()),
                permissions,
                parent_role_id: None,
                is_system_role: true,
                is_active: true,
                revision: 1,
                row_mac: [0; 32],
            };
            row.row_mac = self.row_mac(row.bound_bytes()).await?;
            rows.push(row);
        }
        Ok(rows)
    }
}

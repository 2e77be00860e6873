//! The six roles that every organization has from its beginning. Made here and not by a migration, which cannot make their MACs.

use crate::registry::{Entry, RoleFields};
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

/// Those of a new organization, not bound yet.
pub(crate) fn of(organization_id: Uuid) -> Vec<Entry<RoleFields>> {
    let role = |(code, name, description, permissions): (&str, &str, &str, Value)| {
        let fields = RoleFields {
            role_name: name.into(),
            description: Some(description.into()),
            permissions: serde_json::from_value(permissions).unwrap_or_default(),
            parent_role_id: None,
            is_system_role: true,
            is_active: true,
        };
        Entry::new(organization_id, code, fields)
    };
    definitions().into_iter().map(role).collect()
}

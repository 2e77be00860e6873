//! Ids that no foreign key holds, because what they name is in the other database or nowhere: each has somebody who looks, before it is written,
//! whether it is there. A column that is added is in this list, or the test fails.

use crate::Databases;
use std::collections::BTreeSet;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    /// It is the organization, person or token of the caller: the token's row names them by foreign keys, and is checked with each request.
    /// Tried in `schema/second_organization.rs` and `registry/organizations.rs`.
    Caller,
    /// The mount that the request's path was found in, which is read from clm_core_db; one that was disabled meanwhile is refused by `closed_mounts`.
    /// Tried in `spanning/closed_mounts.rs`.
    Mount,
    /// It must be there in clm_secure_db: tried in `registry/references.rs`.
    Certificate,
    /// It names nothing in a database: an object of the token, a server, a request, a change, a chain.
    Nothing,
    /// No program writes the table, or this column of it, yet. Whoever does says here who looks.
    Unwritten,
}

use Checked::{Caller, Certificate, Mount, Nothing, Unwritten};

const REFERENCES: &[(&str, &str, Checked)] = &[
    ("api_keys", "mount_id", Mount),
    ("audit_chains", "chain_id", Nothing),
    ("audit_chains", "owner", Nothing),
    ("audit_log", "chain_id", Nothing),
    ("audit_log", "event_id", Nothing),
    ("audit_log", "organization_id", Caller),
    ("audit_log", "request_id", Nothing),
    ("audit_log", "user_id", Caller),
    ("auth_configs", "mount_id", Mount),
    ("auth_roles", "mount_id", Mount),
    ("certificate_metadata", "certificate_id", Certificate),
    ("certificate_requests", "approver_user_id", Unwritten),
    ("certificate_requests", "organization_id", Unwritten),
    ("certificate_requests", "policy_id", Unwritten),
    ("certificate_requests", "requester_user_id", Unwritten),
    ("certificate_requests", "workflow_id", Unwritten),
    ("certificate_revocations", "organization_id", Unwritten),
    ("certificate_revocations", "revoked_by_user_id", Unwritten),
    ("certificates", "created_by_user_id", Unwritten),
    ("certificates", "mount_id", Unwritten),
    ("certificates", "organization_id", Unwritten),
    ("certificates", "owner_user_id", Unwritten),
    ("certificates", "policy_id", Unwritten),
    ("certificates", "workflow_id", Unwritten),
    ("closed_mounts", "change_id", Nothing),
    ("closed_mounts", "mount_id", Mount),
    ("closed_mounts", "organization_id", Caller),
    ("cubbyhole_entries", "organization_id", Caller),
    ("cubbyhole_entries", "token_id", Caller),
    ("cubbyhole_keys", "organization_id", Caller),
    ("encryption_keys", "created_by_user_id", Unwritten),
    ("encryption_keys", "hsm_key_id", Nothing),
    // Of a new organization: made before it is, by the same request, which finishes what was cut off.
    ("encryption_keys", "organization_id", Caller),
    ("entity_aliases", "mount_id", Mount),
    ("hsm_tokens", "audit_key_id", Nothing),
    ("hsm_tokens", "mac_key_id", Nothing),
    ("hsm_tokens", "root_key_id", Nothing),
    ("identity_groups", "alias_id", Nothing),
    ("identity_groups", "alias_mount_id", Mount),
    ("jobs", "leased_by", Nothing),
    ("key_aliases", "mount_id", Mount),
    ("key_aliases", "organization_id", Caller),
    ("key_callers", "organization_id", Caller),
    ("key_rotation_history", "initiated_by_user_id", Caller),
    ("key_rotation_history", "organization_id", Caller),
    ("key_state_changes", "organization_id", Caller),
    ("key_state_changes", "user_id", Caller),
    ("key_usage", "organization_id", Caller),
    ("key_wrappings", "organization_id", Caller),
    ("leases", "secret_id", Unwritten),
    ("named_keys", "mount_id", Mount),
    ("named_keys", "organization_id", Caller),
    ("notifications", "related_resource_id", Unwritten),
    ("outbox", "leased_by", Nothing),
    ("outbox", "resource_id", Mount),
    ("pending_logins", "mount_id", Mount),
    // The login spends a use of it in the same transaction.
    ("pending_logins", "secret_id_id", Nothing),
    ("private_keys", "created_by_user_id", Unwritten),
    ("private_keys", "hsm_key_id", Nothing),
    ("private_keys", "organization_id", Caller),
    ("secret_mounts", "organization_id", Caller),
    ("secret_versions", "created_by_user_id", Caller),
    ("secret_versions", "organization_id", Caller),
    ("secrets", "created_by_user_id", Caller),
    ("secrets", "mount_id", Mount),
    ("secrets", "organization_id", Caller),
    ("secure_audit_log", "chain_id", Nothing),
    ("secure_audit_log", "event_id", Nothing),
    ("secure_audit_log", "organization_id", Caller),
    ("secure_audit_log", "request_id", Nothing),
    ("secure_audit_log", "user_id", Caller),
    ("tokens", "entity_id", Caller),
    ("workflow_instances", "certificate_id", Unwritten),
    ("workflow_instances", "certificate_request_id", Unwritten),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_id_without_a_foreign_key_has_somebody_who_looks_whether_it_is_there() {
    let catalogues = Databases::new().await.catalogues().await;
    let mut found = BTreeSet::new();
    for (name, relation) in catalogues.iter().flat_map(|catalogue| catalogue.tables()) {
        for column in relation.columns.iter().filter(|column| column.data_type == "uuid" && column.name != "id") {
            let held = relation.constraints.iter().any(|key| key.kind == "f" && key.columns.contains(&column.name));
            if !held {
                // Both databases have chains of their own.
                found.insert((name.as_str(), column.name.as_str()));
            }
        }
    }
    let known: BTreeSet<_> = REFERENCES.iter().map(|(table, column, _)| (*table, *column)).collect();
    assert_eq!(found, known, "say in schema/references.rs who looks whether what the column names is there");
}

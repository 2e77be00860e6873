//! Rules that hold for every table, asked of the catalogue.

use crate::catalogue::{Catalogue, Relation};
use crate::{Databases, KEPT, ROLES};

/// Endings of columns that hold one word of a list.
const LIST_LIKE: &[&str] = &[
    "type",
    "status",
    "state",
    "kind",
    "class",
    "reason",
    "algorithm",
    "level",
    "format",
    "category",
    "severity",
    "environment",
    "priority",
    "action",
    "result",
    "storage",
    "method",
    "engine",
    "code",
    "framework",
];

/// Text columns with such a name that need no CHECK, and why.
const FREE: &[(&str, &str, &str)] = &[
    ("audit_log", "action", "a verb of the program; a new one must not need a migration before it can be recorded"),
    ("audit_log", "event_type", "as action"),
    ("audit_log", "resource_type", "as action"),
    ("certificate_metadata", "category", "people's own word"),
    ("certificate_requests", "rejection_reason", "a sentence"),
    ("certificates", "key_algorithm", "whatever an imported certificate names"),
    ("certificates", "signature_algorithm", "whatever an imported certificate names"),
    ("encryption_keys", "algorithm", "the program's list, covered by row_mac; a new algorithm needs no migration"),
    ("key_rotation_history", "rotation_reason", "a sentence"),
    ("leases", "revocation_reason", "a sentence"),
    ("mounts", "type", "the program's list, covered by row_mac"),
    ("named_keys", "key_type", "the program's list, covered by row_mac; a new algorithm needs no migration"),
    ("notifications", "notification_type", "the program's list; nothing rests on it"),
    ("notifications", "related_resource_type", "as audit_log.resource_type"),
    ("organizations", "license_type", "the seller's word"),
    ("organizations", "org_code", "a name"),
    ("policies", "policy_code", "a name"),
    ("secure_audit_log", "action", "as audit_log.action"),
    ("secure_audit_log", "event_type", "as audit_log.action"),
    ("secure_audit_log", "resource_type", "as audit_log.action"),
    ("sessions", "invalidation_reason", "a sentence"),
    ("workflow_instances", "instance_code", "a name"),
    ("workflows", "workflow_code", "a name"),
];

/// Hot tables whose foreign keys are looked at by another way, with the reason; all others say theirs in a comment on the constraint.
fn unindexed(relation: &Relation) -> impl Iterator<Item = &str> {
    relation
        .constraints
        .iter()
        .filter(|constraint| constraint.kind == "f" && !constraint.indexed)
        .filter(|constraint| !constraint.comment.as_deref().is_some_and(|comment| comment.starts_with("No index: ")))
        .map(|constraint| constraint.name.as_str())
}

fn has_check(relation: &Relation, column: &str) -> bool {
    relation.constraints.iter().any(|constraint| constraint.kind == "c" && constraint.columns == [column])
}

/// Whether any role of the service can reach it.
fn granted_to_any(relation: &Relation) -> bool {
    ROLES[..4].iter().any(|role| relation.grants.contains_key(*role))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_keeps_the_rules() {
    let mut broken = Vec::new();
    for catalogue in Databases::new().await.catalogues().await {
        for (name, relation) in catalogue.tables() {
            let mut say = |what: String| broken.push(format!("{}.{name}: {what}", catalogue.name));
            if relation.comment.is_none() {
                say("COMMENT ON TABLE says what it is for".into());
            }
            unindexed(relation).for_each(|key| {
                say(format!("{key}: needs an index that begins with its columns, or a comment \"No index: …\""))
            });
            if relation.tenant_column(name).is_some() {
                if !relation.row_security || !relation.forced || relation.policies.is_empty() {
                    say("has organization_id, so it needs FORCE ROW LEVEL SECURITY and policies".into());
                }
                let column = relation.tenant_column(name).and_then(|tenant| relation.column(tenant));
                if !column.is_some_and(|column| column.not_null) {
                    say("organization_id must be NOT NULL".into());
                }
            }
            if relation.column("updated_at").is_some() && !relation.has_trigger("touch_updated_at") {
                say("has updated_at, so it needs the touch trigger".into());
            }
            if relation.column("row_mac").is_some() != relation.column("revision").is_some() && name != "key_wrappings"
            {
                say("revision and row_mac go together".into());
            }
            for column in relation.columns.iter().filter(|column| column.data_type == "text" && !column.generated) {
                let list_like =
                    LIST_LIKE.iter().any(|end| column.name == *end || column.name.ends_with(&format!("_{end}")));
                let free = FREE.iter().any(|(table, of, _)| table == name && *of == column.name);
                if list_like && !free && !has_check(relation, &column.name) {
                    say(format!("{} looks like one word of a list: CHECK it, or say in FREE why not", column.name));
                }
            }
            if !granted_to_any(relation) {
                say("nobody may use it".into());
            }
        }
        for (name, view) in catalogue.views() {
            if view.comment.is_none() {
                broken.push(format!("{name}: COMMENT ON VIEW says what it is for"));
            }
            if !view.options.iter().any(|option| option == "security_invoker=true") {
                broken.push(format!("{name}: needs security_invoker = true, else it shows all organizations' rows"));
            }
        }
        for (name, function) in &catalogue.functions {
            if function.security_definer && !function.settings.iter().any(|setting| setting.starts_with("search_path="))
            {
                broken.push(format!(
                    "{name}: SECURITY DEFINER without its own search_path runs what its caller puts in front"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reviewed_list_of_free_columns_names_no_column_that_is_gone_or_checked() {
    let catalogues = Databases::new().await.catalogues().await;
    for (table, column, reason) in FREE {
        let relation = catalogues
            .iter()
            .find_map(|catalogue| catalogue.relations.get(*table))
            .unwrap_or_else(|| panic!("{table} is gone"));
        assert!(relation.column(column).is_some(), "{table}.{column} is gone");
        assert!(!has_check(relation, column), "{table}.{column} has a CHECK: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_tables_are_there_and_nobody_may_delete_from_them() {
    let catalogues = Databases::new().await.catalogues().await;
    for table in KEPT {
        let relation = catalogues
            .iter()
            .find_map(|catalogue| catalogue.relations.get(table))
            .unwrap_or_else(|| panic!("{table} is missing"));
        for role in &ROLES[..4] {
            let may = relation.granted(role, "DELETE").is_some() || relation.granted(role, "TRUNCATE").is_some();
            assert_eq!(may, table == "sessions" && *role == ROLES[1], "{role} deletes from {table}");
        }
    }
    let views: Vec<&str> =
        catalogues.iter().flat_map(|catalogue| catalogue.views().map(|(name, _)| name.as_str())).collect();
    for view in [
        "active_certificates",
        "expiring_certificates",
        "active_users_with_roles",
        "pending_approvals",
        "certificate_summary",
    ] {
        assert!(views.contains(&view), "{view} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_read_by_the_backup_role_alone() {
    for database in Databases::new().await.all() {
        let mut superuser = database.2.superuser().await.unwrap();
        let grants: Vec<(String, Vec<String>)> = sqlx::query_as(
            "SELECT c.relname::text, ARRAY(SELECT concat_ws(' ', r.rolname, x.privilege_type) FROM aclexplode(c.relacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee \
             WHERE x.grantee <> c.relowner) FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'",
        )
        .fetch_all(&mut superuser)
        .await
        .unwrap();
        assert!(grants.len() >= 6, "{grants:?}");
        for (partition, grants) in grants {
            assert_eq!(
                grants,
                ["clm_backup SELECT"],
                "{partition}: row-level security does not reach who reads a partition by itself"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_to_everybody() {
    for Catalogue { name, relations, functions, surroundings, .. } in Databases::new().await.catalogues().await {
        let all = relations.iter().map(|(what, relation)| (what.as_str(), &relation.grants));
        let all = all.chain(functions.iter().map(|(what, function)| (what.as_str(), &function.grants)));
        for (what, grants) in all.chain(surroundings.iter().map(|(what, grants)| (*what, grants))) {
            let strangers: Vec<_> =
                grants.keys().filter(|role| !ROLES.contains(&role.as_str()) && *role != "pg_database_owner").collect();
            assert!(strangers.is_empty(), "{name}: {what} is granted to {strangers:?}");
        }
    }
}

//! `clm/`: what Vault has not. Organizations, roles, rules for certificates, workflows and the inventory by code, certificates and keys by id;
//! what is deleted comes back by `…/restore`.

mod entries;
mod fields;
mod organizations;
mod rows;

use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use Kind::{Boolean, Integer, List, Object, Objects, Text};
use clm_core::RegisteredKind;
use keyvault::Deletable;

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const LISTED: &[Parameter] = &[field("deleted", Boolean, "Those that were deleted, instead of those that are there")];

const ORGANIZATION: &[Parameter] = &[
    field("billing_email", Text, "Where bills go"),
    field("custom_metadata", Object, "Texts by name, as `sys/namespaces` keeps them"),
    field("description", Text, "A word for people"),
    field("industry", Text, "What it works in"),
    field("license_expires_at", Text, "When its licence ends, RFC 3339"),
    field("license_type", Text, "What its licence is called"),
    field("max_certificates", Integer, "Most certificates in its inventory; none: any number"),
    field("max_keys", Integer, "Most named keys that it may have; none: any number"),
    field("max_users", Integer, "Most people that it may have; none: any number"),
    field("org_name", Text, "What people call it; its code, unless said"),
    field("primary_contact_user_id", Text, "One of its people, by id"),
    field("status", Text, "`active`, `suspended` or `inactive`: its tokens are good while it is active"),
    field("support_email", Text, "Whom to ask"),
    field("website", Text, "Where to read of it"),
];

const ROLE: &[Parameter] = &[
    field("description", Text, "A word for people"),
    field("is_active", Boolean, "Whether whoever has it may what it permits"),
    field("parent_role_id", Text, "The role above it, by id: whoever has this one has what that one permits, too"),
    field(
        "permissions",
        Object,
        "Verbs by resource: `{\"certificates\":[\"read\",\"create\"]}`; `*` is all. Each is a few rules on paths",
    ),
    field("role_name", Text, "What people call it; its code, unless said"),
];

const POLICY: &[Parameter] = &[
    field("applies_to_cert_types", List, "Types of certificates; none: all"),
    field("compliance_frameworks", List, "What it serves"),
    field("description", Text, "A word for people"),
    field("effective_from", Text, "From when on, RFC 3339"),
    field("effective_until", Text, "Until when, RFC 3339"),
    field("enforcement_level", Text, "`mandatory`, `advisory` or `audit_only`"),
    field("policy_name", Text, "What people call it; its code, unless said"),
    field(
        "policy_rules",
        Object,
        "`{\"max_validity_days\":365,\"min_key_size\":2048,\"allowed_algorithms\":[\"RSA\"]}`",
    ),
    field("policy_type", Text, "`certificate`, `key_management`, `access_control`, `compliance` or `issuance`"),
    field("status", Text, "`draft`, `active`, `inactive` or `archived`"),
];

const WORKFLOW: &[Parameter] = &[
    field("approval_chain", Objects, "Who approves, one after the other"),
    field("auto_approve_conditions", Object, "When nobody needs to approve"),
    field("description", Text, "A word for people"),
    field("requires_approval", Boolean, "Whether somebody must approve"),
    field("status", Text, "`draft`, `active`, `inactive` or `archived`"),
    field("workflow_definition", Object, "`{\"steps\":[…]}`"),
    field("workflow_name", Text, "What people call it; its code, unless said"),
    field(
        "workflow_type",
        Text,
        "`certificate_request`, `renewal`, `revocation`, `key_rotation`, `import` or `export`",
    ),
];

const INVENTORY: &[Parameter] = &[
    field("category", Text, "People's own word"),
    field("custom_fields", Object, "Whatever people want to keep with it"),
    field("environment", Text, "`production`, `staging`, `development` or `testing`"),
    field("notes", Text, "A word for people"),
    field("owner_user_id", Text, "Who cares for it, by id"),
    field("tags", List, "Words to find it by"),
];

/// List, read, write, delete and restore, of each kind.
macro_rules! routes {
    (by code { $($kind:ident, $plural:literal, $one:literal, $fields:ident;)* } by id { $($row:ident, $rows:literal, $a:literal;)* }) => {
        &[
            $(Route {
                pattern: $plural,
                endpoints: &[Endpoint::new(Verb::List, concat!("clm-list-", $plural), concat!("Of each ", $one, ", its code"), |call| {
                    Box::pin(entries::list(call, RegisteredKind::$kind))
                })
                .with(LISTED)],
            },
            Route {
                pattern: concat!($plural, "/{name}"),
                endpoints: &[
                    Endpoint::new(Verb::Read, concat!("clm-read-", $plural), concat!("One ", $one), |call| {
                        Box::pin(entries::read(call, RegisteredKind::$kind))
                    }),
                    Endpoint::new(Verb::Write, concat!("clm-write-", $plural), concat!("Make one ", $one, ", or change what is named of it"), |call| {
                        Box::pin(entries::write(call, RegisteredKind::$kind, $fields))
                    })
                    .with($fields)
                    .creating(|context, _, captures| entries::exists(context, RegisteredKind::$kind, captures)),
                    Endpoint::new(Verb::Delete, concat!("clm-delete-", $plural), concat!("Delete one ", $one, ", so that it can be restored"), |call| {
                        Box::pin(entries::delete(call, RegisteredKind::$kind))
                    }),
                ],
            },
            Route {
                pattern: concat!($plural, "/{name}/restore"),
                endpoints: &[Endpoint::new(Verb::Write, concat!("clm-restore-", $plural), concat!("Bring one ", $one, " back that was deleted"), |call| {
                    Box::pin(entries::restore(call, RegisteredKind::$kind))
                })],
            },)*
            $(Route {
                pattern: $rows,
                endpoints: &[Endpoint::new(Verb::List, concat!("clm-list-", $rows), concat!("Of each ", $a, ", its id"), |call| {
                    Box::pin(rows::list(call, Deletable::$row))
                })
                .with(LISTED)],
            },
            Route {
                pattern: concat!($rows, "/{id}"),
                endpoints: &[
                    Endpoint::new(Verb::Read, concat!("clm-read-", $rows), concat!("One ", $a, ", without what is secret"), |call| {
                        Box::pin(rows::read(call, Deletable::$row))
                    }),
                    Endpoint::new(Verb::Delete, concat!("clm-delete-", $rows), concat!("Delete one ", $a, ", so that it can be restored"), |call| {
                        Box::pin(rows::delete(call, Deletable::$row))
                    }),
                ],
            },
            Route {
                pattern: concat!($rows, "/{id}/restore"),
                endpoints: &[Endpoint::new(Verb::Write, concat!("clm-restore-", $rows), concat!("Bring one ", $a, " back that was deleted"), |call| {
                    Box::pin(rows::restore(call, Deletable::$row))
                })],
            },)*
            Route {
                pattern: "organization-tokens/{name}",
                endpoints: &[Endpoint::new(Verb::Write, "clm-create-organization-token", "A root token of another organization, for who is to administer it", |call| {
                    Box::pin(organizations::token(call))
                })],
            },
            Route {
                pattern: "deleted/{kind}",
                endpoints: &[Endpoint::new(Verb::List, "clm-list-deleted", "What was deleted and can be restored, of a kind as its path names it", |call| {
                    Box::pin(rows::deleted(call))
                })],
            },
        ]
    };
}

pub(crate) const ROUTES: &[Route] = routes! {
    by code {
        Inventory, "inventory", "certificate of the inventory", INVENTORY;
        Organization, "organizations", "organization", ORGANIZATION;
        Policy, "policies", "policy for certificates and keys", POLICY;
        Role, "roles", "role", ROLE;
        Workflow, "workflows", "workflow", WORKFLOW;
    }
    by id {
        CertificateRequest, "certificate-requests", "request for a certificate";
        Certificate, "certificates", "certificate";
        PrivateKey, "private-keys", "version of a pair of keys";
    }
};

//! Resources, their verbs, and the paths that each verb is about.

use super::super::capability::Capability;
use Capability::{Create, Delete, List, Patch, Read, Sudo, Update};

/// What a path is below.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Fixed,
    FirstSecrets,
    People,
    Secrets,
    Transit,
}

/// Capabilities on a path, which is one of a policy: `+` is any segment, a final `*` whatever follows.
pub(super) type Rule = (Place, &'static str, &'static [Capability]);

const fn at(path: &'static str, capabilities: &'static [Capability]) -> Rule {
    (Place::Fixed, path, capabilities)
}

const fn transit(path: &'static str, capabilities: &'static [Capability]) -> Rule {
    (Place::Transit, path, capabilities)
}

const fn secrets(path: &'static str, capabilities: &'static [Capability]) -> Rule {
    (Place::Secrets, path, capabilities)
}

const fn first(path: &'static str, capabilities: &'static [Capability]) -> Rule {
    (Place::FirstSecrets, path, capabilities)
}

const fn people(path: &'static str, capabilities: &'static [Capability]) -> Rule {
    (Place::People, path, capabilities)
}

pub(super) type Verbs = &'static [(&'static str, &'static [Rule])];

/// Resources with their verbs. Verbs without a rule are those of what the API does not offer yet: they may be kept in roles and give nothing.
pub(super) const TABLE: &[(&str, Verbs)] = &[
    (
        "access_policies",
        &[
            (
                "read",
                &[
                    at("sys/policies/acl", &[List]),
                    at("sys/policies/acl/*", &[Read]),
                    at("sys/policy", &[List, Read]),
                    at("sys/policy/*", &[Read]),
                    at("clm/access-policies", &[List]),
                    at("clm/access-policies/+", &[Read]),
                    at("clm/access/explain", &[Update]),
                ],
            ),
            (
                "update",
                &[
                    at("sys/policies/acl/*", &[Update]),
                    at("sys/policy/*", &[Update]),
                    at("clm/access-policies/+", &[Update]),
                ],
            ),
            (
                "delete",
                &[
                    at("sys/policies/acl/*", &[Delete]),
                    at("sys/policy/*", &[Delete]),
                    at("clm/access-policies/+", &[Delete]),
                ],
            ),
        ],
    ),
    ("audit", &[("read", &[at("sys/audit", &[Read, Sudo]), at("sys/audit-hash/*", &[Update])])]),
    (
        "certificate_requests",
        &[
            ("read", &[at("clm/certificate-requests", &[List]), at("clm/certificate-requests/+", &[Read])]),
            (
                "delete",
                &[at("clm/certificate-requests/+", &[Delete]), at("clm/certificate-requests/+/restore", &[Update])],
            ),
            ("create", &[]),
            ("approve", &[]),
            ("reject", &[]),
            ("cancel", &[]),
        ],
    ),
    (
        "certificates",
        &[
            (
                "read",
                &[
                    at("clm/certificates", &[List]),
                    at("clm/certificates/+", &[Read]),
                    at("clm/inventory", &[List]),
                    at("clm/inventory/+", &[Read]),
                ],
            ),
            ("create", &[at("clm/inventory/+", &[Create])]),
            ("update", &[at("clm/inventory/+", &[Update])]),
            (
                "delete",
                &[
                    at("clm/certificates/+", &[Delete]),
                    at("clm/certificates/+/restore", &[Update]),
                    at("clm/inventory/+", &[Delete]),
                    at("clm/inventory/+/restore", &[Update]),
                ],
            ),
            ("revoke", &[]),
            ("export", &[]),
        ],
    ),
    (
        "keys",
        &[
            (
                "read",
                &[
                    at("clm/private-keys", &[List]),
                    at("clm/private-keys/+", &[Read]),
                    transit("aliases", &[List]),
                    transit("aliases/+", &[Read]),
                    transit("keys", &[List]),
                    transit("keys/+", &[Read]),
                    transit("keys/+/aliases", &[Read]),
                    transit("keys/+/state", &[Read]),
                    transit("keys/+/usage", &[Read]),
                ],
            ),
            (
                "create",
                &[transit("keys/+", &[Update]), transit("keys/+/import", &[Update]), transit("wrapping_key", &[Read])],
            ),
            (
                "update",
                &[
                    transit("aliases/+", &[Delete, Update]),
                    transit("keys/+/config", &[Update]),
                    transit("keys/+/csr", &[Update]),
                    transit("keys/+/set-certificate", &[Update]),
                    transit("keys/+/state", &[Update]),
                    transit("keys/+/state/+", &[Update]),
                ],
            ),
            ("rotate", &[transit("keys/+/import_version", &[Update]), transit("keys/+/rotate", &[Update])]),
            (
                "delete",
                &[
                    at("clm/private-keys/+", &[Delete]),
                    at("clm/private-keys/+/restore", &[Update]),
                    transit("keys/+", &[Delete]),
                    transit("keys/+/cancel-destruction", &[Update]),
                    transit("keys/+/schedule-destruction", &[Update]),
                    transit("keys/+/soft-delete", &[Delete]),
                    transit("keys/+/soft-delete-restore", &[Update]),
                    transit("keys/+/trim", &[Update]),
                ],
            ),
            (
                "export",
                &[
                    transit("backup/+", &[Read]),
                    transit("byok-export/+/+", &[Read]),
                    transit("byok-export/+/+/+", &[Read]),
                    transit("export/+/+", &[Read]),
                    transit("export/+/+/+", &[Read]),
                ],
            ),
            ("sign", &[transit("sign/+", &[Update]), transit("sign/+/+", &[Update])]),
            ("verify", &[transit("verify/+", &[Update]), transit("verify/+/+", &[Update])]),
            ("encrypt", &[transit("encrypt/+", &[Update]), transit("rewrap/+", &[Update])]),
            ("decrypt", &[transit("decrypt/+", &[Update])]),
            (
                "mac",
                &[
                    transit("cmac/+", &[Update]),
                    transit("cmac/+/+", &[Update]),
                    transit("hmac/+", &[Update]),
                    transit("hmac/+/+", &[Update]),
                ],
            ),
        ],
    ),
    (
        "notifications",
        &[
            ("read", &[at("clm/notifications", &[List]), at("clm/notifications/+", &[Read])]),
            ("update", &[at("clm/notifications/+/read", &[Update])]),
        ],
    ),
    (
        "organizations",
        &[
            (
                "read",
                &[
                    at("clm/organizations", &[List]),
                    at("clm/organizations/+", &[Read]),
                    at("sys/namespaces", &[List]),
                    at("sys/namespaces/+", &[Read]),
                ],
            ),
            ("create", &[at("clm/organizations/+", &[Create]), at("sys/namespaces/+", &[Create])]),
            ("update", &[at("clm/organizations/+", &[Update]), at("sys/namespaces/+", &[Patch, Update])]),
            (
                "delete",
                &[
                    at("clm/organizations/+", &[Delete]),
                    at("clm/organizations/+/restore", &[Update]),
                    at("sys/namespaces/+", &[Delete]),
                ],
            ),
        ],
    ),
    (
        "policies",
        &[
            ("read", &[at("clm/policies", &[List]), at("clm/policies/+", &[Read])]),
            ("create", &[at("clm/policies/+", &[Create])]),
            ("update", &[at("clm/policies/+", &[Update])]),
            ("delete", &[at("clm/policies/+", &[Delete]), at("clm/policies/+/restore", &[Update])]),
        ],
    ),
    (
        "roles",
        &[
            (
                "read",
                &[
                    at("clm/roles", &[List]),
                    at("clm/roles/+", &[Read]),
                    at("clm/roles/+/users", &[List]),
                    at("clm/user-roles", &[List]),
                    at("clm/user-roles/+", &[List]),
                    at("clm/user-roles/+/+", &[Read]),
                ],
            ),
            ("create", &[at("clm/roles/+", &[Create])]),
            ("update", &[at("clm/roles/+", &[Update])]),
            ("delete", &[at("clm/roles/+", &[Delete]), at("clm/roles/+/restore", &[Update])]),
            ("assign", &[at("clm/user-roles/+/+", &[Create, Delete, Update])]),
        ],
    ),
    (
        "secrets",
        &[
            (
                "read",
                &[
                    at("clm/secrets", &[List, Read]),
                    first("*", &[List, Read]),
                    secrets("data/*", &[Read]),
                    secrets("metadata/*", &[List, Read]),
                    secrets("subkeys/*", &[Read]),
                ],
            ),
            ("create", &[first("*", &[Create]), secrets("data/*", &[Create]), secrets("metadata/*", &[Create])]),
            (
                "update",
                &[first("*", &[Update]), secrets("data/*", &[Patch, Update]), secrets("metadata/*", &[Patch, Update])],
            ),
            (
                "delete",
                &[
                    first("*", &[Delete]),
                    secrets("data/*", &[Delete]),
                    secrets("delete/*", &[Update]),
                    secrets("destroy/*", &[Update]),
                    secrets("metadata/*", &[Delete]),
                    secrets("undelete/*", &[Update]),
                ],
            ),
            // What decides about clm/secrets/NAME/rotate.
            ("rotate", &[at("secret/rotate/*", &[Update])]),
        ],
    ),
    (
        "users",
        &[
            ("read", &[people("users", &[List]), people("users/+", &[Read]), people("users/+/totp", &[Read])]),
            ("create", &[people("users/+", &[Create])]),
            (
                "update",
                &[
                    people("users/+", &[Update]),
                    people("users/+/password", &[Update]),
                    people("users/+/policies", &[Update]),
                    people("users/+/totp", &[Delete]),
                ],
            ),
            ("delete", &[people("users/+", &[Delete])]),
        ],
    ),
    (
        "workflows",
        &[
            ("read", &[at("clm/workflows", &[List]), at("clm/workflows/+", &[Read])]),
            ("create", &[at("clm/workflows/+", &[Create])]),
            ("update", &[at("clm/workflows/+", &[Update])]),
            ("delete", &[at("clm/workflows/+", &[Delete]), at("clm/workflows/+/restore", &[Update])]),
            ("approve", &[]),
            ("reject", &[]),
        ],
    ),
];

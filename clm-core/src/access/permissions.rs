//! What roles permit, as rules on paths: verbs by resource, each of which is a few rules of the one policy engine. Pure.
//!
//! A role's rules grant by themselves, as those of policies about secrets do: whatever else somebody has takes nothing of them away but a
//! rule of a policy that says `deny`. Which paths there are depends on where the organization's engines and login methods are mounted
//! ([`Grounds`]). The table is data; `tests/routes/permissions.rs` holds it against what the API offers.

use super::capability::{Capabilities, Capability};
use super::parse::{Effect, Policy, Statement};
use super::secrets::Conditions;
use Capability::{Create, Delete, List, Patch, Read, Sudo, Update};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Every resource, or every verb.
const ALL: &str = "*";
/// What rules of roles are told by, in front of the role's code: no policy has such a name, for those are in small letters.
pub const ROLE_PREFIX: &str = "role:";

/// Verbs by resource, as roles keep them.
pub type Permissions = BTreeMap<String, Vec<String>>;

/// Where an organization's engines and login methods are, as paths of requests that end in `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// Of type `transit`.
    pub transit: Vec<String>,
    /// Of KV, version 1.
    pub first_secrets: Vec<String>,
    /// Of KV, version 2.
    pub secrets: Vec<String>,
    /// Of type `userpass`, with `auth/` in front.
    pub people: Vec<String>,
}

/// From when on and until when somebody has a role; `None`: since ever, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub from: Option<DateTime<Utc>>,
    /// Not any more then.
    pub until: Option<DateTime<Utc>>,
}

/// What a path is below.
#[derive(Clone, Copy, Debug)]
enum Place {
    Fixed,
    FirstSecrets,
    People,
    Secrets,
    Transit,
}

/// Capabilities on a path, which is one of a policy: `+` is any segment, a final `*` whatever follows.
type Rule = (Place, &'static str, &'static [Capability]);

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

type Verbs = &'static [(&'static str, &'static [Rule])];

/// Resources with their verbs. Verbs without a rule are those of what the API does not offer yet: they may be kept in roles and give nothing.
const TABLE: &[(&str, Verbs)] = &[
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

/// Everything, of a role that permits every verb of every resource.
const EVERYTHING: &[Capability] = &[Create, Delete, List, Patch, Read, Sudo, Update];

/// What is wrong with permissions that somebody writes, for that person.
pub fn check_permissions(permissions: &Permissions) -> Result<(), String> {
    for (resource, verbs) in permissions {
        let of_resource: Vec<Verbs> = rows(resource).map(|(_, verbs)| verbs).collect();
        if of_resource.is_empty() {
            let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
            return Err(format!("permissions: {resource:?} is no resource: {} or *", known.join(", ")));
        }
        let known = |verb: &String| verb == ALL || of_resource.iter().copied().flatten().any(|(name, _)| name == verb);
        if let Some(verb) = verbs.iter().find(|verb| !known(verb)) {
            let names: Vec<&str> = of_resource.iter().copied().flatten().map(|(name, _)| *name).collect();
            let which = if resource == ALL { "any resource".to_owned() } else { format!("{}, *", names.join(", ")) };
            return Err(format!("permissions: {verb:?} is no verb of {resource}: {which}"));
        }
    }
    Ok(())
}

/// What a role's permissions are as rules, told by `role:CODE`; words that mean nothing grant nothing.
pub fn of_role(code: &str, permissions: &Permissions, grounds: &Grounds, validity: Validity) -> Policy {
    let mut statements = Vec::new();
    for (resource, verbs) in permissions {
        if resource == ALL && verbs.iter().any(|verb| verb == ALL) {
            statements.push(statement("*".into(), EVERYTHING));
            continue;
        }
        let wanted = |verb: &str| verbs.iter().any(|wanted| wanted == ALL || wanted == verb);
        let rules = rows(resource).flat_map(|(_, verbs)| verbs).filter(|(verb, _)| wanted(verb));
        for (place, path, capabilities) in rules.flat_map(|(_, rules)| *rules) {
            let below = grounds.of(*place);
            statements.extend(below.map(|mount| statement(format!("{mount}{path}"), capabilities)));
        }
    }
    let conditions = Conditions { valid_from: validity.from, valid_until: validity.until, ..Conditions::default() };
    Policy { name: format!("{ROLE_PREFIX}{code}").into(), statements, effect: Effect::Grants, conditions }
}

/// Every rule that a permission stands for, where everything is mounted at its usual path: resource, verb, path and capability. For tests that
/// hold it against the API.
pub fn reached_by_permissions() -> impl Iterator<Item = (&'static str, &'static str, String, Capability)> {
    let usual = Grounds {
        transit: vec!["transit/".into()],
        first_secrets: vec!["kv/".into()],
        secrets: vec!["secret/".into()],
        people: vec!["auth/userpass/".into()],
    };
    let mut reached = Vec::new();
    for (resource, verbs) in TABLE {
        for (verb, rules) in *verbs {
            for (place, path, capabilities) in *rules {
                for mount in usual.of(*place) {
                    let path = format!("{mount}{path}");
                    reached.extend(capabilities.iter().map(|capability| (*resource, *verb, path.clone(), *capability)));
                }
            }
        }
    }
    reached.into_iter()
}

fn rows(resource: &str) -> impl Iterator<Item = (&'static str, Verbs)> {
    TABLE.iter().copied().filter(move |(name, _)| resource == ALL || *name == resource)
}

fn statement(path: String, capabilities: &[Capability]) -> Statement {
    Statement::granting(path, capabilities.iter().copied().collect::<Capabilities>())
}

impl Grounds {
    /// Mounts at which what is below them would be a wildcard are left out: a rule would say more than it should.
    fn of(&self, place: Place) -> impl Iterator<Item = &str> {
        const SERVICE: &[&str] = &[""];
        let literal = |path: &&str| !path.contains('*') && !path.split('/').any(|segment| segment == "+");
        let (fixed, mounts): (&[&str], &[String]) = match place {
            Place::Fixed => (SERVICE, &[]),
            Place::FirstSecrets => (&[], &self.first_secrets),
            Place::People => (&[], &self.people),
            Place::Secrets => (&[], &self.secrets),
            Place::Transit => (&[], &self.transit),
        };
        fixed.iter().copied().chain(mounts.iter().map(String::as_str)).filter(literal)
    }
}

//! What roles permit, as rules on paths: verbs by resource, each of which is a few rules of the one policy engine. Pure.
//!
//! A role's rules grant by themselves, as those of policies about secrets do: whatever else somebody has takes nothing of them away but a
//! rule of a policy that says `deny`. Which paths there are depends on where the organization's engines and login methods are mounted
//! ([`Grounds`]). The table (`table`) is data; `tests/routes/permissions.rs` holds it against what the API offers.

mod table;

use super::capability::{Capabilities, Capability};
use super::parse::{Effect, Policy, Statement};
use super::secrets::Conditions;
use Capability::{Create, Delete, List, Patch, Read, Sudo, Update};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use table::{Place, TABLE, Verbs};

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

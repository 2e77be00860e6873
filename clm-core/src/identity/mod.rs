//! Who somebody is, whatever way was used to log in.
//!
//! An entity is a person or a program; an alias is the name by which one login method knows it; groups hold entities and groups. What
//! policies they give counts beside the token's own, at each decision: a token keeps the id of its entity, and a server keeps what it read
//! of that ([`Persona`]) until PostgreSQL tells of a change.

mod alias;
mod delete;
mod entity;
mod group;
mod group_alias;
mod group_write;
mod login;
mod merge;
mod persona;

// The public interface is:
pub use alias::{AliasChange, EntityAlias};
pub use entity::{Entity, EntityChange, EntityName};
pub use group::{Group, GroupMember, GroupView};
pub use group_alias::GroupAliasChange;
pub use group_write::GroupChange;
pub use merge::EntityMerge;
pub use persona::Persona;

pub(crate) use login::{Claim, Recognised};

use crate::error::{Error, Result};
use crate::token::{ROOT_POLICY, WRAPPING_POLICY, sanitized};
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::types::Json;
use std::collections::BTreeMap;

/// How often a change is tried anew when somebody else changes the same thing.
const ATTEMPTS: usize = 5;
/// Characters that a name has, at most: of an entity or group, and that by which a login method knows an entity.
pub(crate) const LONGEST_NAME: usize = 512;

/// Texts by name, as a table keeps them.
pub(crate) type Texts = Json<BTreeMap<String, String>>;

fn checked_name(name: &str, what: &'static str) -> Result<()> {
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the name of {what} has 1 to {LONGEST_NAME} characters, none of them a control character"
        )));
    }
    Ok(())
}

/// Sorted, lower case.
fn checked_policies(policies: &[String]) -> Result<Vec<String>> {
    let policies = sanitized(policies);
    match policies.iter().find(|policy| *policy == ROOT_POLICY || *policy == WRAPPING_POLICY) {
        Some(policy) => Err(Error::invalid(format!("policies cannot contain {policy}"))),
        None => Ok(policies),
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn shown(texts: Option<&Texts>) -> serde_json::Value {
    texts.filter(|texts| !texts.is_empty()).map_or(serde_json::Value::Null, |texts| serde_json::json!(texts.0))
}

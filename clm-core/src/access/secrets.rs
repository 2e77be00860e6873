//! Policies about secrets by their names, as rules of the one policy engine. Pure.
//!
//! A document says which secrets (`allowed_secrets`), what may be done with them (`allowed_operations`) and under which `conditions` it counts at all.
//! Names become paths of the KV engine; a policy that denies (`deny_policy`) beats whatever another grants, however narrow that is.

use super::capability::{Capabilities, Capability};
use super::name::{self, NAMED_MOUNT};
use super::parse::{Effect, Policy, PolicyError, Statement};
use crate::cidr;
use chrono::{DateTime, Datelike, NaiveTime, Utc, Weekday};
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;

/// Wildcards of one document.
const MOST_WILDCARDS: usize = 1_000;

/// What a document says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsPolicy {
    /// Names; a whole part `*` is any part, a final `*` whatever follows.
    pub allowed_secrets: Vec<String>,
    /// What may be done with them; of a policy that denies, what may not.
    pub allowed_operations: Vec<SecretOperation>,
    /// When it counts.
    #[serde(default)]
    pub conditions: Conditions,
}

/// What can be done with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum SecretOperation {
    Create,
    Delete,
    List,
    Read,
    Rotate,
    Update,
    /// Create and update.
    Write,
}

/// When a policy counts: all that is said must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Within these hours.
    pub time_window: Option<TimeWindow>,
    /// For requests from these networks.
    #[serde(deserialize_with = "networks")]
    pub source_cidrs: Vec<IpNet>,
    /// For so many seconds after the token was made.
    pub max_ttl_seconds: Option<u64>,
    /// From then on; no document says so, but who gives somebody a role.
    #[serde(skip)]
    pub valid_from: Option<DateTime<Utc>>,
    /// Until then, likewise.
    #[serde(skip)]
    pub valid_until: Option<DateTime<Utc>>,
}

/// Hours of days, in UTC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// `HH:MM`, within the window.
    #[serde(deserialize_with = "time_of_day")]
    pub start: NaiveTime,
    /// `HH:MM`, after the window; before `start`: on the next day. The same as `start`: the whole day.
    #[serde(deserialize_with = "time_of_day")]
    pub end: NaiveTime,
    /// `mon` to `sun`, on which it begins; none: all.
    #[serde(default, deserialize_with = "days")]
    pub days: Vec<Weekday>,
}

/// A request, as far as conditions ask.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Now.
    pub now: DateTime<Utc>,
    /// Where it comes from, if that is known.
    pub source: Option<IpAddr>,
    /// When its token was made.
    pub token_made: DateTime<Utc>,
}

fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| cidr::parse(text).map_err(serde::de::Error::custom);
    texts.iter().map(parse).collect()
}

fn time_of_day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M").map_err(|_| serde::de::Error::custom(format!("{text:?} is no HH:MM")))
}

fn days<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Weekday>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse =
        |text: &String| text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no day: mon to sun")));
    texts.iter().map(parse).collect()
}

impl TimeWindow {
    fn holds(&self, now: DateTime<Utc>) -> bool {
        let (time, today) = (now.time(), now.weekday());
        let on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        if self.start < self.end {
            return on(today) && self.start <= time && time < self.end;
        }
        // Over midnight: what began yesterday goes on.
        (on(today) && self.start <= time) || (on(today.pred()) && time < self.end)
    }
}

impl Conditions {
    /// Whether a policy counts. `unknown`: what to think of a request whose source is not known.
    pub(super) fn hold(&self, at: &Circumstances, unknown: bool) -> bool {
        self.failing(at, unknown).is_none()
    }

    /// Which of them does not hold.
    pub(super) fn failing(&self, at: &Circumstances, unknown: bool) -> Option<&'static str> {
        let from = self.source_cidrs.is_empty()
            || at.source.map_or(unknown, |source| cidr::permits(&self.source_cidrs, Some(source)));
        let young = self.max_ttl_seconds.is_none_or(|seconds| {
            let age = (at.now - at.token_made).num_seconds();
            u64::try_from(age).unwrap_or(0) < seconds
        });
        if !from {
            Some("source_cidrs: the request does not come from there")
        } else if !young {
            Some("max_ttl_seconds: the token was made too long ago")
        } else if self.time_window.as_ref().is_some_and(|window| !window.holds(at.now)) {
            Some("time_window: it is not the time")
        } else if self.valid_from.is_some_and(|from| at.now < from) {
            Some("valid_from: the role is not given yet")
        } else if self.valid_until.is_some_and(|until| until <= at.now) {
            Some("valid_until: the role was given until then")
        } else {
            None
        }
    }

    /// Whether there are any.
    pub(super) fn are_none(&self) -> bool {
        let Self { time_window, source_cidrs, max_ttl_seconds, valid_from, valid_until } = self;
        let timeless = time_window.is_none() && valid_from.is_none() && valid_until.is_none();
        timeless && source_cidrs.is_empty() && max_ttl_seconds.is_none()
    }
}

impl SecretsPolicy {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Self = serde_json::from_str(text).map_err(|error| PolicyError::new(error.to_string()))?;
        if document.allowed_secrets.is_empty() || document.allowed_operations.is_empty() {
            return Err(PolicyError::new("allowed_secrets and allowed_operations must not be empty".into()));
        }
        if document.allowed_secrets.len() > MOST_WILDCARDS {
            return Err(PolicyError::new(format!("allowed_secrets has at most {MOST_WILDCARDS} wildcards")));
        }
        for wildcard in &document.allowed_secrets {
            pattern(wildcard).map_err(PolicyError::new)?;
        }
        if document.conditions.max_ttl_seconds == Some(0) {
            return Err(PolicyError::new("conditions: max_ttl_seconds must be positive".into()));
        }
        Ok(document)
    }

    /// The same as rules on paths. `denies`: they forbid.
    pub fn compile(&self, name: &str, denies: bool) -> Policy {
        let mut statements = Vec::new();
        let may_look = |operation| matches!(operation, SecretOperation::List | SecretOperation::Read);
        if !denies && self.allowed_operations.iter().copied().any(may_look) {
            // What a search shows is decided name by name.
            let look = [Capability::List, Capability::Read].into_iter().collect();
            statements.push(Statement::granting("clm/secrets".into(), look));
        }
        for wildcard in &self.allowed_secrets {
            // Looked at when the document was read.
            let Ok(path) = pattern(wildcard) else { continue };
            for operation in &self.allowed_operations {
                operation.rules(&path, &mut |path, capabilities: &[Capability]| {
                    statements.push(Statement::granting(path, capabilities.iter().copied().collect::<Capabilities>()));
                });
            }
        }
        let effect = if denies { Effect::Denies } else { Effect::Grants };
        Policy { name: name.into(), statements, effect, conditions: self.conditions.clone() }
    }
}

impl SecretOperation {
    /// On which paths of the KV engine it needs which capabilities, for secrets whose paths fit `path`.
    fn rules(self, path: &str, add: &mut impl FnMut(String, &[Capability])) {
        use Capability::{Create, Delete, List, Patch, Read, Update};
        let mut on = |view: &str, capabilities: &[Capability]| add(format!("{NAMED_MOUNT}{view}/{path}"), capabilities);
        match self {
            Self::Create => {
                on("data", &[Create]);
                on("metadata", &[Create]);
            }
            Self::Delete => {
                on("data", &[Delete]);
                on("metadata", &[Delete]);
                for view in ["delete", "undelete", "destroy"] {
                    on(view, &[Update]);
                }
            }
            Self::List => on("metadata", &[List]),
            Self::Read => {
                on("data", &[Read]);
                on("metadata", &[Read]);
                on("subkeys", &[Read]);
            }
            Self::Rotate => on("rotate", &[Update]),
            Self::Update => {
                on("data", &[Patch, Update]);
                on("metadata", &[Patch, Update]);
            }
            Self::Write => {
                Self::Create.rules(path, add);
                Self::Update.rules(path, add);
            }
        }
    }
}

/// A wildcard over names as one over paths: a whole part `*` becomes `+`, a final `*` stays.
pub(super) fn pattern(wildcard: &str) -> Result<String, String> {
    let refused = || {
        format!(
            "allowed_secrets: {wildcard:?} is no name with wildcards: parts with dots between them, `*` in place of a whole part or at the end"
        )
    };
    if wildcard.chars().count() > name::LONGEST_NAME {
        return Err(format!("allowed_secrets: a wildcard has at most {} characters", name::LONGEST_NAME));
    }
    let (literal, ends_open) = wildcard.strip_suffix('*').map_or((wildcard, false), |literal| (literal, true));
    let mut parts: Vec<&str> = literal.split('.').collect();
    // What stands before the final `*` begins a part.
    let beginning = if ends_open { parts.pop() } else { None };
    if beginning
        .is_some_and(|beginning| !beginning.is_empty() && !name::is_part(beginning.trim_end_matches(['-', '_'])))
    {
        return Err(refused());
    }
    let mut path = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            "*" => path.push("+"),
            part if name::is_part(part) => path.push(part),
            _ => return Err(refused()),
        }
    }
    let end = beginning.map(|beginning| format!("{beginning}*"));
    Ok(path.into_iter().chain(end.as_deref()).collect::<Vec<_>>().join("/"))
}

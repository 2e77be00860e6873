//! What one record says.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use uuid::Uuid;

/// Who asks, through which request. Handed to every verb; goes into its record.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The request's id, also the answer's `request_id`.
    pub request_id: Uuid,
    /// Organization the request speaks for.
    pub organization_id: Uuid,
    /// The user behind the token, if there is one.
    pub user_id: Option<Uuid>,
    /// The entity that bears the token, if there is one.
    pub entity_id: Option<Uuid>,
    /// The token's accessor (never the token); empty for the service itself.
    pub accessor: Arc<str>,
    /// The token's display name, `root` or `token-app`; `system` for jobs.
    pub display_name: Arc<str>,
    /// Address of the client.
    pub ip_address: Option<IpAddr>,
    /// The client's `User-Agent`, cut to 256 characters.
    pub user_agent: Option<Arc<str>>,
    /// Path asked for, without `/v1/`.
    pub path: Arc<str>,
    /// Why the request may, or may not; none for the service's own work.
    pub verdict: Option<Verdict>,
    /// How the request came; none for the service's own work.
    pub arrival: Option<Arc<Arrival>>,
}

/// How a request came.
#[derive(Debug)]
pub struct Arrival {
    /// When.
    pub began: Instant,
    /// What its client calls the work that it is part of (`X-Correlation-ID`), cut to 128 characters.
    pub correlation_id: Option<Arc<str>>,
    told: AtomicBool,
    told_as_failed: AtomicBool,
}

impl Arrival {
    /// A request that came then; no record tells of it yet.
    pub fn new(began: Instant, correlation_id: Option<Arc<str>>) -> Self {
        Self { began, correlation_id, told: AtomicBool::new(false), told_as_failed: AtomicBool::new(false) }
    }

    /// Whether a record that tells of it is durable; of one that `failed`, a record of what went well before does not.
    pub fn is_told(&self, failed: bool) -> bool {
        let told = if failed { &self.told_as_failed } else { &self.told };
        told.load(Ordering::Acquire)
    }
}

/// The same way to come; whether it is told of changes with time.
impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.began == other.began && self.correlation_id == other.correlation_id
    }
}

impl Eq for Arrival {}

impl Caller {
    /// What all its records say in their data: how whoever asks is called, and which entity that is, what was decided, and what the client calls the work.
    pub fn describe(&self, data: &mut BTreeMap<String, Value>) {
        if !self.display_name.is_empty() {
            data.insert("display_name".into(), Value::Text(self.display_name.to_string().into()));
        }
        if let Some(entity_id) = self.entity_id {
            data.insert("caller_entity_id".into(), Value::Text(entity_id.to_string().into()));
        }
        if let Some(verdict) = &self.verdict {
            verdict.add_to(data);
        }
        if let Some(correlation_id) = self.arrival.as_ref().and_then(|arrival| arrival.correlation_id.as_deref()) {
            data.insert("correlation_id".into(), Value::Text(correlation_id.to_owned().into()));
        }
    }
}

/// What was decided about a request, and what that rests on. Small: every request carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may.
    pub decided: Decided,
    /// The rule that decided; none where no rule speaks of the path, and where none is asked.
    pub rule: Option<Arc<MatchedRule>>,
}

/// Whether a request may pass, and on whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// A policy denies it, or none grants it.
    Denied,
    /// A policy grants it.
    Granted,
    /// Anybody may: no token was asked for.
    Open,
    /// The policy `root` may do everything.
    Root,
    /// Whoever has a good token may: no policy was asked.
    Token,
}

impl Decided {
    /// In records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Open => "open",
            Self::Root => "root",
            Self::Token => "token",
        }
    }
}

/// A rule of policies, as records name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// The path as policies write it.
    pub path: String,
    /// Policies that speak of it.
    pub policies: Vec<Arc<str>>,
}

impl Verdict {
    /// Where no rule was asked, or none was found.
    pub fn by(decided: Decided) -> Self {
        Self { decided, rule: None }
    }

    /// `decision`, and where a rule decided `rule` and `policies`.
    fn add_to(&self, data: &mut BTreeMap<String, Value>) {
        data.insert("decision".into(), Value::Text(self.decided.name().into()));
        if let Some(rule) = &self.rule {
            data.insert("rule".into(), Value::Text(rule.path.clone().into()));
            let policies = rule.policies.iter().map(|policy| Value::Text(policy.to_string().into())).collect();
            data.insert("policies".into(), Value::List(policies));
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Refused or failed.
    Failure,
    /// Some items of a batch.
    Partial,
    /// Done.
    Success,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the schema's")]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

/// A value in `event_data`. No floats: they have no canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the words are JSON's")]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(Cow<'static, str>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

/// One thing that happened; what the chain hashes (together with chain, sequence and previous hash).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// UUIDv7.
    pub id: Uuid,
    /// UTC, cut to microseconds.
    pub timestamp: DateTime<Utc>,
    /// `key.sign`, `token.create`, …: noun.verb.
    pub event_type: Cow<'static, str>,
    /// One of the log's categories (schema-checked).
    pub category: Cow<'static, str>,
    /// How much it matters.
    pub severity: Severity,
    /// Organization concerned.
    pub organization_id: Uuid,
    /// Kind of thing concerned.
    pub resource_type: Cow<'static, str>,
    /// Its id.
    pub resource_id: Option<String>,
    /// The verb, as in the API: `sign`, `create`.
    pub action: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed; nothing secret.
    pub error_message: Option<String>,
    /// SHA-256 of the result; for a batch the Merkle root of the results.
    #[serde(with = "crate::text::optional_hash")]
    pub result_sha256: Option<[u8; 32]>,
    /// The request, for all records it left.
    pub request_id: Uuid,
    /// User behind the caller.
    pub user_id: Option<Uuid>,
    /// Accessor of the token used.
    pub accessor: Option<String>,
    /// Client's address.
    pub ip_address: Option<IpAddr>,
    /// Client's `User-Agent`.
    pub user_agent: Option<String>,
    /// What else the reader needs (path, decision, rule, policies, mount, key name, version, count, row revision, row MAC).
    pub data: BTreeMap<String, Value>,
    /// How its request came. Not stored: [`Event::timed`] makes of it what is.
    #[serde(skip)]
    pub arrival: Option<Arc<Arrival>>,
}

impl Event {
    /// With `response_us` in its data where a request left it: the microseconds from the request's arrival until `now`.
    pub fn timed(mut self, now: Instant) -> Self {
        if let Some(arrival) = &self.arrival {
            let micros = i64::try_from(now.saturating_duration_since(arrival.began).as_micros()).unwrap_or(i64::MAX);
            self.data.insert("response_us".into(), Value::Integer(micros));
        }
        self
    }

    /// Its record is there to stay: its request is told of.
    pub fn mark_durable(&self) {
        if let Some(arrival) = &self.arrival {
            arrival.told.store(true, Ordering::Release);
            if self.outcome != Outcome::Success {
                arrival.told_as_failed.store(true, Ordering::Release);
            }
        }
    }

    /// The event as PostgreSQL keeps it, which is what is hashed: time in whole microseconds, no NUL in texts (a client's path or
    /// header may hold one; `text` and `jsonb` cannot), and no token.
    pub fn storable(mut self) -> Self {
        self.timestamp = self.timestamp.trunc_subsecs(6);
        for text in [&mut self.event_type, &mut self.category, &mut self.resource_type, &mut self.action] {
            if let Some(changed) = changed(text) {
                *text = changed.into();
            }
        }
        for text in [&mut self.resource_id, &mut self.error_message, &mut self.accessor, &mut self.user_agent]
            .into_iter()
            .flatten()
        {
            if let Some(changed) = changed(text) {
                *text = changed;
            }
        }
        storable_map(&mut self.data);
        self
    }
}

fn storable_value(value: &mut Value) {
    match value {
        Value::Text(text) => {
            if let Some(changed) = changed(text) {
                *text = changed.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) => {}
        Value::List(items) => items.iter_mut().for_each(storable_value),
        Value::Map(entries) => storable_map(entries),
    }
}

fn storable_map(entries: &mut BTreeMap<String, Value>) {
    entries.values_mut().for_each(storable_value);
    if entries.keys().any(|key| key.contains('\0')) {
        *entries = std::mem::take(entries).into_iter().map(|(key, value)| (without_nul(&key), value)).collect();
    }
}

/// The text as it is kept, where that differs.
fn changed(text: &str) -> Option<String> {
    match crate::without_tokens(text) {
        told if told.contains('\0') => Some(without_nul(&told)),
        Cow::Owned(told) => Some(told),
        Cow::Borrowed(_) => None,
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

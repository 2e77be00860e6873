//! What one record says.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
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
    /// What else the reader needs (path, mount, key name, version, count, row revision, row MAC).
    pub data: BTreeMap<String, Value>,
}

impl Event {
    /// The event as PostgreSQL keeps it, which is what is hashed: time in whole microseconds, and no NUL in texts (a client's path or
    /// header may hold one; `text` and `jsonb` cannot).
    pub fn storable(mut self) -> Self {
        self.timestamp = self.timestamp.trunc_subsecs(6);
        for text in [&mut self.event_type, &mut self.category, &mut self.resource_type, &mut self.action] {
            if text.contains('\0') {
                *text = without_nul(text).into();
            }
        }
        for text in [&mut self.resource_id, &mut self.error_message, &mut self.accessor, &mut self.user_agent]
            .into_iter()
            .flatten()
            .filter(|text| text.contains('\0'))
        {
            *text = without_nul(text);
        }
        storable_map(&mut self.data);
        self
    }
}

fn storable_value(value: &mut Value) {
    match value {
        Value::Text(text) if text.contains('\0') => *text = without_nul(text).into(),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) => {}
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

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

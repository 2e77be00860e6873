//! Records of this crate's events, in one shape.

use audit_chain::{Caller, Event, Outcome, Severity, Value};
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event of `caller`, now, that succeeded; the rest is filled in by who makes it.
pub(crate) fn event(caller: &Caller, now: DateTime<Utc>, category: &'static str, event_type: &'static str) -> Event {
    let (resource_type, action) = event_type.split_once('.').unwrap_or((event_type, event_type));
    let mut data = BTreeMap::from([("path".to_owned(), Value::Text(caller.path.to_string().into()))]);
    caller.describe(&mut data);
    Event {
        id: Uuid::now_v7(),
        timestamp: now,
        event_type: Cow::Borrowed(event_type),
        category: Cow::Borrowed(category),
        severity: Severity::Info,
        organization_id: caller.organization_id,
        resource_type: Cow::Borrowed(resource_type),
        resource_id: None,
        action: Cow::Borrowed(action),
        outcome: Outcome::Success,
        error_message: None,
        result_sha256: None,
        request_id: caller.request_id,
        user_id: caller.user_id,
        accessor: (!caller.accessor.is_empty()).then(|| caller.accessor.to_string()),
        ip_address: caller.ip_address,
        user_agent: caller.user_agent.as_deref().map(str::to_owned),
        data,
        arrival: caller.arrival.clone(),
    }
}

/// The event of what was refused or failed, and why; nothing secret.
pub(crate) fn failed(mut event: Event, reason: &str) -> Event {
    event.outcome = Outcome::Failure;
    event.error_message = Some(reason.to_owned());
    event
}

/// Lists of rows as one.
pub(crate) fn joined(lists: impl IntoIterator<Item = Value>) -> Value {
    let rows = lists.into_iter().flat_map(|list| match list {
        Value::List(rows) => rows,
        other => vec![other],
    });
    Value::List(rows.collect())
}

/// Which rows a change wrote, as `clm audit verify --rows` compares them.
pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = (&'static str, Uuid, i64, &'a [u8])>) -> Value {
    let row = |(table, id, revision, mac): (&'static str, Uuid, i64, &[u8])| {
        Value::Map(BTreeMap::from([
            ("table".to_owned(), Value::Text(table.into())),
            ("id".to_owned(), Value::Text(id.to_string().into())),
            ("revision".to_owned(), Value::Integer(revision)),
            ("mac".to_owned(), Value::Text(hex::encode(mac).into())),
        ]))
    };
    Value::List(rows.into_iter().map(row).collect())
}

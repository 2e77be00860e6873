//! The bytes that are hashed. Versioned, and independent of how a database gives values back: no JSON text, no time zones.
//!
//! Every field is written in a fixed order; texts and byte strings with their length before them (u32, little endian), optional fields
//! behind a presence byte, times as microseconds since 1970 (i64), maps in the order of their keys.

use crate::{Event, Outcome, Severity, Value};
use std::net::IpAddr;

/// Version of this encoding, stored with each record. A verifier keeps every version that was ever written.
pub const ENCODING_VERSION: i16 = 1;

/// Canonical bytes of an event, version 1.
pub(crate) fn event(event: &Event) -> Vec<u8> {
    // Destructured, so that a new field cannot be forgotten.
    let Event {
        id,
        timestamp,
        event_type,
        category,
        severity,
        organization_id,
        resource_type,
        resource_id,
        action,
        outcome,
        error_message,
        result_sha256,
        request_id,
        user_id,
        accessor,
        ip_address,
        user_agent,
        data,
        // Of no record that is stored: what it tells is in `data`.
        arrival: _,
    } = event;
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&timestamp.timestamp_micros().to_le_bytes());
    text(&mut out, event_type);
    text(&mut out, category);
    out.push(severity_code(*severity));
    out.extend_from_slice(organization_id.as_bytes());
    text(&mut out, resource_type);
    optional(&mut out, resource_id.as_deref().map(str::as_bytes));
    text(&mut out, action);
    out.push(outcome_code(*outcome));
    optional(&mut out, error_message.as_deref().map(str::as_bytes));
    optional(&mut out, result_sha256.as_ref().map(<[u8; 32]>::as_slice));
    out.extend_from_slice(request_id.as_bytes());
    optional(&mut out, user_id.as_ref().map(|id| id.as_bytes().as_slice()));
    optional(&mut out, accessor.as_deref().map(str::as_bytes));
    match ip_address {
        None => out.push(0),
        Some(IpAddr::V4(address)) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
    optional(&mut out, user_agent.as_deref().map(str::as_bytes));
    length(&mut out, data.len());
    for (key, item) in data {
        text(&mut out, key);
        value(&mut out, item);
    }
    out
}

fn value(out: &mut Vec<u8>, item: &Value) {
    match item {
        Value::Null => out.push(0),
        Value::Bool(flag) => out.extend_from_slice(&[1, u8::from(*flag)]),
        Value::Integer(number) => {
            out.push(2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Text(content) => {
            out.push(3);
            text(out, content);
        }
        Value::List(items) => {
            out.push(4);
            length(out, items.len());
            items.iter().for_each(|item| value(out, item));
        }
        Value::Map(entries) => {
            out.push(5);
            length(out, entries.len());
            for (key, item) in entries {
                text(out, key);
                value(out, item);
            }
        }
    }
}

fn severity_code(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
        Severity::Critical => 3,
    }
}

fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Failure => 0,
        Outcome::Partial => 1,
        Outcome::Success => 2,
    }
}

fn text(out: &mut Vec<u8>, content: &str) {
    bytes(out, content.as_bytes());
}

fn optional(out: &mut Vec<u8>, content: Option<&[u8]>) {
    match content {
        None => out.push(0),
        Some(content) => {
            out.push(1);
            bytes(out, content);
        }
    }
}

fn bytes(out: &mut Vec<u8>, content: &[u8]) {
    length(out, content.len());
    out.extend_from_slice(content);
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use crate::testing::{any_event, test_event};
    use crate::{Head, Value};
    use proptest::prelude::*;
    use uuid::Uuid;

    /// What is stored must verify for ever: a changed encoding needs a new version, and this test stays.
    #[test]
    fn version_1_stays_as_it_is() {
        let mut head = Head::new(Uuid::from_u128(1));
        head.append(&test_event(5));
        assert_eq!(hex::encode(head.hash), "07b6927e161a7dc0bf2374ab2950e83c5431dc9ccd45ad5b6e51c5b56efb960a");
    }

    proptest! {
        #[test]
        fn different_events_have_different_bytes(one in any_event(), other in any_event()) {
            prop_assert_eq!(super::event(&one) == super::event(&other), one == other);
        }

        #[test]
        fn texts_do_not_run_into_each_other(texts in prop::collection::vec(".{0,3}", 4), at in 0usize..3) {
            let bytes = |texts: &[String]| {
                let mut event = test_event(1);
                event.event_type = texts[0].clone().into();
                event.category = texts[1].clone().into();
                let list = texts[2..].iter().map(|text| Value::Text(text.clone().into())).collect();
                event.data = [("a".to_owned(), Value::List(list))].into();
                super::event(&event)
            };
            let mut moved = texts.clone();
            let next = std::mem::take(&mut moved[at + 1]);
            moved[at].push_str(&next);
            prop_assert_eq!(bytes(&moved) == bytes(&texts), moved == texts);
        }

        #[test]
        fn bytes_survive_json(event in any_event()) {
            let text = serde_json::to_string(&event).expect("an event");
            let back: crate::Event = serde_json::from_str(&text).expect("our own text");
            prop_assert_eq!(super::event(&back), super::event(&event));
        }
    }
}

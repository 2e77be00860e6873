//! What this crate's tests share: events, any event, chains.

use crate::{ENCODING_VERSION, Event, Head, Outcome, Record, Severity, Value};
use chrono::{DateTime, Duration};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// An event with something in every field.
pub(crate) fn test_event(number: u8) -> Event {
    Event {
        id: Uuid::from_bytes([number; 16]),
        timestamp: DateTime::UNIX_EPOCH + Duration::microseconds(1_700_000_000_000_000 + i64::from(number)),
        event_type: "key.sign".into(),
        category: "key_access".into(),
        severity: Severity::Info,
        organization_id: Uuid::from_u128(2),
        resource_type: "key".into(),
        resource_id: Some("k".into()),
        action: "sign".into(),
        outcome: Outcome::Success,
        error_message: Some("none".into()),
        result_sha256: Some([number; 32]),
        request_id: Uuid::from_u128(3),
        user_id: Some(Uuid::from_u128(4)),
        accessor: Some("accessor".into()),
        ip_address: Some(Ipv4Addr::LOCALHOST.into()),
        user_agent: Some("curl".into()),
        data: [
            ("version".to_owned(), Value::Integer(number.into())),
            ("path".to_owned(), Value::Text("transit/sign/k".into())),
            ("batch".to_owned(), Value::List(vec![Value::Null, Value::Bool(true), Value::Map([].into())])),
        ]
        .into(),
        arrival: None,
    }
}

/// The records of a chain, and where it stands.
pub(crate) fn test_chain(chain: u8, length: u8) -> (Vec<Record>, Head) {
    let mut head = Head::new(Uuid::from_bytes([chain; 16]));
    let records = (1..=length).map(|number| link(&mut head, test_event(number))).collect();
    (records, head)
}

/// Puts an event behind the newest record.
pub(crate) fn link(head: &mut Head, event: Event) -> Record {
    let link = head.append(&event);
    Record {
        chain_id: head.chain_id,
        seq: link.seq,
        encoding_version: ENCODING_VERSION,
        previous_hash: link.previous_hash,
        hash: link.hash,
        event,
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        ".{0,8}".prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            btree_map(".{0,4}", inner, 0..4).prop_map(Value::Map),
        ]
    })
}

/// Any event, as PostgreSQL can keep it.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let text = || ".{0,8}";
    let who = (
        any::<u128>(),
        any::<u128>(),
        option::of(any::<u128>()),
        option::of(text()),
        option::of(any::<IpAddr>()),
        option::of(text()),
    );
    let what = (text(), text(), text(), option::of(text()), text(), option::of(text()));
    let how = (
        any::<u128>(),
        0..4_000_000_000_000_000i64,
        prop::sample::select(vec![Severity::Info, Severity::Warning, Severity::Error, Severity::Critical]),
        prop::sample::select(vec![Outcome::Failure, Outcome::Partial, Outcome::Success]),
        option::of(any::<[u8; 32]>()),
        btree_map(".{0,4}", any_value(), 0..4),
    );
    (who, what, how).prop_map(|(who, what, how)| {
        let event = Event {
            organization_id: Uuid::from_u128(who.0),
            request_id: Uuid::from_u128(who.1),
            user_id: who.2.map(Uuid::from_u128),
            accessor: who.3,
            ip_address: who.4,
            user_agent: who.5,
            event_type: what.0.into(),
            category: what.1.into(),
            resource_type: what.2.into(),
            resource_id: what.3,
            action: what.4.into(),
            error_message: what.5,
            id: Uuid::from_u128(how.0),
            timestamp: DateTime::UNIX_EPOCH + Duration::microseconds(how.1),
            severity: how.2,
            outcome: how.3,
            result_sha256: how.4,
            data: how.5,
            arrival: None,
        };
        event.storable()
    })
}

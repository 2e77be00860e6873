//! Months that were exported, verified and detached from their database.
//!
//! The record [`DETACHED`] says so as `data.chains = [{"chain_id", "after", "after_hash", "last", "last_hash"}]`. It is in the chain like
//! any other: what it says of records that are not there any more is as good as the chain that it is in.

use crate::{Event, Hash, Head, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Type of the record that tells of a detached month; its `resource_id` is the month, `YYYY-MM`.
pub const DETACHED: &str = "audit.detach";

/// Records of one chain that lie in an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where the chain stood before them.
    pub start: Head,
    /// Where it stood after them.
    pub end: Head,
}

impl Stretch {
    /// Whether record `seq` of that chain is among them.
    pub fn holds(&self, chain_id: Uuid, seq: i64) -> bool {
        self.start.chain_id == chain_id && (self.start.seq + 1..=self.end.seq).contains(&seq)
    }

    /// What a record tells, if it is one that tells of a detached month.
    pub fn told_by(event: &Event) -> Vec<Self> {
        match event.data.get("chains") {
            Some(Value::List(chains)) if event.event_type == DETACHED => chains.iter().filter_map(read).collect(),
            _ => Vec::new(),
        }
    }

    /// For the record's `data.chains`.
    pub fn value(&self) -> Value {
        let fields = [
            ("chain_id", Value::Text(self.start.chain_id.to_string().into())),
            ("after", Value::Integer(self.start.seq)),
            ("after_hash", Value::Text(hex::encode(self.start.hash).into())),
            ("last", Value::Integer(self.end.seq)),
            ("last_hash", Value::Text(hex::encode(self.end.hash).into())),
        ];
        Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

fn read(value: &Value) -> Option<Stretch> {
    let Value::Map(fields) = value else { return None };
    let chain_id = text(fields, "chain_id")?.parse().ok()?;
    let start = Head { chain_id, seq: integer(fields, "after")?, hash: hash(fields, "after_hash")? };
    let end = Head { chain_id, seq: integer(fields, "last")?, hash: hash(fields, "last_hash")? };
    (0 <= start.seq && start.seq < end.seq).then_some(Stretch { start, end })
}

fn text<'a>(fields: &'a BTreeMap<String, Value>, name: &str) -> Option<&'a str> {
    match fields.get(name)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn integer(fields: &BTreeMap<String, Value>, name: &str) -> Option<i64> {
    match fields.get(name)? {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn hash(fields: &BTreeMap<String, Value>, name: &str) -> Option<Hash> {
    hex::decode(text(fields, name)?).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{test_chain, test_event};

    #[test]
    fn what_a_record_tells_is_read_back_and_nothing_else_is() {
        let (_, end) = test_chain(1, 3);
        let stretch = Stretch { start: Head::new(end.chain_id), end };
        let mut event = test_event(1);
        event.event_type = DETACHED.into();
        let backwards = Stretch { start: end, end: stretch.start };
        event.data.insert("chains".into(), Value::List(vec![stretch.value(), backwards.value(), Value::Null]));
        assert_eq!(Stretch::told_by(&event), [stretch]);
        event.event_type = "key.sign".into();
        assert_eq!(Stretch::told_by(&event), []);
        assert!(stretch.holds(end.chain_id, 3) && !stretch.holds(end.chain_id, 4) && !stretch.holds(Uuid::nil(), 1));
    }
}

//! Verification: walks records in order and names each place where a chain does not hold.

use crate::{Checkpoint, Event, Hash, Head, record_hash};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which chain.
    pub chain_id: Uuid,
    /// Number in it.
    pub seq: i64,
    /// Stored hash of the record before.
    pub previous_hash: Hash,
    /// Stored hash of this record.
    pub hash: Hash,
    /// What it says.
    pub event: Event,
}

/// A place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Which chain.
    pub chain_id: Uuid,
    /// Where.
    pub seq: i64,
    /// Which record, if there is one.
    pub event_id: Option<Uuid>,
    /// How.
    pub kind: BreakKind,
}

/// How a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakKind {
    /// The record is not what was written: its content does not give its hash.
    Edited,
    /// Records are missing, up to and including this number.
    Missing,
    /// The number was there already, or comes too late: records were reordered or doubled.
    Reordered,
    /// The record does not follow the one before it: that one was replaced, or this one moved here.
    WrongPrevious,
    /// A signed checkpoint knows this record with another hash.
    ContradictsCheckpoint,
    /// A signed checkpoint knows more records than there are: the tail was cut off.
    Truncated,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {} record {}", self.chain_id, self.seq)?;
        if let Some(id) = self.event_id {
            write!(f, " (event {id})")?;
        }
        f.write_str(match self.kind {
            BreakKind::Edited => ": was edited; its content does not give its hash",
            BreakKind::Missing => ": records up to this number are missing",
            BreakKind::Reordered => ": is doubled or out of order",
            BreakKind::WrongPrevious => ": does not follow the record before it, which was replaced or moved",
            BreakKind::ContradictsCheckpoint => ": a signed checkpoint knows it with another hash",
            BreakKind::Truncated => ": a signed checkpoint knows records up to this number; the tail was cut off",
        })
    }
}

/// Walks any number of chains; records of each must come in order of their stored number.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    heads: BTreeMap<Uuid, Head>,
    records: u64,
    breaks: Vec<Break>,
    /// What checkpoints say: chain → number → hash.
    known: BTreeMap<Uuid, BTreeMap<i64, Hash>>,
}

impl Verifier {
    /// Checkpoints whose signatures the caller has checked.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let mut verifier = Self::default();
        for head in checkpoints.into_iter().flat_map(|checkpoint| &checkpoint.heads).filter(|head| head.seq > 0) {
            verifier.known.entry(head.chain_id).or_default().insert(head.seq, head.hash);
        }
        verifier
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        self.records += 1;
        let head = *self.heads.entry(record.chain_id).or_insert_with(|| Head::new(record.chain_id));
        let mut broken = |seq, kind| {
            self.breaks.push(Break { chain_id: record.chain_id, seq, event_id: Some(record.event.id), kind });
        };
        let expected = head.seq + 1;
        if record.seq < expected {
            broken(record.seq, BreakKind::Reordered);
            return;
        }
        if record.seq > expected {
            self.breaks.push(Break {
                chain_id: record.chain_id,
                seq: record.seq - 1,
                event_id: None,
                kind: BreakKind::Missing,
            });
        } else if record.previous_hash != head.hash {
            broken(record.seq, BreakKind::WrongPrevious);
        }
        if record_hash(record.chain_id, record.seq, &record.previous_hash, &record.event) != record.hash {
            self.breaks.push(Break {
                chain_id: record.chain_id,
                seq: record.seq,
                event_id: Some(record.event.id),
                kind: BreakKind::Edited,
            });
        }
        if let Some(known) = self.known.get(&record.chain_id).and_then(|known| known.get(&record.seq))
            && known != &record.hash
        {
            self.breaks.push(Break {
                chain_id: record.chain_id,
                seq: record.seq,
                event_id: Some(record.event.id),
                kind: BreakKind::ContradictsCheckpoint,
            });
        }
        self.heads.insert(record.chain_id, Head { chain_id: record.chain_id, seq: record.seq, hash: record.hash });
    }

    /// All breaks, in the order found; the tails are compared with the checkpoints.
    pub fn finish(mut self) -> (Vec<Head>, u64, Vec<Break>) {
        for (chain_id, known) in &self.known {
            let last = self.heads.get(chain_id).map_or(0, |head| head.seq);
            if let Some((seq, _)) = known.last_key_value().filter(|(seq, _)| **seq > last) {
                self.breaks.push(Break { chain_id: *chain_id, seq: *seq, event_id: None, kind: BreakKind::Truncated });
            }
        }
        (self.heads.into_values().collect(), self.records, self.breaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Severity, Value};
    use chrono::DateTime;
    use proptest::prelude::*;

    fn event(number: u8, text: &str) -> Event {
        Event {
            id: Uuid::from_bytes([number; 16]),
            timestamp: DateTime::from_timestamp_micros(1_700_000_000_000_000 + i64::from(number)).expect("in range"),
            event_type: "key.sign".into(),
            category: "key_access".into(),
            severity: Severity::Info,
            organization_id: Uuid::nil(),
            resource_type: "key".into(),
            resource_id: Some(text.to_owned()),
            action: "sign".into(),
            outcome: Outcome::Success,
            error_message: None,
            result_sha256: Some([number; 32]),
            request_id: Uuid::nil(),
            user_id: None,
            accessor: Some("accessor".into()),
            ip_address: Some("127.0.0.1".parse().expect("an address")),
            user_agent: None,
            data: [("version".to_owned(), Value::Integer(i64::from(number)))].into(),
        }
    }

    fn chain(length: u8) -> (Vec<Record>, Head) {
        let mut head = Head::new(Uuid::from_bytes([9; 16]));
        let records = (1..=length)
            .map(|number| {
                let event = event(number, "k");
                let link = head.append(&event);
                let chain_id = head.chain_id;
                Record { chain_id, seq: link.seq, previous_hash: link.previous_hash, hash: link.hash, event }
            })
            .collect();
        (records, head)
    }

    fn breaks(records: &[Record], head: Head) -> Vec<Break> {
        let checkpoint = Checkpoint { created_at: DateTime::UNIX_EPOCH, heads: vec![head] };
        let mut verifier = Verifier::new([&checkpoint]);
        records.iter().for_each(|record| verifier.take(record));
        verifier.finish().2
    }

    proptest! {
        #[test]
        fn an_untouched_chain_holds(length in 1u8..40) {
            let (records, head) = chain(length);
            prop_assert_eq!(breaks(&records, head), vec![]);
        }

        #[test]
        fn an_edited_record_is_named(length in 1u8..40, at in any::<prop::sample::Index>(), what in 0..8) {
            let (mut records, head) = chain(length);
            let at = at.index(records.len());
            let event = &mut records[at].event;
            match what {
                0 => event.resource_id = Some("other".into()),
                1 => event.outcome = Outcome::Failure,
                2 => event.timestamp += chrono::Duration::microseconds(1),
                3 => event.accessor = None,
                4 => event.result_sha256 = None,
                5 => { event.data.insert("version".into(), Value::Text("1".into())); }
                6 => event.ip_address = None,
                _ => event.organization_id = Uuid::from_bytes([1; 16]),
            }
            let found = breaks(&records, head);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].kind, BreakKind::Edited);
            prop_assert_eq!(found[0].seq, records[at].seq);
            prop_assert_eq!(found[0].event_id, Some(records[at].event.id));
        }

        #[test]
        fn an_edit_with_its_hash_made_anew_is_named(length in 1u8..40, at in any::<prop::sample::Index>()) {
            let (mut records, head) = chain(length);
            let at = at.index(records.len());
            records[at].event.resource_id = Some("other".into());
            records[at].hash = record_hash(records[at].chain_id, records[at].seq, &records[at].previous_hash, &records[at].event);
            let found = breaks(&records, head);
            let last = at + 1 == records.len();
            prop_assert_eq!(found[0].kind, if last { BreakKind::ContradictsCheckpoint } else { BreakKind::WrongPrevious });
        }

        #[test]
        fn a_deleted_record_is_missed(length in 2u8..40, at in any::<prop::sample::Index>()) {
            let (mut records, head) = chain(length);
            let at = at.index(records.len());
            let seq = records.remove(at).seq;
            let found = breaks(&records, head);
            prop_assert!(found.iter().any(|found| found.seq == seq && matches!(found.kind, BreakKind::Missing | BreakKind::Truncated)));
        }

        #[test]
        fn swapped_contents_are_found(length in 2u8..40, at in any::<prop::sample::Index>()) {
            let (mut records, head) = chain(length);
            let at = at.index(records.len() - 1);
            let (first, second) = (records[at].clone(), records[at + 1].clone());
            records[at] = Record { seq: first.seq, ..second.clone() };
            records[at + 1] = Record { seq: second.seq, ..first };
            prop_assert!(!breaks(&records, head).is_empty());
        }

        #[test]
        fn a_cut_tail_is_found(length in 1u8..40, cut in any::<prop::sample::Index>()) {
            let (mut records, head) = chain(length);
            let keep = cut.index(records.len());
            records.truncate(keep);
            let found = breaks(&records, head);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].kind, found[0].seq), (BreakKind::Truncated, head.seq));
        }
    }
}

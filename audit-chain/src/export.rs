//! An exported log: JSON lines, verified without the database.
//!
//! First [`Line::Export`]; then the checkpoints; for a part of a log where each chain stood before ([`Line::Start`]); the records by
//! chain and number; last [`Line::End`], so that a file that was not written to its end is seen as such.

use crate::{Found, Head, Record, StoredCheckpoint, Unreadable};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of this format.
pub const FORMAT: u32 = 1;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// What the file is.
    Export {
        /// [`FORMAT`].
        format: u32,
        /// Which log, by its table.
        log: String,
        /// `YYYY-MM`; absent: all there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        month: Option<String>,
        /// Keys that signed the checkpoints (PEM), as the database gives them. Verify with one from elsewhere.
        public_keys: Vec<String>,
    },
    /// A signed checkpoint.
    Checkpoint(StoredCheckpoint),
    /// Where a chain stood before the records in this file.
    Start(Head),
    /// A record.
    Record(Box<Record>),
    /// Nothing comes after.
    End {
        /// Records in the file.
        records: u64,
        /// Checkpoints in the file.
        checkpoints: u64,
    },
}

/// A line as it is read: a record may be in it and not be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadLine {
    /// A record, or what is in its place.
    Found(Found),
    /// Any other line.
    Other(Line),
}

/// The text of a line, without its end.
pub fn write(line: &Line) -> Result<String, serde_json::Error> {
    serde_json::to_string(line)
}

/// Reads a line. A record that cannot be read is given with its place in its chain, where at least that can be read.
pub fn read(text: &str) -> Result<ReadLine, serde_json::Error> {
    #[derive(Deserialize)]
    struct Place {
        kind: String,
        chain_id: Uuid,
        seq: i64,
        event: Option<serde_json::Value>,
    }
    match serde_json::from_str(text) {
        Ok(Line::Record(record)) => Ok(ReadLine::Found(Found::Record(record))),
        Ok(line) => Ok(ReadLine::Other(line)),
        Err(error) => match serde_json::from_str::<Place>(text) {
            Ok(Place { kind, chain_id, seq, event }) if kind == "record" => {
                let event_id = event.and_then(|event| event.get("id")?.as_str()?.parse().ok());
                Ok(ReadLine::Found(Found::Unreadable(Unreadable { chain_id, seq, event_id })))
            }
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_event, link, test_chain};
    use crate::{Checkpoint, Verifier};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(events in prop::collection::vec(any_event(), 1..5)) {
            let mut head = Head::new(Uuid::from_u128(1));
            let mut verifier = Verifier::default();
            for event in events {
                let record = Box::new(link(&mut head, event));
                let text = write(&Line::Record(record.clone())).expect("a line");
                prop_assert!(!text.contains('\n'));
                let ReadLine::Found(found) = read(&text).expect("our own text") else { panic!("no record: {text}") };
                verifier.take_found(&found);
                prop_assert_eq!(found, Found::Record(record));
            }
            prop_assert_eq!(verifier.finish().breaks, vec![]);
        }
    }

    #[test]
    fn the_other_lines_are_read_as_they_were_written() {
        let (_, head) = test_chain(1, 3);
        let checkpoint =
            Checkpoint { log: "audit_log".into(), created_at: chrono::DateTime::UNIX_EPOCH, heads: vec![head] };
        let stored = StoredCheckpoint { checkpoint, signature: vec![1, 2], public_key: vec![3] };
        let log = || "audit_log".to_owned();
        for line in [
            Line::Export { format: FORMAT, log: log(), month: Some("2026-11".into()), public_keys: vec![] },
            Line::Export { format: FORMAT, log: log(), month: None, public_keys: vec!["PEM".into()] },
            Line::Checkpoint(stored),
            Line::Start(head),
            Line::End { records: 1, checkpoints: 2 },
        ] {
            assert_eq!(read(&write(&line).expect("a line")).expect("ours"), ReadLine::Other(line));
        }
    }

    #[test]
    fn a_record_of_another_form_is_found_in_its_place() {
        let (records, _) = test_chain(1, 1);
        let text = write(&Line::Record(Box::new(records[0].clone()))).expect("a line");
        let (chain_id, seq, event_id) = (records[0].chain_id, records[0].seq, Some(records[0].event.id));
        let place = ReadLine::Found(Found::Unreadable(Unreadable { chain_id, seq, event_id }));
        for (from, to) in [("\"version\":1", "\"version\":1.5"), ("\"info\"", "\"none\""), ("\"action\"", "\"verb\"")] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert_eq!(read(&edited).expect("its place"), place, "{edited}");
        }
        assert!(read("{").is_err());
        assert!(read("{\"kind\":\"other\"}").is_err());
    }
}

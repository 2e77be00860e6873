//! Rows against the log: each change of a bound row left its revision and MAC in a record, so an older self put back is found.
//!
//! An event names the rows it wrote as `data.rows = [{"table", "id", "revision", "mac"}]`, the MAC in hexadecimal; 64 zeros: the row
//! lost its power (revoked), or is gone.

use crate::{Event, Hash, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use uuid::Uuid;

/// Revision and MAC of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowState {
    /// Counts the row's changes.
    pub revision: i64,
    /// Binds its content; zeros: it has no power any more.
    pub mac: Hash,
}

/// A row that is not as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBreak {
    /// Which table.
    pub table: String,
    /// Which row.
    pub id: Uuid,
    /// The newest record that names it.
    pub event_id: Option<Uuid>,
    /// How.
    pub kind: RowBreakKind,
}

/// How a row is not as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowBreakKind {
    /// The row is an older self.
    Older {
        /// Revision of the row.
        row: i64,
        /// Revision in the log.
        log: i64,
    },
    /// Same revision, another MAC.
    Replaced,
    /// The row was changed, and no record says so.
    Unrecorded,
    /// No record names the row.
    Unknown,
    /// The row is gone, and no record says so.
    Deleted,
    /// Two records give one revision different MACs: an older self was put back for a while.
    TwoHistories {
        /// That revision.
        revision: i64,
    },
    /// The record names rows in a form that this service never writes.
    Malformed,
}

impl fmt::Display for RowBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: ", self.table, self.id)?;
        match self.kind {
            RowBreakKind::Older { row, log } => {
                write!(f, "is an older self, revision {row}; the log knows revision {log}")?;
            }
            RowBreakKind::Replaced => f.write_str("carries another MAC than the one in the log for its revision")?,
            RowBreakKind::Unrecorded => f.write_str("is newer than the newest record about it")?,
            RowBreakKind::Unknown => f.write_str("no record tells where it comes from")?,
            RowBreakKind::Deleted => f.write_str("was deleted, and no record says so")?,
            RowBreakKind::TwoHistories { revision } => {
                write!(f, "revision {revision} was written twice; an older self was put back in between")?;
            }
            RowBreakKind::Malformed => f.write_str("the record names rows in a form that this service never writes")?,
        }
        match self.event_id {
            Some(id) => write!(f, " (event {id})"),
            None => Ok(()),
        }
    }
}

/// What the log says of rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    newest: BTreeMap<String, HashMap<Uuid, Newest>>,
    breaks: Vec<RowBreak>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    state: RowState,
    event_id: Uuid,
    seen: bool,
}

impl Rows {
    /// Takes what an event says of rows. Chains are parallel, so the newest is the one with the highest revision, in any order.
    pub fn take(&mut self, event: &Event) {
        let Some(rows) = event.data.get("rows") else { return };
        let Value::List(rows) = rows else { return self.malformed(event) };
        for row in rows {
            let Some((table, id, state)) = parse(row) else {
                self.malformed(event);
                continue;
            };
            let known = Newest { state, event_id: event.id, seen: false };
            let newest = self.newest.entry(table.to_owned()).or_default().entry(id).or_insert(known);
            match newest.state.revision.cmp(&state.revision) {
                Ordering::Less => *newest = known,
                Ordering::Equal if newest.state.mac != state.mac => {
                    let kind = RowBreakKind::TwoHistories { revision: state.revision };
                    self.breaks.push(RowBreak { table: table.to_owned(), id, event_id: Some(event.id), kind });
                }
                Ordering::Equal | Ordering::Greater => {}
            }
        }
    }

    /// Compares a row as it is now.
    pub fn compare(&mut self, table: &str, id: Uuid, row: RowState) {
        let newest = self.newest.get_mut(table).and_then(|rows| rows.get_mut(&id));
        let event_id = newest.as_ref().map(|newest| newest.event_id);
        let kind = match newest {
            None => RowBreakKind::Unknown,
            Some(newest) => {
                newest.seen = true;
                let log = newest.state;
                match row.revision.cmp(&log.revision) {
                    Ordering::Less => RowBreakKind::Older { row: row.revision, log: log.revision },
                    Ordering::Greater => RowBreakKind::Unrecorded,
                    Ordering::Equal if row.mac != log.mac => RowBreakKind::Replaced,
                    Ordering::Equal => return,
                }
            }
        };
        self.breaks.push(RowBreak { table: table.to_owned(), id, event_id, kind });
    }

    /// All breaks; rows that were not compared are gone.
    pub fn finish(mut self) -> Vec<RowBreak> {
        for (table, rows) in self.newest {
            for (id, newest) in rows {
                if !newest.seen && newest.state.mac != [0; 32] {
                    let (event_id, kind) = (Some(newest.event_id), RowBreakKind::Deleted);
                    self.breaks.push(RowBreak { table: table.clone(), id, event_id, kind });
                }
            }
        }
        self.breaks.sort_by(|a, b| (&a.table, a.id).cmp(&(&b.table, b.id)));
        self.breaks
    }

    fn malformed(&mut self, event: &Event) {
        self.breaks.push(RowBreak {
            table: event.resource_type.to_string(),
            id: Uuid::nil(),
            event_id: Some(event.id),
            kind: RowBreakKind::Malformed,
        });
    }
}

fn parse(row: &Value) -> Option<(&str, Uuid, RowState)> {
    let Value::Map(row) = row else { return None };
    let text = |key: &str| match row.get(key)? {
        Value::Text(text) => Some(&**text),
        _ => None,
    };
    let Value::Integer(revision) = *row.get("revision")? else { return None };
    let mac = hex::decode(text("mac")?).ok()?.try_into().ok()?;
    Some((text("table")?, text("id")?.parse().ok()?, RowState { revision, mac }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test_event;

    const ID: Uuid = Uuid::from_u128(7);

    fn state(revision: i64, mac: u8) -> RowState {
        RowState { revision, mac: [mac; 32] }
    }

    fn written(number: u8, state: RowState) -> Event {
        let mut event = test_event(number);
        let row = [
            ("table".to_owned(), Value::Text("named_keys".into())),
            ("id".to_owned(), Value::Text(ID.to_string().into())),
            ("revision".to_owned(), Value::Integer(state.revision)),
            ("mac".to_owned(), Value::Text(hex::encode(state.mac).into())),
        ];
        event.data.insert("rows".into(), Value::List(vec![Value::Map(row.into())]));
        event
    }

    fn found(log: &[RowState], row: Option<RowState>) -> Vec<RowBreakKind> {
        let mut rows = Rows::default();
        for (number, state) in (1..).zip(log) {
            rows.take(&written(number, *state));
        }
        if let Some(row) = row {
            rows.compare("named_keys", ID, row);
        }
        rows.finish().into_iter().map(|found| found.kind).collect()
    }

    #[test]
    fn a_row_is_as_its_newest_record_says() {
        let log = [state(1, 1), state(2, 2)];
        assert_eq!(found(&log, Some(state(2, 2))), []);
        // Records of parallel chains come in any order.
        assert_eq!(found(&[log[1], log[0]], Some(state(2, 2))), []);
        assert_eq!(found(&log, Some(state(1, 1))), [RowBreakKind::Older { row: 1, log: 2 }]);
        assert_eq!(found(&log, Some(state(2, 3))), [RowBreakKind::Replaced]);
        assert_eq!(found(&log, Some(state(3, 3))), [RowBreakKind::Unrecorded]);
        assert_eq!(found(&log, None), [RowBreakKind::Deleted]);
        assert_eq!(found(&[], Some(state(1, 1))), [RowBreakKind::Unknown]);
    }

    #[test]
    fn a_row_without_power_may_be_gone() {
        let log = [state(1, 1), state(2, 0)];
        assert_eq!(found(&log, None), []);
        assert_eq!(found(&log, Some(state(2, 0))), []);
        assert_eq!(found(&log, Some(state(1, 1))), [RowBreakKind::Older { row: 1, log: 2 }]);
    }

    #[test]
    fn an_older_self_that_was_changed_again_left_two_histories() {
        let log = [state(1, 1), state(2, 2), state(2, 3)];
        assert_eq!(found(&log, Some(state(2, 2))), [RowBreakKind::TwoHistories { revision: 2 }]);
    }

    #[test]
    fn rows_in_another_form_are_named() {
        let mut event = test_event(1);
        event.data.insert("rows".into(), Value::Text("none".into()));
        let mut rows = Rows::default();
        rows.take(&event);
        event.data.insert("rows".into(), Value::List(vec![Value::Null]));
        rows.take(&event);
        let found = rows.finish();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|found| found.kind == RowBreakKind::Malformed && found.event_id == Some(event.id)));
    }
}

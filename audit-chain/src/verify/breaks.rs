//! What can be wrong with a chain, in words on which a human can act.

use crate::Head;
use std::fmt;
use uuid::Uuid;

/// A place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Which chain.
    pub chain_id: Uuid,
    /// Where; of a range that is missing, the last number.
    pub seq: i64,
    /// The first number of a range that is missing; otherwise `seq`.
    pub first: i64,
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
    /// Something in the record is of a form that this service never writes.
    Unreadable,
    /// Records are missing.
    Missing,
    /// The number was there already, or comes too late: records were reordered or doubled.
    Reordered,
    /// The record does not follow the one before it: that one was replaced, or this one moved here.
    WrongPrevious,
    /// A signed checkpoint knows this record with another hash.
    ContradictsCheckpoint,
    /// Two signed checkpoints know this record with different hashes: there were two logs.
    Forked,
    /// A signed checkpoint knows more records than there are: the tail was cut off.
    Truncated,
    /// The record of a month's detaching names another record there than there is.
    ContradictsExport,
    /// The chain's own row (in `audit_chains`, not signed) names another newest record than there is.
    ContradictsHead,
}

impl Break {
    pub(super) fn at(head: Head, event_id: Option<Uuid>, kind: BreakKind) -> Self {
        Self { chain_id: head.chain_id, seq: head.seq, first: head.seq, event_id, kind }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first < self.seq {
            write!(f, "chain {} records {}-{}", self.chain_id, self.first, self.seq)?;
        } else {
            write!(f, "chain {} record {}", self.chain_id, self.seq)?;
        }
        if let Some(id) = self.event_id {
            write!(f, " (event {id})")?;
        }
        f.write_str(match self.kind {
            BreakKind::Edited => ": was edited; its content does not give its hash",
            BreakKind::Unreadable => ": was edited; it holds something that this service never writes",
            BreakKind::Missing => ": missing; deleted, or never in this file",
            BreakKind::Reordered => ": is doubled or out of order",
            BreakKind::WrongPrevious => ": does not follow the record before it, which was replaced or moved",
            BreakKind::ContradictsCheckpoint => ": a signed checkpoint knows it with another hash; it was replaced",
            BreakKind::Forked => ": two signed checkpoints know it with different hashes; there were two logs",
            BreakKind::Truncated => ": a signed checkpoint knows it, but it is missing; the tail was cut off",
            BreakKind::ContradictsExport => {
                ": is not what was exported when its month was detached, as the record of that says"
            }
            BreakKind::ContradictsHead => {
                ": audit_chains names another newest record; records were cut off or added behind the service's back"
            }
        })
    }
}

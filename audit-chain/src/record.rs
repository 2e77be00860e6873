//! A record as it is stored: in a table, or in an exported file.

use crate::{Event, Hash, Head, record_hash};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which chain.
    pub chain_id: Uuid,
    /// Number in it.
    pub seq: i64,
    /// How the event was encoded.
    pub encoding_version: i16,
    /// Stored hash of the record before.
    #[serde(with = "crate::text::hash")]
    pub previous_hash: Hash,
    /// Stored hash of this record.
    #[serde(with = "crate::text::hash")]
    pub hash: Hash,
    /// What it says.
    pub event: Event,
}

impl Record {
    /// Where the chain stands with this record.
    pub fn head(&self) -> Head {
        Head { chain_id: self.chain_id, seq: self.seq, hash: self.hash }
    }

    /// Whether its content gives its hash.
    pub fn is_whole(&self) -> bool {
        record_hash(self.chain_id, self.seq, &self.previous_hash, &self.event) == self.hash
    }
}

/// What is found where a record should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record.
    Record(Box<Record>),
    /// Something that this service never writes: it was edited.
    Unreadable(Unreadable),
}

/// A record with something in it that this service never writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which chain.
    pub chain_id: Uuid,
    /// Number in it.
    pub seq: i64,
    /// Which record.
    pub event_id: Option<Uuid>,
}

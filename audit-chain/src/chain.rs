//! The chain: each record's hash covers the one before it.

use crate::{ENCODING_VERSION, Event, Hash, encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Which chain.
    pub chain_id: Uuid,
    /// Number of its newest record; 0 before the first.
    pub seq: i64,
    /// Hash of its newest record; zeros before the first.
    #[serde(with = "crate::text::hash")]
    pub hash: Hash,
}

/// A record's place in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number, from 1, without gaps.
    pub seq: i64,
    /// Hash of the record before.
    pub previous_hash: Hash,
    /// Hash of this record.
    pub hash: Hash,
}

impl Head {
    /// A chain without records.
    pub fn new(chain_id: Uuid) -> Self {
        Self { chain_id, seq: 0, hash: [0; 32] }
    }

    /// Puts an event behind the newest record.
    pub fn append(&mut self, event: &Event) -> Link {
        let seq = self.seq + 1;
        let previous_hash = self.hash;
        let hash = record_hash(self.chain_id, seq, &previous_hash, event);
        *self = Self { chain_id: self.chain_id, seq, hash };
        Link { seq, previous_hash, hash }
    }
}

/// SHA-256 over version, chain, number, previous hash and the event's canonical bytes.
pub fn record_hash(chain_id: Uuid, seq: i64, previous_hash: &Hash, event: &Event) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(b"clm-audit-record");
    hasher.update(ENCODING_VERSION.to_le_bytes());
    hasher.update(chain_id.as_bytes());
    hasher.update(seq.to_le_bytes());
    hasher.update(previous_hash);
    hasher.update(encoding::event(event));
    hasher.finalize().into()
}

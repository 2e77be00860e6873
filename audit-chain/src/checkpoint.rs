//! Checkpoints: where all chains of a log stood at a moment, signed, so that cutting off a tail is found too.

use crate::{Hash, Head, merkle};
use chrono::{DateTime, Utc};

/// Heads of all chains at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// When.
    pub created_at: DateTime<Utc>,
    /// Heads, by chain id.
    pub heads: Vec<Head>,
}

impl Checkpoint {
    /// Merkle root over the heads.
    pub fn merkle_root(&self) -> Hash {
        let leaves: Vec<Vec<u8>> = self
            .heads
            .iter()
            .map(|head| [head.chain_id.as_bytes().as_slice(), &head.seq.to_le_bytes(), &head.hash].concat())
            .collect();
        merkle::root(&leaves)
    }

    /// What is signed: ECDSA P-256 over the SHA-256 of these bytes.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let heads = u64::try_from(self.heads.len()).unwrap_or(u64::MAX);
        let mut bytes = b"clm-audit-checkpoint-v1".to_vec();
        bytes.extend_from_slice(&self.created_at.timestamp_micros().to_le_bytes());
        bytes.extend_from_slice(&heads.to_le_bytes());
        bytes.extend_from_slice(&self.merkle_root());
        bytes
    }
}

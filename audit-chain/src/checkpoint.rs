//! Checkpoints: where all chains of a log stood at a moment, signed, so that cutting off a tail is found too.

use crate::{Hash, Head, merkle};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Heads of all chains of one log at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Which log, by its table. Both logs are signed by one key; a checkpoint of one says nothing of the other.
    pub log: Cow<'static, str>,
    /// When; microseconds.
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
        let mut bytes = b"clm-audit-checkpoint-v1".to_vec();
        bytes.extend_from_slice(&(self.log.len() as u64).to_le_bytes());
        bytes.extend_from_slice(self.log.as_bytes());
        bytes.extend_from_slice(&self.created_at.timestamp_micros().to_le_bytes());
        bytes.extend_from_slice(&(self.heads.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.merkle_root());
        bytes
    }
}

/// A checkpoint and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// ECDSA P-256, DER.
    #[serde(with = "crate::text::bytes")]
    pub signature: Vec<u8>,
    /// SubjectPublicKeyInfo of the signing key, DER.
    #[serde(with = "crate::text::bytes")]
    pub public_key: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn checkpoint() -> Checkpoint {
        let head =
            |number: u8| Head { chain_id: Uuid::from_bytes([number; 16]), seq: number.into(), hash: [number; 32] };
        Checkpoint { log: "audit_log".into(), created_at: DateTime::UNIX_EPOCH, heads: vec![head(1), head(2)] }
    }

    #[test]
    fn whatever_a_checkpoint_says_is_signed() {
        let signed = checkpoint().signed_bytes();
        let mut others = vec![checkpoint(); 7];
        others[0].log = "secure_audit_log".into();
        others[1].created_at += chrono::Duration::microseconds(1);
        others[2].heads.pop();
        others[3].heads.reverse();
        others[4].heads[0].seq += 1;
        others[5].heads[0].hash[31] ^= 1;
        others[6].heads[1].chain_id = Uuid::nil();
        for other in others {
            assert_ne!(other.signed_bytes(), signed, "{other:?}");
        }
    }
}

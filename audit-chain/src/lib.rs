//! Audit records: canonical encoding, hash chain, Merkle checkpoints, verification. No IO.
//!
//! `keyvault` and `clm-core` each keep a log with it, and so does the stand-alone verifier.

mod chain;
mod checkpoint;
mod detached;
mod encoding;
mod event;
pub mod export;
pub mod merkle;
mod record;
mod rows;
mod secret;
#[cfg(test)]
mod testing;
mod text;
mod verify;

// The public interface is:
pub use chain::{Head, Link, record_hash};
pub use checkpoint::{Checkpoint, StoredCheckpoint};
pub use detached::{DETACHED, Stretch};
pub use encoding::ENCODING_VERSION;
pub use event::{Arrival, Caller, Decided, Event, MatchedRule, Outcome, Severity, Value, Verdict};
pub use record::{Found, Record, Unreadable};
pub use rows::{RowBreak, RowBreakKind, RowState, Rows};
pub use secret::without_tokens;
pub use verify::{Break, BreakKind, ChainReport, Report, Verifier};

/// SHA-256 (FIPS 180-4).
pub type Hash = [u8; 32];

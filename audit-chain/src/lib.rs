//! Audit records: canonical encoding, hash chain, Merkle checkpoints, verification. No IO.
//!
//! `keyvault` and `clm-core` each keep a log with it, and so does the stand-alone verifier.

mod chain;
mod checkpoint;
mod encoding;
mod event;
pub mod merkle;
mod verify;

// The public interface is:
pub use chain::{Head, Link, record_hash};
pub use checkpoint::Checkpoint;
pub use encoding::ENCODING_VERSION;
pub use event::{Caller, Event, Outcome, Severity, Value};
pub use verify::{Break, BreakKind, Record, Verifier};

/// SHA-256 (FIPS 180-4).
pub type Hash = [u8; 32];

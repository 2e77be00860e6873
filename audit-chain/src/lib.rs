//! Audit records: canonical encoding, hash chain, Merkle checkpoints, verification. No IO.
//!
//! `keyvault` and `clm-core` each keep a log with it, and so does the stand-alone verifier.

mod event;

// The public interface is:
pub use event::{Caller, Event, Outcome, Severity, Value};

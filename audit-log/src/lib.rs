//! An audit log in PostgreSQL.
//!
//! One writer owns a chain (fenced lease) and commits whatever came in while its last commit ran: no timer, and an answer
//! that waits for its record waits for one flush. A state change rides in the writer's transaction, so that it and its record are
//! there together or not at all.

mod error;
mod read;
mod table;
mod writer;

// The public interface is:
pub use error::{AuditError, ChangeError};
pub use read::{StoredCheckpoint, read_checkpoints, read_records};
pub use table::{CORE, SECURE, Table};
pub use writer::{AuditLog, BoxedSigner, CheckpointSigner, SignedCheckpoint};

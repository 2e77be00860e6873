//! An audit log in PostgreSQL.
//!
//! One writer owns a chain (fenced lease) and commits whatever came in while its last commit ran, so that an answer that waits for its
//! record waits for one flush; where work is queued for much longer, a commit waits a little for more records. A state change rides in the writer's transaction, so that it and its record are
//! there together or not at all.
//!
//! What else talks to either database shares connections of a [`pool()`], whose transactions [`begin`] begins.

mod batch;
mod checkpoint;
mod error;
pub mod examine;
mod insert;
mod job;
mod lease;
mod log;
mod months;
mod partitions;
mod pool;
mod read;
mod rows;
mod snapshot;
mod table;
mod writer;

// The public interface is:
pub use checkpoint::{BoxedSigner, CheckpointSigner, SignedCheckpoint, read_checkpoints, read_heads};
pub use error::{AuditError, ChangeError};
pub use log::{Ahead, AuditLog};
pub use months::{MonthError, attach, detach};
pub use pool::{begin, pool};
pub use read::{Part, parts, read_detached, read_month, read_part, read_records, scan};
pub use rows::{bound_tables, read_rows};
pub use snapshot::snapshot;
pub use table::{CORE, SECURE, Table};

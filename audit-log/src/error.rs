//! What can go wrong with a record. In every case the caller must not answer as if it had been written.

use thiserror::Error;

/// The record is not known to be durable: the call fails closed.
#[derive(Clone, Debug, Error)]
pub enum AuditError {
    /// The database is away, or refused.
    #[error("the audit record could not be written ({0}); the call is refused until it can")]
    Unavailable(String),
    /// More records wait than the queue holds.
    #[error("the audit log is busy: too many records wait for the database; try again")]
    Busy,
}

/// Why a state change did not happen.
#[derive(Debug, Error)]
pub enum ChangeError<E> {
    /// The change itself was refused; nothing was written.
    #[error(transparent)]
    Change(E),
    /// Its record could not be written; nothing was written.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

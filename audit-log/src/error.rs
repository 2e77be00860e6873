//! What can go wrong with a record. In every case the caller must not answer as if it had been written.

use thiserror::Error;

/// The record is not known to be durable: the call fails closed.
#[derive(Clone, Debug, Error)]
pub enum AuditError {
    /// The database is away, or refused. Nothing was written.
    #[error("the audit record could not be written ({0}); the call is refused until it can")]
    Unavailable(String),
    /// The database went away while it committed, and could not be asked since. A change may have been made: look before asking again.
    #[error(
        "the database went away while the audit record was committed ({0}); look whether the change was made before trying again"
    )]
    Uncertain(String),
    /// More records wait than the queue holds.
    #[error("the audit log is busy: too many records wait for the database; try again")]
    Busy,
    /// The event is not one that this log takes: a mistake of ours.
    #[error("the audit log does not take this event: {0}")]
    Refused(String),
}

/// Why a state change did not happen.
#[derive(Debug, Error)]
pub enum ChangeError<E> {
    /// The change itself was refused; nothing was written.
    #[error(transparent)]
    Change(E),
    /// Its record could not be written; nothing was written, unless the error is [`AuditError::Uncertain`].
    #[error(transparent)]
    Audit(#[from] AuditError),
}

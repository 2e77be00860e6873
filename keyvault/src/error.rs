//! Errors by who must act.

use audit_log::{AuditError, ChangeError};
use thiserror::Error;
use uuid::Uuid;

/// Result of the vault.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Variants in alphabetical order.
#[derive(Debug, Error)]
pub enum Error {
    /// The record could not be written, so nothing was done or nothing is answered.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Someone else changed the same thing at the same time, again and again.
    #[error("it is being changed by others; try again")]
    Conflict,
    /// The database is away or refused.
    #[error("clm_secure_db: {0}")]
    Database(#[from] sqlx::Error),
    /// The caller's mistake, where clients of Vault look for status 500: a backup that the key does not allow, a restoration under a name that is taken.
    #[error("{0}")]
    Disallowed(String),
    /// A key of that name is there already.
    #[error("a key of that name exists")]
    Exists,
    /// The token, its module or the way to it.
    #[error(transparent)]
    Hsm(hsm_bridge::Error),
    /// The caller's mistake.
    #[error("{0}")]
    Invalid(String),
    /// The caller asks for what is not there.
    #[error("{0}")]
    NotFound(String),
    /// The operator must do something first.
    #[error("{0}")]
    Operator(String),
    /// The key's state or its coming destruction forbids it; that is on record already.
    #[error("{0}")]
    Refused(String),
    /// A row is not what this service wrote: edited, swapped or put back behind its back.
    #[error(
        "row {id} of {table} is not what this service wrote: it was changed behind the service's back; the call is refused. Restore the row or the database from backup; see the audit record integrity.row_refused"
    )]
    RowTampered {
        /// Which table.
        table: &'static str,
        /// Which row.
        id: Uuid,
    },
}

impl From<hsm_bridge::Error> for Error {
    fn from(error: hsm_bridge::Error) -> Self {
        match error {
            hsm_bridge::Error::Unsupported(what) => Self::Invalid(format!("this token cannot do {what}")),
            other => Self::Hsm(other),
        }
    }
}

impl From<ChangeError<Error>> for Error {
    fn from(error: ChangeError<Error>) -> Self {
        match error {
            ChangeError::Change(error) => error,
            ChangeError::Audit(error) => Self::Audit(error),
        }
    }
}

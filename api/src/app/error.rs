//! What a verb may answer instead of its result, by who must act.

use clm_core::{AuthError, StoreError};
use thiserror::Error;

/// Result of a verb.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb did not do its work. Variants in alphabetical order.
#[derive(Debug, Error)]
pub enum Error {
    /// The token's policies do not allow it; recorded.
    #[error("1 error occurred:\n\t* permission denied\n\n")]
    Denied,
    /// The caller's mistake, where clients of Vault look for status 500; the text is the answer, within Vault's own around it.
    #[error("{0}")]
    Disallowed(String),
    /// Allowed to nobody, or not to this caller; the text is the answer.
    #[error("{0}")]
    Forbidden(String),
    /// Ours; the text is for the log.
    #[error("{0}")]
    Internal(String),
    /// The caller's mistake; the text is the answer.
    #[error("{0}")]
    Invalid(String),
    /// What the caller named is not there; the text is the answer.
    #[error("{0}")]
    NotFound(String),
    /// The operator must look; the text says at what.
    #[error("{0}")]
    Operator(String),
    /// Not unsealed, or not initialised.
    #[error("Vault is sealed")]
    Sealed,
    /// A row was changed behind the service's back; the text says what to do.
    #[error("{0}")]
    Tampered(String),
    /// One too many at this moment; the text is the answer.
    #[error("{0}")]
    TooMany(String),
    /// No valid token; counted, not told apart.
    #[error("permission denied")]
    Unauthenticated,
    /// Something the service needs is away; asking later may help.
    #[error("{0}")]
    Unavailable(String),
    /// Not offered, and how it would be: 405.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// Shorthand.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<keyvault::Error> for Error {
    fn from(error: keyvault::Error) -> Self {
        use keyvault::Error as E;
        match error {
            E::Audit(error) => Self::Unavailable(error.to_string()),
            E::Conflict => Self::Unavailable(error.to_string()),
            E::Database(error) => database("clm_secure_db", &error),
            E::Disallowed(text) => Self::Disallowed(text),
            E::Exists | E::Invalid(_) | E::NotFound(_) | E::Refused(_) => Self::Invalid(error.to_string()),
            E::Hsm(error) => hsm(error),
            E::Operator(text) => Self::Operator(text),
            E::RowTampered { .. } => Self::Tampered(error.to_string()),
        }
    }
}

impl From<keyvault::HsmError> for Error {
    fn from(error: keyvault::HsmError) -> Self {
        hsm(error)
    }
}

fn hsm(error: keyvault::HsmError) -> Error {
    use keyvault::HsmError as E;
    match error {
        E::Busy | E::Configuration(_) | E::Unavailable(_) => Error::Unavailable(error.to_string()),
        E::Locked => Error::Sealed,
        E::Unsupported(_) => Error::Invalid(error.to_string()),
        E::NotFound(_) | E::Refused { .. } => Error::Operator(error.to_string()),
        E::Internal(text) => Error::Internal(text),
    }
}

impl From<clm_core::Error> for Error {
    fn from(error: clm_core::Error) -> Self {
        use clm_core::Error as E;
        match error {
            E::Invalid(text) => Self::Invalid(text.into_owned()),
            E::Forbidden(text) => Self::Forbidden(text.into_owned()),
            E::NotFound(text) => Self::NotFound(text.into_owned()),
            E::TooMany(text) => Self::TooMany(text.into_owned()),
            E::Unavailable(text) => Self::Unavailable(text.into_owned()),
            E::NotInitialised => Self::Sealed,
            E::AlreadyInitialised => Self::Invalid(error.to_string()),
            E::Conflict(_) => Self::Unavailable(error.to_string()),
            E::RowTampered { .. } => Self::Tampered(format!(
                "{error}. Restore the row or the database from backup; see the audit record integrity.row_refused"
            )),
            E::Hsm(clm_core::MacError::Unavailable(text)) => Self::Unavailable(text),
            E::Hsm(clm_core::MacError::Failed(text)) => Self::Operator(text),
            E::Database(StoreError::Schema(text)) => Self::Operator(text),
            E::Database(StoreError::Database(error)) => database("clm_core_db", &error),
            E::Database(error) => Self::Internal(error.to_string()),
            E::Audit(error) => Self::Unavailable(error.to_string()),
            E::Internal(text) => Self::Internal(text.into_owned()),
        }
    }
}

/// PostgreSQL's own words may name what is in a statement: they go to the log.
fn database(name: &str, error: &sqlx::Error) -> Error {
    tracing::error!(database = name, %error, "the database refused or is away");
    match error {
        sqlx::Error::Database(database) if database.code().is_some_and(|code| code.starts_with("53")) => {
            Error::Unavailable(format!(
                "{name} is out of room (disk, memory or connections): make room; nothing was changed"
            ))
        }
        _ => Error::Unavailable(format!("{name} cannot be asked now: see the service's log; nothing was changed")),
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Refused(_) => Self::Unauthenticated,
            AuthError::Failed(error) => error.into(),
        }
    }
}

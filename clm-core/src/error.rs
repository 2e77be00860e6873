//! What can go wrong, by who must act.

use crate::mac::MacError;
use crate::store::StoreError;
use audit_log::AuditError;
use std::borrow::Cow;
use uuid::Uuid;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that cannot be: status 400, the text is the answer.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// The caller may not: status 403, the text is the answer.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// What the caller named is not there: status 404, the text is the answer.
    #[error("{0}")]
    NotFound(Cow<'static, str>),
    /// The operator has to initialise first.
    #[error("the service is not initialised")]
    NotInitialised,
    /// It is initialised already: status 400.
    #[error("Vault is already initialized")]
    AlreadyInitialised,
    /// Somebody else changed the same thing again and again; asking once more helps.
    #[error("the {0} was changed by somebody else meanwhile, try again")]
    Conflict(&'static str),
    /// A row does not carry our MAC: it was written behind the service's back. For the operator.
    #[error("a row of {table} ({id}) was changed behind the service's back and is refused")]
    RowTampered {
        /// Which table.
        table: &'static str,
        /// Which row.
        id: Uuid,
    },
    /// One too many at this moment: status 429, the text is the answer.
    #[error("{0}")]
    TooMany(Cow<'static, str>),
    /// Somebody else's service is away: status 503, the text is the answer.
    #[error("{0}")]
    Unavailable(Cow<'static, str>),
    /// The HSM.
    #[error(transparent)]
    Hsm(#[from] MacError),
    /// The database. The text says no SQL.
    #[error("clm_core_db: {0}")]
    Database(StoreError),
    /// The record could not be written, so the work was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Us.
    #[error("internal error: {0}")]
    Internal(Cow<'static, str>),
}

impl Error {
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Tampered { table, id } => Self::RowTampered { table, id },
            StoreError::Conflict { what } => Self::Conflict(what),
            StoreError::Crowded { .. } => Self::TooMany(error.to_string().into()),
            StoreError::Absent { .. }
            | StoreError::Circle { .. }
            | StoreError::Full { .. }
            | StoreError::GroupCircle
            | StoreError::Json => Self::invalid(error.to_string()),
            other => Self::Database(other),
        }
    }
}

/// Why a token gave no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Absent, unknown, expired, used up, or from an address it may not be used from: status 403 `permission denied`,
    /// without saying which. Tell [`crate::Core::note_unauthenticated`].
    #[error("permission denied")]
    Refused(TokenRefusal),
    /// Nobody could say: database, HSM, or a row changed behind the service's back.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What was wrong with a token; for records, never for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// No such token.
    Unknown,
    /// Its organization is not there, not active, or deleted.
    Organization,
    /// Its time is over.
    Expired,
    /// Its uses are.
    UsedUp,
    /// Whoever bears it is disabled, or gone.
    Entity,
    /// Not from this address.
    Source,
}

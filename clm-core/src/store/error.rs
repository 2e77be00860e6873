//! What the database answers, without its words.

use uuid::Uuid;

/// Why a statement did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row was changed or deleted since it was read.
    #[error("the {what} was changed meanwhile")]
    Conflict {
        /// What kind of row.
        what: &'static str,
    },
    /// A unique rule of the schema.
    #[error("{constraint} is violated")]
    Taken {
        /// The constraint's name.
        constraint: String,
    },
    /// A row without our MAC.
    #[error("a row of {table} ({id}) does not carry its MAC")]
    Tampered {
        /// Which table.
        table: &'static str,
        /// Which row.
        id: Uuid,
    },
    /// A row whose columns say what cannot be.
    #[error("{0} cannot be read")]
    Malformed(&'static str),
    /// PostgreSQL, or the way to it. Its own text is for the log, not for an answer.
    #[error("the database could not be asked")]
    Database(#[source] sqlx::Error),
    /// Schema and program do not fit.
    #[error("{0}")]
    Schema(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => {
                Self::Taken { constraint: database.constraint().unwrap_or("a unique constraint").to_owned() }
            }
            _ => Self::Database(error),
        }
    }
}

//! What the database answers, without its words.

use uuid::Uuid;

/// Why a statement did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row that a field names is not there, is another organization's, or was deleted.
    #[error("{field}: this organization has no {what} {id}")]
    Absent {
        /// Which field.
        field: &'static str,
        /// What it should name.
        what: &'static str,
        /// What it names.
        id: Uuid,
    },
    /// A role that is to be above another is that one, or below it.
    #[error("{field}: role {id} inherits from this one, and no role inherits from itself: name one that does not")]
    Circle {
        /// Which field.
        field: &'static str,
        /// What it names.
        id: Uuid,
    },
    /// A group that is to be in another holds that one.
    #[error("cyclic relationship detected: a group cannot hold itself")]
    GroupCircle,
    /// As many logins of one method wait as may.
    #[error(
        "{most} logins of this method wait for their next step, and no more may: finish one, or try again in some minutes, when those that nobody goes on with have ended ([login] pending_logins)"
    )]
    Crowded {
        /// How many may.
        most: u32,
    },
    /// The organization has as many as it may.
    #[error(
        "the organization has as many {what} as its quota allows ({field} = {most}): delete some that are not needed, or have the root organization raise {field} at clm/organizations"
    )]
    Full {
        /// The quota.
        field: &'static str,
        /// What it counts.
        what: &'static str,
        /// How many it allows.
        most: u32,
    },
    /// JSON that PostgreSQL does not keep.
    #[error("JSON here holds no NUL characters and no numbers beyond the database's")]
    Json,
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
            // What it names was deleted meanwhile; or what is to go was named meanwhile.
            Some(database) if database.is_foreign_key_violation() => {
                Self::Conflict { what: "row that another one names" }
            }
            // Of class 22, data exceptions: untranslatable_character, numeric_value_out_of_range, invalid_text_representation.
            Some(database) if ["22P05", "22003", "22P02"].contains(&database.code().unwrap_or_default().as_ref()) => {
                Self::Json
            }
            _ => Self::Database(error),
        }
    }
}

//! What callers ask of the writer.

use crate::AuditError;
use audit_chain::Event;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use tokio::sync::oneshot;
use uuid::Uuid;

pub(crate) enum Job {
    Append {
        event: Box<Event>,
        done: oneshot::Sender<Result<(), AuditError>>,
    },
    /// `refused` tells why nothing of it was written, nor will be; if it is dropped without a word, nobody knows.
    Change {
        organization_id: Uuid,
        change: Change,
        refused: oneshot::Sender<AuditError>,
    },
}

/// Runs SQL in the writer's transaction; gives its event and what to call once that is durable (or is not).
pub(crate) type Change =
    Box<dyn for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(Event, Settle), Tell>> + Send>;
pub(crate) type Settle = Box<dyn FnOnce(Result<(), AuditError>) + Send>;
/// Tells a caller that its change was refused; only once the batch is over, because what refused it may be in the same batch.
pub(crate) type Tell = Box<dyn FnOnce() + Send>;

impl Job {
    /// For whom something changes.
    pub(crate) fn organization_id(&self) -> Option<Uuid> {
        match self {
            Self::Append { .. } => None,
            Self::Change { organization_id, .. } => Some(*organization_id),
        }
    }

    /// Nothing of it was written.
    pub(crate) fn refuse(self, error: &AuditError) {
        match self {
            Self::Append { done, .. } => drop(done.send(Err(error.clone()))),
            Self::Change { refused, .. } => drop(refused.send(error.clone())),
        }
    }
}

pub(crate) fn unavailable(error: &sqlx::Error) -> AuditError {
    AuditError::Unavailable(reason(error))
}

/// What a caller may know of it. PostgreSQL's own words name files and what is in statements: they go to the log.
pub(crate) fn reason(error: &sqlx::Error) -> String {
    tracing::error!(%error, "the audit log's database is away or refuses");
    let full = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code.starts_with("53"));
    let reason = if full {
        "its database is out of room (disk, memory or connections): make room"
    } else {
        "its database is away or refuses: see the service's log"
    };
    reason.into()
}

/// What a caller hears whose job was dropped without a word, maybe in the middle of its commit.
pub(crate) fn ended() -> AuditError {
    AuditError::Uncertain("the writer ended".into())
}

//! The log as its callers see it: append, commit, checkpoints.

use crate::checkpoint::{self, BoxedSigner};
use crate::job::{Change, Job, Settle, Tell, ended};
use crate::writer::Writer;
use crate::{AuditError, ChangeError, Table, partitions};
use audit_chain::Event;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use std::fmt;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// For how long work is queued already whose records will come: asked before a commit, which may then wait for some of them.
pub type Ahead = Box<dyn Fn() -> Duration + Send + Sync>;

/// Records waiting for the database.
const QUEUE: usize = 16_384;

/// A cheap clone; the writer ends when the last one is dropped.
#[derive(Clone)]
pub struct AuditLog {
    jobs: mpsc::Sender<Job>,
    table: Table,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("table", &self.table.name).field("waiting", &self.waiting()).finish()
    }
}

impl AuditLog {
    /// Starts the writer; must be called inside a Tokio runtime. The database may be away: records then fail until it is back.
    pub fn start(options: PgConnectOptions, table: Table) -> Self {
        Self::start_behind(options, table, false, Box::new(|| Duration::ZERO))
    }

    /// The same through a pooler that gives connections for one transaction (`options` without a statement cache): nothing runs outside one.
    pub fn start_pooled(options: PgConnectOptions, table: Table) -> Self {
        Self::start_behind(options, table, true, Box::new(|| Duration::ZERO))
    }

    /// Either, `pooled` or not, for records of work that is queued somewhere: `ahead` says for how long.
    pub fn start_behind(options: PgConnectOptions, table: Table, pooled: bool, ahead: Ahead) -> Self {
        let options = options.disable_statement_logging();
        let (jobs, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(Writer::new(options.clone(), table, pooled, ahead).run(receiver));
        tokio::spawn(partitions::keep(options, table, jobs.downgrade()));
        Self { jobs, table }
    }

    /// Records waiting for the database now.
    pub fn waiting(&self) -> usize {
        QUEUE - self.jobs.capacity()
    }

    /// Queued at once, durable when the future is ready.
    pub fn append(&self, event: Event) -> impl Future<Output = Result<(), AuditError>> + Send + use<> {
        let (done, outcome) = oneshot::channel();
        let queued =
            self.table.accept(event).and_then(|event| self.enqueue(Job::Append { event: Box::new(event), done }));
        async move {
            queued?;
            outcome.await.unwrap_or_else(|_| Err(ended()))
        }
    }

    /// A state change and its record, in one transaction. `change` runs SQL, and nothing else, with `clm.organization_id` set to that
    /// organization; it gives its value and its event. If it is refused nothing is written.
    ///
    /// It runs on the one connection of the log: while it waits, every record waits. A statement of it that waits more than two seconds for
    /// a lock, or runs for more than five, fails.
    pub async fn commit<T, E, F>(&self, organization_id: Uuid, change: F) -> Result<T, ChangeError<E>>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(T, Event), E>> + Send + 'static,
    {
        let (done, outcome) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            Box::pin(async move {
                match change(connection).await {
                    Ok((value, event)) => {
                        let settle: Settle = Box::new(move |durable| {
                            // Fails only when the caller has given up; the change stands all the same.
                            drop(done.send(durable.map(|()| value).map_err(ChangeError::Audit)));
                        });
                        Ok((event, settle))
                    }
                    Err(error) => {
                        let tell: Tell = Box::new(move || drop(done.send(Err(ChangeError::Change(error)))));
                        Err(tell)
                    }
                }
            })
        });
        let (refused, why) = oneshot::channel();
        self.enqueue(Job::Change { organization_id, change, refused })?;
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => Err(ChangeError::Audit(why.await.unwrap_or_else(|_| ended()))),
        }
    }

    /// Signs a checkpoint over all chains of the log every few seconds while they grow, until the log is dropped.
    pub fn checkpoint_with(
        &self,
        options: PgConnectOptions,
        signer: BoxedSigner,
        now: impl Fn() -> DateTime<Utc> + Send + 'static,
    ) {
        tokio::spawn(checkpoint::keep(options, self.table, signer, now, self.jobs.downgrade()));
    }

    fn enqueue(&self, job: Job) -> Result<(), AuditError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AuditError::Busy,
            mpsc::error::TrySendError::Closed(_) => AuditError::Unavailable("the writer has ended".into()),
        })
    }
}

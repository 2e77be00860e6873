//! One commit: the records in it, and whom to tell.

use crate::job::{Change, Job, Settle, Tell, unavailable};
use crate::lease::Lease;
use crate::{AuditError, Table, insert};
use audit_chain::{Event, Head, Link};
use futures_util::FutureExt;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use std::panic::AssertUnwindSafe;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Nothing of a change is left.
const UNDO: &str = "ROLLBACK TO SAVEPOINT change; RELEASE SAVEPOINT change";

/// What a batch became.
pub(crate) enum Verdict {
    Durable,
    /// Nothing was written.
    Failed(AuditError),
    /// Nothing was written: the chain has another owner.
    LostLease,
    /// The commit was sent and no answer came.
    Unknown(AuditError),
}

/// Where a batch failed: before the commit nothing is there.
enum Failure {
    Before(sqlx::Error),
    AtCommit(sqlx::Error),
}

pub(crate) struct Batch {
    head: Head,
    records: Vec<(Link, Event)>,
    settle: Vec<Settle>,
    refused: Vec<Tell>,
}

impl Batch {
    pub(crate) fn new(head: Head) -> Self {
        Self { head, records: Vec::new(), settle: Vec::new(), refused: Vec::new() }
    }

    /// Where the chain stands once this is durable.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) async fn write(&mut self, lease: &mut Lease, (table, pooled): (Table, bool), jobs: Vec<Job>) -> Verdict {
        let changes = jobs.iter().any(|job| matches!(job, Job::Change { .. }));
        let outcome = if changes || pooled {
            self.in_transaction(lease, table, jobs).await
        } else {
            self.at_once(lease, table, jobs).await
        };
        match outcome {
            Ok(true) => Verdict::Durable,
            Ok(false) => Verdict::LostLease,
            Err(Failure::Before(error)) => Verdict::Failed(unavailable(&error)),
            Err(Failure::AtCommit(error)) => Verdict::Unknown(unavailable(&error)),
        }
    }

    /// Tells everybody.
    pub(crate) fn settle(self, outcome: &Result<(), AuditError>) {
        self.settle.into_iter().for_each(|settle| settle(outcome.clone()));
        self.refused.into_iter().for_each(|tell| tell());
    }

    /// Only records: one statement is one transaction and one round trip.
    async fn at_once(&mut self, lease: &mut Lease, table: Table, jobs: Vec<Job>) -> Result<bool, Failure> {
        for job in jobs {
            if let Job::Append { event, done } = job {
                self.add(*event, Box::new(move |outcome| drop(done.send(outcome))));
            }
        }
        self.insert(&mut lease.connection, table, (lease.fence, lease.head.seq))
            .await
            .map_err(|error| if is_of_statement(&error) { Failure::Before(error) } else { Failure::AtCommit(error) })
    }

    async fn in_transaction(&mut self, lease: &mut Lease, table: Table, jobs: Vec<Job>) -> Result<bool, Failure> {
        let mut jobs = jobs.into_iter();
        let mut transaction = match lease.connection.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return Err(refuse(jobs, error)),
        };
        while let Some(job) = jobs.next() {
            match job {
                Job::Append { event, done } => self.add(*event, Box::new(move |outcome| drop(done.send(outcome)))),
                Job::Change { organization_id, change, refused } => {
                    if let Err(error) = self.change(&mut transaction, table, (organization_id, change), refused).await {
                        return Err(refuse(jobs, error));
                    }
                }
            }
        }
        if self.records.is_empty() {
            transaction.rollback().await.map_err(Failure::Before)?;
            return Ok(true);
        }
        if !self.insert(&mut transaction, table, (lease.fence, lease.head.seq)).await.map_err(Failure::Before)? {
            return Ok(false);
        }
        transaction.commit().await.map_err(Failure::AtCommit)?;
        Ok(true)
    }

    /// Runs a change under a savepoint. What goes wrong with it is its caller's; an error here is the connection's, and everybody's.
    async fn change(
        &mut self,
        transaction: &mut PgConnection,
        table: Table,
        (organization_id, change): (Uuid, Change),
        refused: oneshot::Sender<AuditError>,
    ) -> Result<(), sqlx::Error> {
        if let Err(error) = set_savepoint(transaction, organization_id).await {
            drop(refused.send(unavailable(&error)));
            return Err(error);
        }
        let (event, settle) = match AssertUnwindSafe(change(&mut *transaction)).catch_unwind().await {
            Ok(Ok(made)) => made,
            Ok(Err(tell)) => {
                self.refused.push(tell);
                return run(transaction, UNDO).await;
            }
            // The log lives on.
            Err(_) => {
                tracing::error!(table = table.name, "a state change panicked; nothing of it was written");
                drop(refused.send(AuditError::Refused("the change panicked, see the service's log".into())));
                return run(transaction, UNDO).await;
            }
        };
        let event = match table.accept(event) {
            Ok(event) => event,
            Err(error) => {
                self.refused.push(Box::new(move || settle(Err(error))));
                return run(transaction, UNDO).await;
            }
        };
        match run(transaction, "RELEASE SAVEPOINT change").await {
            Ok(()) => {
                self.add(event, settle);
                Ok(())
            }
            Err(error) => {
                let told = unavailable(&error);
                self.refused.push(Box::new(move || settle(Err(told))));
                // A change that took no notice of an error of its own statement.
                if is_of_statement(&error) { run(transaction, UNDO).await } else { Err(error) }
            }
        }
    }

    fn add(&mut self, event: Event, settle: Settle) {
        let link = self.head.append(&event);
        self.records.push((link, event));
        self.settle.push(settle);
    }

    /// `false`: the chain has another owner, and nothing was inserted.
    async fn insert(
        &mut self,
        connection: &mut PgConnection,
        table: Table,
        (fence, seq): (i64, i64),
    ) -> Result<bool, sqlx::Error> {
        let inserted = insert::records(connection, table, self.head, &self.records, fence, seq).await?;
        Ok(inserted == self.records.len() as u64)
    }
}

/// Nothing is written of jobs that were not reached.
fn refuse(jobs: impl Iterator<Item = Job>, error: sqlx::Error) -> Failure {
    let told = unavailable(&error);
    jobs.for_each(|job| job.refuse(&told));
    Failure::Before(error)
}

/// From where a change runs: as its organization, and not for long. All in one message: a trip less for each. A UUID's text ends no literal.
async fn set_savepoint(transaction: &mut PgConnection, organization_id: Uuid) -> Result<(), sqlx::Error> {
    let statements = format!(
        "SAVEPOINT change; SET LOCAL clm.organization_id = '{organization_id}'; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '5s'"
    );
    run(transaction, AssertSqlSafe(statements)).await
}

async fn run(transaction: &mut PgConnection, statements: impl SqlSafeStr) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statements).execute(transaction).await.map(drop)
}

/// The statement was refused and undone, and the connection lives. Not so when the server ends the session: that may come after the commit.
fn is_of_statement(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}

//! One commit: the records in it, and whom to tell.

use crate::job::{Change, Job, Settle, Tell, unavailable};
use crate::lease::Lease;
use crate::pool::is_of_statement;
use crate::{AuditError, Table, insert};
use audit_chain::{Event, Head, Link};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use std::mem;
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
    /// What the last change came to; its savepoint is still there.
    changed: Option<(Event, Settle)>,
    refused: Vec<Tell>,
}

impl Batch {
    pub(crate) fn new(head: Head) -> Self {
        Self { head, records: Vec::new(), settle: Vec::new(), changed: None, refused: Vec::new() }
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

    /// Tells everybody, and before that each request whose record is durable.
    pub(crate) fn settle(self, outcome: &Result<(), AuditError>) {
        if outcome.is_ok() {
            self.records.iter().for_each(|(_, event)| event.mark_durable());
        }
        let changed = self.changed.map(|(_, settle)| settle);
        self.settle.into_iter().chain(changed).for_each(|settle| settle(outcome.clone()));
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
        let mut jobs = jobs.into_iter().peekable();
        // Before a change that comes first: a trip less for it.
        let first = jobs.peek().and_then(Job::organization_id);
        let begin = first.map_or_else(|| "BEGIN".to_owned(), |first| format!("BEGIN; {}", savepoint(first)));
        let mut is_set = first.is_some();
        let mut transaction = match lease.connection.begin_with(AssertSqlSafe(begin)).await {
            Ok(transaction) => transaction,
            Err(error) => return Err(refuse(jobs, error)),
        };
        while let Some(job) = jobs.next() {
            match job {
                Job::Append { event, done } => self.add(*event, Box::new(move |outcome| drop(done.send(outcome)))),
                Job::Change { organization_id, change, refused } => {
                    let savepoint = (!mem::take(&mut is_set)).then_some(organization_id);
                    if let Err(error) = self.change(&mut transaction, table, (savepoint, change), refused).await {
                        return Err(refuse(jobs, error));
                    }
                }
            }
        }
        match self.insert_all(&mut transaction, table, (lease.fence, lease.head.seq)).await.map_err(Failure::Before)? {
            None => transaction.rollback().await.map_err(Failure::Before)?,
            Some(false) => return Ok(false),
            Some(true) => transaction.commit().await.map_err(Failure::AtCommit)?,
        }
        Ok(true)
    }

    /// Runs a change under the savepoint that is set, or under one of its own as that organization. What goes wrong with it is its caller's; an
    /// error here is the connection's, and everybody's.
    async fn change(
        &mut self,
        transaction: &mut PgConnection,
        table: Table,
        (savepoint, change): (Option<Uuid>, Change),
        refused: oneshot::Sender<AuditError>,
    ) -> Result<(), sqlx::Error> {
        if let Some(organization_id) = savepoint
            && let Err(error) = self.set_savepoint(transaction, organization_id).await
        {
            drop(refused.send(unavailable(&error)));
            return Err(error);
        }
        match AssertUnwindSafe(change(&mut *transaction)).catch_unwind().await {
            Ok(Ok((event, settle))) => match table.accept(event) {
                Ok(event) => {
                    self.changed = Some((event, settle));
                    return Ok(());
                }
                Err(error) => self.refused.push(Box::new(move || settle(Err(error)))),
            },
            Ok(Err(tell)) => self.refused.push(tell),
            // The log lives on.
            Err(_) => {
                tracing::error!(table = table.name, "a state change panicked; nothing of it was written");
                drop(refused.send(AuditError::Refused("the change panicked, see the service's log".into())));
            }
        }
        run(transaction, UNDO).await
    }

    /// From where the next change runs. It shows too whether the one before took no notice of an error of its own statement; nothing of that is
    /// left then.
    async fn set_savepoint(
        &mut self,
        transaction: &mut PgConnection,
        organization_id: Uuid,
    ) -> Result<(), sqlx::Error> {
        let set = savepoint(organization_id);
        let Some((event, settle)) = self.changed.take() else { return run(transaction, AssertSqlSafe(set)).await };
        match run(transaction, AssertSqlSafe(format!("RELEASE SAVEPOINT change; {set}"))).await {
            Ok(()) => {
                self.add(event, settle);
                Ok(())
            }
            Err(error) => {
                self.refuse(settle, &error);
                if !is_of_statement(&error) {
                    return Err(error);
                }
                run(transaction, AssertSqlSafe(format!("{UNDO}; {set}"))).await
            }
        }
    }

    /// The records, if there are any, with that of the last change, whose savepoint nothing has to release: the commit does. `false`: the chain
    /// has another owner, and nothing was inserted.
    async fn insert_all(
        &mut self,
        transaction: &mut PgConnection,
        table: Table,
        place: (i64, i64),
    ) -> Result<Option<bool>, sqlx::Error> {
        let head = self.head;
        let changed = self.changed.take().map(|(event, settle)| self.add(event, settle)).is_some();
        if self.records.is_empty() {
            return Ok(None);
        }
        match self.insert(transaction, table, place).await {
            // It took no notice of an error of its own statement: the others' records go without it.
            Err(error) if changed && is_of_earlier_statement(&error) => {
                run(transaction, UNDO).await?;
                self.head = head;
                self.records.pop();
                if let Some(settle) = self.settle.pop() {
                    self.refuse(settle, &error);
                }
                if self.records.is_empty() { Ok(None) } else { self.insert(transaction, table, place).await.map(Some) }
            }
            inserted => inserted.map(Some),
        }
    }

    fn refuse(&mut self, settle: Settle, error: &sqlx::Error) {
        let told = unavailable(error);
        self.refused.push(Box::new(move || settle(Err(told))));
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

/// From where a change runs: as its organization, and not for long. A UUID's text ends no literal.
fn savepoint(organization_id: Uuid) -> String {
    format!(
        "SAVEPOINT change; SET LOCAL clm.organization_id = '{organization_id}'; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '5s'"
    )
}

async fn run(transaction: &mut PgConnection, statements: impl SqlSafeStr) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statements).execute(transaction).await.map(drop)
}

/// The statement was not looked at: one before it had failed (25P02, in_failed_sql_transaction).
fn is_of_earlier_statement(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25P02"))
}

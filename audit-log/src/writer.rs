//! The writer of a chain: commits whatever came in while its last commit ran, and waits for more only where waiting costs nobody time.

use crate::batch::{Batch, Verdict};
use crate::job::{Job, reason, unavailable};
use crate::lease::Lease;
use crate::{Ahead, AuditError, Table};
use audit_chain::Head;
use sqlx::postgres::PgConnectOptions;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Records in one commit.
const BATCH: usize = 1_024;
/// An idle writer shows that it lives, well within its lease of 30 s.
const IDLE: Duration = Duration::from_secs(10);
/// A commit waits for company this part of the work that lies ahead: what waits with it has that work before it anyway.
const SHARE: u32 = 4;
/// Less is not worth a timer, whose steps are milliseconds.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// Whatever lies ahead.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// How long one commit may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Writer {
    options: PgConnectOptions,
    table: Table,
    /// Each commit is a transaction of more than one statement.
    pooled: bool,
    ahead: Ahead,
    owner: Uuid,
    lease: Option<Lease>,
    /// The chain written last; ours until its lease ends.
    chain: Option<Uuid>,
}

impl Writer {
    pub(crate) fn new(options: PgConnectOptions, table: Table, pooled: bool, ahead: Ahead) -> Self {
        Self { options, table, pooled, ahead, owner: Uuid::new_v4(), lease: None, chain: None }
    }

    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        loop {
            match timeout(IDLE, jobs.recv_many(&mut batch, BATCH)).await {
                Ok(0) => break,
                Ok(_) => {
                    self.gather(&mut jobs, &mut batch).await;
                    if let Err(error) = self.write(&mut batch).await {
                        tracing::error!(%error, table = self.table.name, "there is no database for audit records");
                        // Nobody waits longer for a database that is away than it takes to see that it is.
                        batch.drain(..).for_each(|job| job.refuse(&error));
                        while let Ok(job) = jobs.try_recv() {
                            job.refuse(&error);
                        }
                    }
                }
                Err(_) => self.renew().await,
            }
        }
        if let Some(lease) = self.lease.take()
            && let Err(error) = lease.release().await
        {
            tracing::debug!(%error, "the audit chain's lease runs out by itself");
        }
    }

    /// Lets more records come into a commit while the token has work for much longer than that: whoever waits for this commit waits less for
    /// the processors that each commit takes.
    async fn gather(&self, jobs: &mut mpsc::Receiver<Job>, batch: &mut Vec<Job>) {
        let wait = (self.ahead)() / SHARE;
        if wait < LEAST_WAIT || batch.len() >= BATCH {
            return;
        }
        sleep(wait.min(LONGEST_WAIT)).await;
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
    }

    /// Writes the jobs and settles them. An error: there is no database to write to, and the jobs are still there.
    async fn write(&mut self, jobs: &mut Vec<Job>) -> Result<(), AuditError> {
        let mut lease = self.own().await.map_err(|error| unavailable(&error))?;
        let before = lease.head;
        let mut batch = Batch::new(before);
        let write = batch.write(&mut lease, (self.table, self.pooled), std::mem::take(jobs));
        let verdict = timeout(PATIENCE, write).await.unwrap_or_else(|_| {
            Verdict::Unknown(AuditError::Unavailable("the database did not answer in time".into()))
        });
        match verdict {
            Verdict::Durable => {
                lease.head = batch.head();
                self.lease = Some(lease);
                batch.settle(&Ok(()));
            }
            Verdict::Failed(error) => {
                tracing::error!(%error, table = self.table.name, "audit records could not be written");
                batch.settle(&Err(error));
            }
            Verdict::LostLease => {
                tracing::error!(table = self.table.name, chain_id = %before.chain_id, "another server took over the audit chain");
                self.chain = None;
                batch.settle(&Err(AuditError::Unavailable("another server owns this audit chain now".into())));
            }
            Verdict::Unknown(error) => {
                // No record may be doubled, and none that is there may be reported as lost: look before anything else is written.
                drop(lease);
                let outcome = self.resolve(before, batch.head(), error).await;
                tracing::error!(?outcome, table = self.table.name, "an audit commit got no answer");
                batch.settle(&outcome);
            }
        }
        Ok(())
    }

    /// What became of a commit that got no answer: where the chain stands tells.
    async fn resolve(&mut self, before: Head, after: Head, error: AuditError) -> Result<(), AuditError> {
        let lease = self.own().await.map_err(|error| AuditError::Uncertain(reason(&error)))?;
        let now = lease.head;
        self.lease = Some(lease);
        if now == after {
            Ok(())
        } else if now == before {
            Err(error)
        } else {
            Err(AuditError::Uncertain("another server took over the chain".into()))
        }
    }

    async fn own(&mut self) -> Result<Lease, sqlx::Error> {
        if let Some(lease) = self.lease.take() {
            return Ok(lease);
        }
        let lease = Lease::acquire(&self.options, self.owner, self.chain).await?;
        self.chain = Some(lease.head.chain_id);
        Ok(lease)
    }

    async fn renew(&mut self) {
        let Some(mut lease) = self.lease.take() else { return };
        match lease.renew().await {
            Ok(true) => self.lease = Some(lease),
            Ok(false) => self.chain = None,
            // The next record connects again, and finds its chain where it was.
            Err(error) => tracing::warn!(%error, table = self.table.name, "the audit log's connection was lost"),
        }
    }
}

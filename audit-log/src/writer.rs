//! The writer of a chain.

use crate::read::pack_heads;
use crate::table::{clean, outcome_text, severity_text};
use crate::{AuditError, ChangeError, Table};
use audit_chain::{Checkpoint, ENCODING_VERSION, Event, Hash, Head, Link};
use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Records waiting for the database.
const QUEUE: usize = 16_384;
/// Records in one commit.
const BATCH: usize = 1_024;
/// An idle writer shows that it lives, well within its lease of 30 s.
const IDLE: Duration = Duration::from_secs(10);
/// How often a checkpoint is signed while records come in.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How long one commit may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cheap clone; the writer ends when the last one is dropped.
#[derive(Clone)]
pub struct AuditLog {
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("waiting", &self.waiting()).finish()
    }
}

/// Signs checkpoints with a key that never leaves the HSM.
pub trait CheckpointSigner: Send + Sync {
    /// Signs [`Checkpoint::signed_bytes`]; `None` while the HSM is locked or away: the next round tries again.
    fn sign<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Option<SignedCheckpoint>>;
}

/// A signer behind a pointer.
pub type BoxedSigner = Arc<dyn CheckpointSigner>;

/// A signature and who made it.
#[derive(Clone, Debug)]
pub struct SignedCheckpoint {
    /// ECDSA P-256 over SHA-256, DER.
    pub signature: Vec<u8>,
    /// SubjectPublicKeyInfo of the key, DER.
    pub public_key: Vec<u8>,
}

enum Job {
    Append { event: Box<Event>, done: oneshot::Sender<Result<(), AuditError>> },
    Change { organization_id: Uuid, change: Change },
}

/// Runs SQL in the writer's transaction; gives its event and what to call once that is durable (or is not).
type Change = Box<dyn for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<(Event, Settle), Tell>> + Send>;
type Settle = Box<dyn FnOnce(Result<(), AuditError>) + Send>;
/// Tells a caller that its change was refused; only once the batch is over, because what refused it may be in the same batch.
type Tell = Box<dyn FnOnce() + Send>;

impl AuditLog {
    /// Starts the writer; must be called inside a Tokio runtime. The database may be away: records then fail until it is back.
    pub fn start(options: PgConnectOptions, table: Table) -> Self {
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let writer = Writer { options: options.disable_statement_logging(), table, owner: Uuid::new_v4(), owned: None };
        tokio::spawn(writer.run(receiver));
        Self { jobs }
    }

    /// Records waiting for the database now.
    pub fn waiting(&self) -> usize {
        QUEUE - self.jobs.capacity()
    }

    /// Durable when this returns.
    pub async fn append(&self, event: Event) -> Result<(), AuditError> {
        let (done, outcome) = oneshot::channel();
        self.enqueue(Job::Append { event: Box::new(event), done })?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// A state change and its record, in one transaction. `change` runs with `clm.organization_id` set to that organization; it gives its
    /// value and its event. If it is refused nothing is written.
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
        self.enqueue(Job::Change { organization_id, change })?;
        outcome.await.unwrap_or_else(|_| Err(ChangeError::Audit(ended())))
    }

    /// Signs a checkpoint over all chains of the log every few seconds while they grow, until the log is dropped.
    pub fn checkpoint_with(
        &self,
        options: PgConnectOptions,
        signer: BoxedSigner,
        now: impl Fn() -> DateTime<Utc> + Send + 'static,
    ) {
        let alive = self.jobs.downgrade();
        tokio::spawn(async move {
            let mut last = None;
            while alive.upgrade().is_some() {
                tokio::time::sleep(CHECKPOINT_EVERY).await;
                match write_checkpoint(&options, &*signer, now(), last).await {
                    Ok(root) => last = root,
                    Err(error) => tracing::warn!(%error, "no audit checkpoint could be written"),
                }
            }
        });
    }

    fn enqueue(&self, job: Job) -> Result<(), AuditError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AuditError::Busy,
            mpsc::error::TrySendError::Closed(_) => ended(),
        })
    }
}

async fn write_checkpoint(
    options: &PgConnectOptions,
    signer: &dyn CheckpointSigner,
    now: DateTime<Utc>,
    last: Option<Hash>,
) -> Result<Option<Hash>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let rows = sqlx::query("SELECT chain_id, seq, hash FROM audit_chains WHERE seq > 0 ORDER BY chain_id")
        .fetch_all(&mut connection)
        .await?;
    let heads = rows.iter().map(head).collect::<Result<_, _>>()?;
    let checkpoint = Checkpoint { created_at: now.trunc_subsecs(6), heads };
    let root = checkpoint.merkle_root();
    if checkpoint.heads.is_empty() || Some(root) == last {
        return Ok(last);
    }
    let Some(signed) = signer.sign(&checkpoint).await else { return Ok(last) };
    sqlx::query("INSERT INTO audit_checkpoints (id, created_at, heads, merkle_root, signature, public_key) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(Uuid::now_v7())
        .bind(checkpoint.created_at)
        .bind(pack_heads(&checkpoint.heads))
        .bind(root.as_slice())
        .bind(signed.signature)
        .bind(signed.public_key)
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(Some(root))
}

struct Writer {
    options: PgConnectOptions,
    table: Table,
    owner: Uuid,
    owned: Option<Owned>,
}

/// A connection, and the chain that it writes.
struct Owned {
    connection: PgConnection,
    fence: i64,
    head: Head,
}

/// What a batch became.
enum Verdict {
    Durable(Head),
    Failed(AuditError),
    /// The commit was sent and no answer came: the head tells.
    Unknown(Head, AuditError),
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        loop {
            match tokio::time::timeout(IDLE, jobs.recv_many(&mut batch, BATCH)).await {
                Ok(0) => break,
                Ok(_) => self.write(std::mem::take(&mut batch)).await,
                Err(_) => self.renew().await,
            }
        }
        self.release().await;
    }

    async fn write(&mut self, jobs: Vec<Job>) {
        let mut owned = match self.own().await {
            Ok(owned) => owned,
            Err(error) => return refuse(jobs, &unavailable(&error)),
        };
        let mut batch = Batch::new(owned.head);
        let table = self.table;
        let verdict = tokio::time::timeout(PATIENCE, batch.write(&mut owned, table, jobs)).await.unwrap_or_else(|_| {
            Verdict::Unknown(batch.head, AuditError::Unavailable("the database did not answer in time".into()))
        });
        match verdict {
            Verdict::Durable(head) => {
                owned.head = head;
                self.owned = Some(owned);
                batch.settle(&Ok(()));
            }
            Verdict::Failed(error) => {
                tracing::error!(%error, table = self.table.name, "audit records could not be written");
                batch.settle(&Err(error));
            }
            Verdict::Unknown(head, error) => {
                // No record may be doubled, and none that is there may be reported as lost: look before anything else is written.
                drop(owned.connection);
                let durable = self.head_is(head).await;
                tracing::error!(%error, table = self.table.name, ?durable, "an audit commit got no answer");
                batch.settle(&if durable == Some(true) { Ok(()) } else { Err(error) });
            }
        }
    }

    /// The chain this writer owns, or a new ownership: of a chain whose owner's lease ended, or of a new chain.
    async fn own(&mut self) -> Result<Owned, sqlx::Error> {
        if let Some(owned) = self.owned.take() {
            return Ok(owned);
        }
        let mut connection = tokio::time::timeout(PATIENCE, self.options.connect())
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))?;
        let row = sqlx::query(
            "UPDATE audit_chains SET owner = $1, fence = fence + 1, leased_until = now() + interval '30 seconds' \
             WHERE chain_id = (SELECT chain_id FROM audit_chains WHERE owner = $1 OR leased_until < now() \
             ORDER BY owner = $1 DESC, seq DESC LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING chain_id, seq, hash, fence",
        )
        .bind(self.owner)
        .fetch_optional(&mut connection)
        .await?;
        if let Some(row) = row {
            return Ok(Owned { connection, fence: row.try_get("fence")?, head: head(&row)? });
        }
        let head = Head::new(Uuid::now_v7());
        sqlx::query(
            "INSERT INTO audit_chains (chain_id, owner, fence, seq, hash, leased_until) VALUES ($1, $2, 1, 0, $3, now() + interval '30 seconds')",
        )
        .bind(head.chain_id)
        .bind(self.owner)
        .bind(head.hash.as_slice())
        .execute(&mut connection)
        .await?;
        Ok(Owned { connection, fence: 1, head })
    }

    async fn head_is(&mut self, expected: Head) -> Option<bool> {
        let owned = self.own().await.ok()?;
        let same = owned.head == expected;
        // A chain taken over from somebody else says nothing of ours.
        let ours = owned.head.chain_id == expected.chain_id;
        self.owned = Some(owned);
        ours.then_some(same)
    }

    async fn renew(&mut self) {
        let Some(mut owned) = self.owned.take() else { return };
        let renewed = sqlx::query(
            "UPDATE audit_chains SET leased_until = now() + interval '30 seconds' WHERE chain_id = $1 AND fence = $2",
        )
        .bind(owned.head.chain_id)
        .bind(owned.fence)
        .execute(&mut owned.connection)
        .await;
        if renewed.is_ok_and(|done| done.rows_affected() == 1) {
            self.owned = Some(owned);
        }
    }

    async fn release(&mut self) {
        let Some(mut owned) = self.owned.take() else { return };
        let released = sqlx::query(
            "UPDATE audit_chains SET leased_until = now() - interval '1 second' WHERE chain_id = $1 AND fence = $2",
        )
        .bind(owned.head.chain_id)
        .bind(owned.fence)
        .execute(&mut owned.connection)
        .await;
        if let Err(error) = released {
            tracing::debug!(%error, "the audit chain's lease runs out by itself");
        }
    }
}

/// Records of one commit, and whom to tell.
struct Batch {
    head: Head,
    records: Vec<(Link, Event)>,
    settle: Vec<Settle>,
    refused: Vec<Tell>,
}

impl Batch {
    fn new(head: Head) -> Self {
        Self { head, records: Vec::new(), settle: Vec::new(), refused: Vec::new() }
    }

    async fn write(&mut self, owned: &mut Owned, table: Table, jobs: Vec<Job>) -> Verdict {
        let changes = jobs.iter().any(|job| matches!(job, Job::Change { .. }));
        let outcome = if changes {
            self.in_transaction(owned, table, jobs).await
        } else {
            self.at_once(owned, table, jobs).await
        };
        match outcome {
            Ok(true) => Verdict::Durable(self.head),
            Ok(false) => Verdict::Failed(AuditError::Unavailable("another server owns this audit chain now".into())),
            Err(Failure::Before(error)) => Verdict::Failed(unavailable(&error)),
            Err(Failure::AtCommit(error)) => Verdict::Unknown(self.head, unavailable(&error)),
        }
    }

    async fn at_once(&mut self, owned: &mut Owned, table: Table, jobs: Vec<Job>) -> Result<bool, Failure> {
        for job in jobs {
            if let Job::Append { event, done } = job {
                self.add(*event, Box::new(move |outcome| drop(done.send(outcome))));
            }
        }
        let inserted = insert(&mut owned.connection, table, (self.head, &self.records), owned.fence, owned.head.seq)
            .await
            .map_err(|error| match error {
                sqlx::Error::Database(_) => Failure::Before(error),
                other => Failure::AtCommit(other),
            })?;
        Ok(inserted == self.records.len() as u64)
    }

    async fn in_transaction(&mut self, owned: &mut Owned, table: Table, jobs: Vec<Job>) -> Result<bool, Failure> {
        let mut rest = jobs.into_iter();
        let outcome = self.fill(owned, table, &mut rest).await;
        // Jobs not reached fail with the batch.
        for job in rest {
            if let Job::Append { done, .. } = job {
                self.settle.push(Box::new(move |outcome| drop(done.send(outcome))));
            }
        }
        outcome
    }

    async fn fill(
        &mut self,
        owned: &mut Owned,
        table: Table,
        jobs: &mut std::vec::IntoIter<Job>,
    ) -> Result<bool, Failure> {
        let mut transaction = owned.connection.begin().await.map_err(Failure::Before)?;
        for job in jobs {
            match job {
                Job::Append { event, done } => self.add(*event, Box::new(move |outcome| drop(done.send(outcome)))),
                Job::Change { organization_id, change } => {
                    let mut savepoint = transaction.begin().await.map_err(Failure::Before)?;
                    sqlx::query("SELECT set_config('clm.organization_id', $1, true)")
                        .bind(organization_id.to_string())
                        .execute(&mut *savepoint)
                        .await
                        .map_err(Failure::Before)?;
                    match change(&mut savepoint).await {
                        Ok((event, settle)) => {
                            savepoint.commit().await.map_err(Failure::Before)?;
                            self.add(event, settle);
                        }
                        Err(tell) => {
                            self.refused.push(tell);
                            savepoint.rollback().await.map_err(Failure::Before)?;
                        }
                    }
                }
            }
        }
        if self.records.is_empty() {
            transaction.rollback().await.map_err(Failure::Before)?;
            return Ok(true);
        }
        let inserted = insert(&mut transaction, table, (self.head, &self.records), owned.fence, owned.head.seq)
            .await
            .map_err(Failure::Before)?;
        if inserted != self.records.len() as u64 {
            return Ok(false);
        }
        transaction.commit().await.map_err(Failure::AtCommit)?;
        Ok(true)
    }

    fn add(&mut self, mut event: Event, settle: Settle) {
        // What PostgreSQL stores is what is hashed.
        event.timestamp = event.timestamp.trunc_subsecs(6);
        for text in [&mut event.resource_id, &mut event.error_message, &mut event.accessor, &mut event.user_agent]
            .into_iter()
            .flatten()
        {
            if text.contains('\0') {
                *text = clean(text).into_owned();
            }
        }
        let link = self.head.append(&event);
        self.records.push((link, event));
        self.settle.push(settle);
    }

    fn settle(self, outcome: &Result<(), AuditError>) {
        for settle in self.settle {
            settle(outcome.clone());
        }
        for tell in self.refused {
            tell();
        }
    }
}

async fn insert(
    connection: &mut PgConnection,
    table: Table,
    (head, r): (Head, &[(Link, Event)]),
    fence: i64,
    old_seq: i64,
) -> Result<u64, sqlx::Error> {
    fn column<'a, T>(records: &'a [(Link, Event)], get: impl Fn(&'a Link, &'a Event) -> T) -> Vec<T> {
        records.iter().map(|(link, event)| get(link, event)).collect()
    }

    let data = r
        .iter()
        .map(|(_, event)| serde_json::to_string(&event.data).map_err(|error| sqlx::Error::Encode(Box::new(error))))
        .collect::<Result<Vec<_>, _>>()?;
    let done = sqlx::query(table.append)
        .bind(head.seq)
        .bind(head.hash.as_slice())
        .bind(head.chain_id)
        .bind(fence)
        .bind(old_seq)
        .bind(ENCODING_VERSION)
        .bind(column(r, |link, _| link.seq))
        .bind(column(r, |link, _| link.previous_hash.as_slice()))
        .bind(column(r, |link, _| link.hash.as_slice()))
        .bind(column(r, |_, event| event.id))
        .bind(column(r, |_, event| &*event.event_type))
        .bind(column(r, |_, event| &*event.category))
        .bind(column(r, |_, event| severity_text(event.severity)))
        .bind(column(r, |_, event| event.organization_id))
        .bind(column(r, |_, event| &*event.resource_type))
        .bind(column(r, |_, event| event.resource_id.as_deref()))
        .bind(column(r, |_, event| &*event.action))
        .bind(column(r, |_, event| outcome_text(event.outcome)))
        .bind(column(r, |_, event| event.error_message.as_deref()))
        .bind(column(r, |_, event| event.result_sha256.as_ref().map(<[u8; 32]>::as_slice)))
        .bind(column(r, |_, event| event.request_id))
        .bind(column(r, |_, event| event.user_id))
        .bind(column(r, |_, event| event.accessor.as_deref()))
        .bind(column(r, |_, event| event.ip_address.map(|address| address.to_string())))
        .bind(column(r, |_, event| event.user_agent.as_deref()))
        .bind(data)
        .bind(column(r, |_, event| event.timestamp))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Where a batch failed: before the commit nothing is there.
enum Failure {
    Before(sqlx::Error),
    AtCommit(sqlx::Error),
}

fn refuse(jobs: Vec<Job>, error: &AuditError) {
    for job in jobs {
        // A change's caller learns it from its channel being dropped.
        if let Job::Append { done, .. } = job {
            drop(done.send(Err(error.clone())));
        }
    }
}

fn head(row: &sqlx::postgres::PgRow) -> Result<Head, sqlx::Error> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let hash = hash
        .try_into()
        .map_err(|_| sqlx::Error::ColumnDecode { index: "hash".into(), source: "not 32 bytes".into() })?;
    Ok(Head { chain_id: row.try_get("chain_id")?, seq: row.try_get("seq")?, hash })
}

fn unavailable(error: &sqlx::Error) -> AuditError {
    AuditError::Unavailable(error.to_string())
}

fn ended() -> AuditError {
    AuditError::Unavailable("the database is away, or the writer has ended".into())
}

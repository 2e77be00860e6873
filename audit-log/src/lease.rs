//! Who writes a chain. The lease is a row with a fence: each new ownership raises it, and what an earlier one still sends changes nothing.

use audit_chain::Head;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How long the database may take to let us in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, and the chain that it may write.
pub(crate) struct Lease {
    pub(crate) connection: PgConnection,
    pub(crate) fence: i64,
    pub(crate) head: Head,
}

impl Lease {
    /// The chain `ours` again, else one whose owner's lease has ended, else a new one.
    ///
    /// Asking for `ours` waits for what an earlier connection of this owner is still doing; where the chain stands then is final.
    pub(crate) async fn acquire(
        options: &PgConnectOptions,
        owner: Uuid,
        ours: Option<Uuid>,
    ) -> Result<Self, sqlx::Error> {
        let acquire = async {
            let mut connection = options.connect().await?;
            let mut row = None;
            if let Some(chain_id) = ours {
                // A transaction of its own each: what an earlier connection still does is waited for, and then seen.
                row = in_transaction(&mut connection, async |connection| again(connection, owner, chain_id).await)
                    .await?;
            }
            if row.is_none() {
                row = in_transaction(&mut connection, async |connection| abandoned(connection, owner).await).await?;
            }
            let row = match row {
                Some(row) => row,
                None => in_transaction(&mut connection, async |connection| new(connection, owner).await).await?,
            };
            Ok(Self { connection, fence: row.try_get("fence")?, head: head(&row)? })
        };
        timeout(PATIENCE, acquire).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// An idle owner shows that it lives. `false`: the chain is somebody else's now.
    pub(crate) async fn renew(&mut self) -> Result<bool, sqlx::Error> {
        self.extend(
            "UPDATE audit_chains SET leased_until = now() + interval '30 seconds' WHERE chain_id = $1 AND fence = $2",
        )
        .await
    }

    /// The next server may have the chain at once.
    pub(crate) async fn release(mut self) -> Result<(), sqlx::Error> {
        self.extend(
            "UPDATE audit_chains SET leased_until = now() - interval '1 second' WHERE chain_id = $1 AND fence = $2",
        )
        .await
        .map(|_| ())
    }

    async fn extend(&mut self, statement: &'static str) -> Result<bool, sqlx::Error> {
        let (chain_id, fence) = (self.head.chain_id, self.fence);
        let update = in_transaction(&mut self.connection, async |connection| {
            sqlx::query(statement).bind(chain_id).bind(fence).execute(connection).await
        });
        let done = timeout(PATIENCE, update).await.unwrap_or_else(|_| Err(no_answer()))?;
        Ok(done.rows_affected() == 1)
    }
}

/// A pooler gives a connection for one transaction: outside one, a statement and its execution may meet different ones.
pub(crate) async fn in_transaction<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let done = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

async fn again(connection: &mut PgConnection, owner: Uuid, chain_id: Uuid) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(
        "UPDATE audit_chains SET fence = fence + 1, leased_until = now() + interval '30 seconds' \
         WHERE chain_id = $1 AND owner = $2 RETURNING chain_id, seq, hash, fence",
    )
    .bind(chain_id)
    .bind(owner)
    .fetch_optional(connection)
    .await
}

async fn abandoned(connection: &mut PgConnection, owner: Uuid) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(
        "UPDATE audit_chains SET owner = $1, fence = fence + 1, leased_until = now() + interval '30 seconds' \
         WHERE chain_id = (SELECT chain_id FROM audit_chains WHERE leased_until < now() \
         ORDER BY seq DESC LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING chain_id, seq, hash, fence",
    )
    .bind(owner)
    .fetch_optional(connection)
    .await
}

async fn new(connection: &mut PgConnection, owner: Uuid) -> Result<PgRow, sqlx::Error> {
    let head = Head::new(Uuid::now_v7());
    sqlx::query(
        "INSERT INTO audit_chains (chain_id, owner, fence, seq, hash, leased_until) \
         VALUES ($1, $2, 1, 0, $3, now() + interval '30 seconds') RETURNING chain_id, seq, hash, fence",
    )
    .bind(head.chain_id)
    .bind(owner)
    .bind(head.hash.as_slice())
    .fetch_one(connection)
    .await
}

/// A row of `audit_chains`.
pub(crate) fn head(row: &PgRow) -> Result<Head, sqlx::Error> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let hash = hash
        .try_into()
        .map_err(|_| sqlx::Error::ColumnDecode { index: "hash".into(), source: "not 32 bytes".into() })?;
    Ok(Head { chain_id: row.try_get("chain_id")?, seq: row.try_get("seq")?, hash })
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time"))
}

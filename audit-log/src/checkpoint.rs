//! Signed checkpoints over the heads of all chains of a log.

use crate::Table;
use crate::job::Job;
use crate::lease::{head, in_transaction};
use audit_chain::{Checkpoint, Head, StoredCheckpoint};
use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::WeakSender;
use uuid::Uuid;

/// How often a checkpoint is signed while records come in.
const EVERY: Duration = Duration::from_secs(5);

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

/// Until the log is dropped.
pub(crate) async fn keep(
    options: PgConnectOptions,
    table: Table,
    signer: BoxedSigner,
    now: impl Fn() -> DateTime<Utc> + Send + 'static,
    alive: WeakSender<Job>,
) {
    let options = options.disable_statement_logging();
    while alive.upgrade().is_some() {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = write(&options, table, &*signer, now()).await {
            tracing::warn!(%error, table = table.name, "no audit checkpoint could be written");
        }
    }
}

/// Writes one, unless the newest one, whoever wrote it, says the same.
async fn write(
    options: &PgConnectOptions,
    table: Table,
    signer: &dyn CheckpointSigner,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    let (heads, newest) = in_transaction(&mut connection, async |connection| {
        let heads = read_heads(&mut *connection).await?;
        let newest: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT merkle_root FROM audit_checkpoints ORDER BY id DESC LIMIT 1")
                .fetch_optional(connection)
                .await?;
        Ok((heads, newest))
    })
    .await?;
    let heads = heads.into_iter().filter(|head| head.seq > 0).collect();
    let checkpoint = Checkpoint { log: table.name.into(), created_at: now.trunc_subsecs(6), heads };
    let root = checkpoint.merkle_root();
    if checkpoint.heads.is_empty() || newest.is_some_and(|newest| newest == root) {
        return connection.close().await;
    }
    let Some(signed) = signer.sign(&checkpoint).await else { return connection.close().await };
    in_transaction(&mut connection, async |connection| {
        sqlx::query(
            "INSERT INTO audit_checkpoints (id, created_at, heads, merkle_root, signature, public_key) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(Uuid::now_v7())
        .bind(checkpoint.created_at)
        .bind(pack(&checkpoint.heads))
        .bind(root.as_slice())
        .bind(signed.signature)
        .bind(signed.public_key)
        .execute(connection)
        .await
    })
    .await?;
    connection.close().await
}

/// Where the chains stand, as their own rows say.
pub async fn read_heads(connection: &mut PgConnection) -> Result<Vec<Head>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT chain_id, seq, hash FROM audit_chains ORDER BY chain_id").fetch_all(connection).await?;
    rows.iter().map(head).collect()
}

/// All checkpoints of the log, oldest first. Their signatures are for the caller to check.
pub async fn read_checkpoints(
    connection: &mut PgConnection,
    table: Table,
) -> Result<Vec<StoredCheckpoint>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT created_at, heads, signature, public_key FROM audit_checkpoints ORDER BY created_at, id")
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| {
            // Heads that cannot be read are not what was signed, which the signature then tells.
            let heads = unpack(&row.try_get::<Vec<u8>, _>("heads")?).unwrap_or_default();
            Ok(StoredCheckpoint {
                checkpoint: Checkpoint { log: table.name.into(), created_at: row.try_get("created_at")?, heads },
                signature: row.try_get("signature")?,
                public_key: row.try_get("public_key")?,
            })
        })
        .collect()
}

/// 56 bytes a head: chain id, number (i64, little endian), hash.
fn pack(heads: &[Head]) -> Vec<u8> {
    heads
        .iter()
        .flat_map(|head| [head.chain_id.as_bytes().as_slice(), &head.seq.to_le_bytes(), &head.hash].concat())
        .collect()
}

fn unpack(bytes: &[u8]) -> Option<Vec<Head>> {
    let head = |bytes: &[u8]| {
        Some(Head {
            chain_id: Uuid::from_slice(bytes.get(..16)?).ok()?,
            seq: i64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
            hash: bytes.get(24..56)?.try_into().ok()?,
        })
    };
    bytes.chunks(56).map(head).collect()
}

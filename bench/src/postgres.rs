//! What the database says: its settings, its counters, and the records in the audit log.

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

/// Counters since the cluster started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// Transactions that wrote something: numbers given out.
    pub(crate) writes: i64,
    /// Transactions ended by COMMIT, of all databases; backends tell with up to a second's delay.
    pub(crate) commits: i64,
    /// Times that the write-ahead log was flushed to the disk, told together with `commits`.
    pub(crate) syncs: i64,
}

/// Reads them.
pub(crate) async fn counters(superuser: &mut PgConnection) -> Result<Counters> {
    let row = sqlx::query(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, (SELECT wal_sync FROM pg_stat_wal), \
         (SELECT sum(xact_commit)::bigint FROM pg_stat_database)",
    )
    .fetch_one(superuser)
    .await?;
    Ok(Counters { writes: row.try_get(0)?, syncs: row.try_get(1)?, commits: row.try_get(2)? })
}

/// One setting.
pub(crate) async fn setting(superuser: &mut PgConnection, name: &str) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(superuser).await?)
}

/// The postmaster: parent of the process that serves this connection.
pub(crate) async fn postmaster(superuser: &mut PgConnection) -> Result<u32> {
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(superuser).await?;
    tests::process::parent(u32::try_from(backend)?).context("the database's processes are not on this machine")
}

/// Where the chains stand.
pub(crate) type Heads = Vec<(Uuid, i64)>;

/// Heads of the chains of `secure_audit_log`.
pub(crate) async fn heads(auditor: &str) -> Result<Heads> {
    let mut connection = PgConnection::connect(auditor).await?;
    Ok(sqlx::query_as("SELECT chain_id, seq FROM audit_chains").fetch_all(&mut connection).await?)
}

/// Records of a type behind `heads`, and the signatures that they speak of.
pub(crate) async fn records(auditor: &str, event_type: &str, heads: &Heads) -> Result<(u64, u64)> {
    let mut connection = PgConnection::connect(auditor).await?;
    let (chains, seqs): (Vec<Uuid>, Vec<i64>) = heads.iter().copied().unzip();
    let (records, signatures): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum((event_data ->> 'count')::bigint), 0)::bigint FROM secure_audit_log AS r \
         LEFT JOIN unnest($1::uuid[], $2::bigint[]) AS h(chain_id, seq) USING (chain_id) \
         WHERE r.event_type = $3 AND r.result = 'success' AND r.seq > coalesce(h.seq, 0)",
    )
    .bind(chains)
    .bind(seqs)
    .bind(event_type)
    .fetch_one(&mut connection)
    .await?;
    Ok((u64::try_from(records)?, u64::try_from(signatures)?))
}

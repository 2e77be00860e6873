//! Partitions are there before their month begins, an alarm tells when records went where no month takes them, and closed months get the
//! indexes that readers want.

use crate::job::Job;
use crate::lease::in_transaction;
use crate::{Table, examine};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::time::Duration;
use tokio::sync::mpsc::WeakSender;

/// Three months ahead are there, so this is often enough.
const EVERY: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(60);

/// Until the log is dropped.
pub(crate) async fn keep(options: PgConnectOptions, table: Table, alive: WeakSender<Job>) {
    while alive.upgrade().is_some() {
        let pause = match ensure(&options).await {
            Ok(stray) => {
                if stray {
                    tracing::error!(
                        alarm = "audit_partition",
                        table = table.name,
                        "records are in the DEFAULT partition: a clock jumped, or a month has no partition; see docs/OPERATIONS.md"
                    );
                }
                if let Err(error) = index_closed(&options, table).await {
                    tracing::warn!(%error, table = table.name, "a closed month could not be indexed; tried again in an hour");
                }
                EVERY
            }
            Err(error) => {
                tracing::warn!(%error, table = table.name, "the audit log's partitions could not be made; tried again in a minute");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// One index a statement: each is there or not at all, and the next round goes on with those that are missing.
async fn index_closed(options: &PgConnectOptions, table: Table) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    let mut add = async || {
        in_transaction(&mut connection, async |connection| {
            sqlx::query_scalar::<_, Option<String>>(
                "SELECT index_closed_audit_partition((now() AT TIME ZONE 'UTC')::date)",
            )
            .fetch_one(connection)
            .await
        })
        .await
    };
    while let Some(index) = add().await? {
        tracing::info!(table = table.name, index, "a closed month of the audit log has another index");
    }
    connection.close().await
}

/// Makes what is missing; says whether the DEFAULT partition holds records.
async fn ensure(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut connection = options.connect().await?;
    in_transaction(&mut connection, async |connection| {
        sqlx::query("SELECT ensure_audit_partitions((now() AT TIME ZONE 'UTC')::date)").execute(connection).await
    })
    .await?;
    let stray =
        in_transaction(&mut connection, async |connection| examine::has_stray_records(connection).await).await?;
    connection.close().await?;
    Ok(stray)
}

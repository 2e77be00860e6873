//! Months that leave the log and come back, as the migration role, which owns the partitions.

use crate::Table;
use chrono::{DateTime, Datelike, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::time::Duration;
use thiserror::Error;

/// A reader of the whole log keeps a month from leaving or coming; nobody queues behind us for longer than the lock timeout.
const ATTEMPTS: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// Why a month stays where it is.
#[derive(Debug, Error)]
pub enum MonthError {
    /// It has no partition of its own, or it is not where it is asked from.
    #[error("{0}")]
    Place(String),
    /// Records came to it since it was compared with its file.
    #[error("the partition holds {there} records, {compared} were compared with the file: export the month again")]
    Changed {
        /// Records in it.
        there: i64,
        /// Records that were compared.
        compared: i64,
    },
    /// The database's own words.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Takes a month out of the log, if it holds exactly `records`; it stays as a table of its own. Gives that table's name.
pub async fn detach(url: &str, table: Table, month: DateTime<Utc>, records: i64) -> Result<String, MonthError> {
    let partition = partition(table, month);
    let mut connection = connect(url).await?;
    let done = patiently(async || {
        if !is_attached(&mut connection, table, &partition).await? {
            return Err(MonthError::Place(format!("{} has no partition {partition}", table.name)));
        }
        let mut transaction = connection.begin().await?;
        run(&mut transaction, format!("ALTER TABLE public.{} DETACH PARTITION public.{partition}", table.name)).await?;
        // Nobody writes to it any more.
        let there = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM public.{partition}")))
            .fetch_one(&mut *transaction)
            .await?;
        if there != records {
            transaction.rollback().await?;
            return Err(MonthError::Changed { there, compared: records });
        }
        Ok(transaction.commit().await?)
    })
    .await;
    connection.close().await?;
    done.map(|()| partition)
}

/// Puts a month back that was detached and not dropped. Gives its table's name.
pub async fn attach(
    url: &str,
    table: Table,
    (month, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<String, MonthError> {
    let partition = partition(table, month);
    let mut connection = connect(url).await?;
    let there: bool = sqlx::query_scalar("SELECT to_regclass('public.' || $1) IS NOT NULL")
        .bind(&partition)
        .fetch_one(&mut connection)
        .await?;
    if !there {
        return Err(MonthError::Place(format!(
            "there is no table {partition}: it was dropped; restore it from a backup, or verify its exported file"
        )));
    }
    if is_attached(&mut connection, table, &partition).await? {
        return Err(MonthError::Place(format!("{partition} is attached")));
    }
    let statement = format!(
        "ALTER TABLE public.{} ATTACH PARTITION public.{partition} FOR VALUES FROM ('{}') TO ('{}')",
        table.name,
        month.format("%Y-%m-%d 00:00:00+00"),
        until.format("%Y-%m-%d 00:00:00+00")
    );
    let done = patiently(async || Ok(run(&mut connection, statement.clone()).await?)).await;
    connection.close().await?;
    done.map(|()| partition)
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("clm audit").options([("lock_timeout", "2s")]);
    options.disable_statement_logging().connect().await
}

/// Names are ours and digits, never a caller's.
fn partition(table: Table, month: DateTime<Utc>) -> String {
    format!("{}_{:04}_{:02}", table.name, month.year(), month.month())
}

async fn is_attached(connection: &mut PgConnection, table: Table, partition: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass('public.' || $1) AND inhrelid = to_regclass('public.' || $2))",
    )
    .bind(table.name)
    .bind(partition)
    .fetch_one(connection)
    .await
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

async fn patiently(mut attempt: impl AsyncFnMut() -> Result<(), MonthError>) -> Result<(), MonthError> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(MonthError::Database(error)) if is_lock_timeout(&error) => {
                tracing::info!("somebody reads the whole log; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
    attempt().await
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

//! Connections that many share.

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity};
use sqlx::{PgPool, Postgres, SqlSafeStr, Transaction};
use std::time::{Duration, Instant};

/// How long a caller waits for a connection before it hears that the database is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens at most `most` connections, each when it is first needed. Transactions begin with [`begin`]: nothing else asks whether a connection
/// that lay idle still lives.
pub fn pool(options: PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        // A trip to PostgreSQL for each transaction, which says no more than its first message does.
        .test_before_acquire(false)
        .connect_lazy_with(options)
}

/// Begins a transaction with `statements`, a `BEGIN` and what belongs to it. Connections that ended while they lay idle (PostgreSQL was started
/// anew, a firewall dropped them) are set aside: nothing has been done in them.
pub async fn begin(pool: &PgPool, statements: impl SqlSafeStr) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let (statements, began) = (statements.into_sql_str(), Instant::now());
    // As many as may lie idle.
    let mut left = pool.options().get_max_connections();
    loop {
        match pool.begin_with(statements.clone()).await {
            Err(error) if left > 0 && has_ended(&error) && began.elapsed() < PATIENCE => left -= 1,
            begun => return begun,
        }
    }
}

/// The connection is of no more use.
fn has_ended(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || error.as_database_error().is_some() && !is_of_statement(error)
}

/// The statement was refused and undone, and the connection lives. Not so when the server ends the session: that may come after the commit.
pub(crate) fn is_of_statement(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}

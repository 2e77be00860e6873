//! Statements that must be refused, or touch nothing.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, query};

/// insufficient_privilege: PostgreSQL's word for "you may not", row-level security's too.
pub(crate) const REFUSED: &str = "42501";

/// Runs a statement and takes it back; how many rows it touched, or the SQLSTATE of its refusal.
pub(crate) async fn attempt(connection: &mut PgConnection, statement: &str) -> Result<u64, String> {
    let mut transaction = connection.begin().await.unwrap();
    let done = query(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    match done {
        Ok(done) => Ok(done.rows_affected()),
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            Err(code.unwrap_or_else(|| panic!("{statement}: {error}")))
        }
    }
}

/// It must be refused for want of a privilege.
pub(crate) async fn refused(connection: &mut PgConnection, role: &str, statement: &str) {
    let came = attempt(connection, statement).await;
    assert_eq!(came, Err(REFUSED.to_owned()), "{role}: {statement}");
}

/// It must be refused, or find no row.
pub(crate) async fn vain(connection: &mut PgConnection, role: &str, statement: &str) {
    match attempt(connection, statement).await {
        Ok(0) => {}
        Err(code) if code == REFUSED => {}
        other => panic!("{role}: {statement}: {other:?}"),
    }
}

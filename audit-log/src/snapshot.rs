//! A connection for whoever reads a whole log.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

/// Connects; whatever is read then is of one moment, while the service writes on. Refuses a role that does not see all organizations:
/// to it a log would look empty, or full of holes.
pub async fn snapshot(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = options.application_name("clm audit").disable_statement_logging().connect().await?;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
    let sees_all: bool = sqlx::query_scalar(
        "SELECT rolsuper OR rolbypassrls OR pg_has_role(rolname, 'clm_auditor', 'USAGE') OR pg_has_role(rolname, 'clm_backup', 'USAGE') \
         FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut connection)
    .await?;
    if sees_all {
        Ok(connection)
    } else {
        Err(sqlx::Error::Configuration("this role does not see all records: connect as clm_auditor".into()))
    }
}

//! Rows that carry a revision and a MAC, as they are now: what `clm audit verify --rows` compares with the log.

use audit_chain::RowState;
use futures_util::{Stream, StreamExt};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

/// Tables whose rows carry them, whoever may read them.
pub async fn bound_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
         AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname IN ('id', 'revision', 'row_mac')) = 3 \
         ORDER BY c.relname",
    )
    .fetch_all(connection)
    .await
}

/// All rows of one of them.
pub fn read_rows<'a>(
    connection: &'a mut PgConnection,
    table: &str,
) -> impl Stream<Item = Result<(Uuid, RowState), sqlx::Error>> + use<'a> {
    // The name comes from the catalogue; quoted, as PostgreSQL's quote_ident does.
    let statement =
        format!("SELECT id, revision::bigint AS revision, row_mac FROM public.\"{}\"", table.replace('"', "\"\""));
    sqlx::query(AssertSqlSafe(statement)).fetch(connection).map(|row| read(&row?))
}

fn read(row: &PgRow) -> Result<(Uuid, RowState), sqlx::Error> {
    let mac: Vec<u8> = row.try_get("row_mac")?;
    // One of another length is like no MAC in the log.
    let mac = mac.try_into().unwrap_or([0xff; 32]);
    Ok((row.try_get("id")?, RowState { revision: row.try_get("revision")?, mac }))
}

//! Reading a log back, for verification and export. Needs a role that sees all organizations (auditor, backup).

use crate::Table;
use audit_chain::{Event, Found, Head, Outcome, Record, Severity, Unreadable, Value};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// Whatever is in the log, by chain and number.
pub fn scan(connection: &mut PgConnection, table: Table) -> impl Stream<Item = Result<Found, sqlx::Error>> + '_ {
    sqlx::query(table.select).fetch(connection).map(|row| found(&row?))
}

/// All records, by chain and number; one that was edited into something unreadable is an error.
pub fn read_records(
    connection: &mut PgConnection,
    table: Table,
) -> impl Stream<Item = Result<Record, sqlx::Error>> + '_ {
    sqlx::query(table.select).fetch(connection).map(|row| record(&row?))
}

/// The stretch of a chain that holds the records of a stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Where the chain stood before.
    pub start: Head,
    /// Number of the last record; that of `start` if there are none.
    pub last: i64,
}

/// The parts of all chains in `from..until`.
pub async fn parts(
    connection: &mut PgConnection,
    table: Table,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Part>, sqlx::Error> {
    let rows = sqlx::query(table.select_bounds).bind(from).bind(until).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let seq = row.try_get::<i64, _>("start")?;
            let hash: Option<Vec<u8>> = row.try_get("start_hash")?;
            let hash = hash.and_then(|hash| hash.try_into().ok()).unwrap_or_default();
            let start = Head { chain_id: row.try_get("chain_id")?, seq, hash };
            Ok(Part { start, last: row.try_get::<i64, _>("last")?.max(seq) })
        })
        .collect()
}

/// Chain, number and hash of each record that bears a time in `from..until`, by chain and number.
pub fn read_month(
    connection: &mut PgConnection,
    table: Table,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> impl Stream<Item = Result<Head, sqlx::Error>> + '_ {
    sqlx::query(table.select_month).bind(from).bind(until).fetch(connection).map(|row| {
        let row = row?;
        let hash: Vec<u8> = row.try_get("record_hash")?;
        let hash = hash.try_into().map_err(|_| malformed("record_hash"))?;
        Ok(Head { chain_id: row.try_get("chain_id")?, seq: row.try_get("seq")?, hash })
    })
}

/// The readable records that tell of detached months. They are in the log like all others: verify it too.
pub async fn read_detached(connection: &mut PgConnection, table: Table) -> Result<Vec<Event>, sqlx::Error> {
    let rows = sqlx::query(table.select_detached).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(|row| record(row).ok()).map(|record| record.event).collect())
}

/// Whatever is in a part.
pub fn read_part(
    connection: &mut PgConnection,
    table: Table,
    part: Part,
) -> impl Stream<Item = Result<Found, sqlx::Error>> + '_ {
    sqlx::query(table.select_part)
        .bind(part.start.chain_id)
        .bind(part.start.seq + 1)
        .bind(part.last)
        .fetch(connection)
        .map(|row| found(&row?))
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    match record(row) {
        Ok(record) => Ok(Found::Record(Box::new(record))),
        Err(sqlx::Error::ColumnDecode { .. }) => {
            let (chain_id, seq) = (row.try_get("chain_id")?, row.try_get("seq")?);
            Ok(Found::Unreadable(Unreadable { chain_id, seq, event_id: row.try_get("event_id").ok() }))
        }
        Err(error) => Err(error),
    }
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let hash = |column: &str| row.try_get::<Vec<u8>, _>(column)?.try_into().map_err(|_| malformed(column));
    let result_sha256: Option<Vec<u8>> = row.try_get("result_sha256")?;
    let ip_address: Option<String> = row.try_get("ip_address")?;
    let data: Value = serde_json::from_str(&text("event_data")?).map_err(|_| malformed("event_data"))?;
    let Value::Map(data) = data else { return Err(malformed("event_data")) };
    let event = Event {
        id: row.try_get("event_id")?,
        timestamp: row.try_get("at")?,
        event_type: text("event_type")?.into(),
        category: text("event_category")?.into(),
        severity: match text("severity")?.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            "error" => Severity::Error,
            "critical" => Severity::Critical,
            _ => return Err(malformed("severity")),
        },
        organization_id: row.try_get("organization_id")?,
        resource_type: text("resource_type")?.into(),
        resource_id: row.try_get("resource_id")?,
        action: text("action")?.into(),
        outcome: match text("result")?.as_str() {
            "success" => Outcome::Success,
            "partial" => Outcome::Partial,
            "failure" => Outcome::Failure,
            _ => return Err(malformed("result")),
        },
        error_message: row.try_get("error_message")?,
        result_sha256: result_sha256.map(TryInto::try_into).transpose().map_err(|_| malformed("result_sha256"))?,
        request_id: row.try_get("request_id")?,
        user_id: row.try_get("user_id")?,
        accessor: row.try_get("accessor")?,
        ip_address: ip_address.map(|text| text.parse()).transpose().map_err(|_| malformed("ip_address"))?,
        user_agent: row.try_get("user_agent")?,
        data,
        arrival: None,
    };
    Ok(Record {
        chain_id: row.try_get("chain_id")?,
        seq: row.try_get("seq")?,
        encoding_version: row.try_get("encoding_version")?,
        previous_hash: hash("previous_hash")?,
        hash: hash("record_hash")?,
        event,
    })
}

fn malformed(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not what this service writes".into() }
}

//! Reading a log back, for verification and export.

use crate::Table;
use audit_chain::{Checkpoint, Event, Head, Outcome, Record, Severity, Value};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// All records, by chain and number. Needs a role that sees all organizations (auditor, migration).
pub fn read_records(
    connection: &mut PgConnection,
    table: Table,
) -> impl Stream<Item = Result<Record, sqlx::Error>> + '_ {
    sqlx::query(table.select).fetch(connection).map(|row| record(&row?))
}

/// A checkpoint and its signature.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// ECDSA P-256, DER.
    pub signature: Vec<u8>,
    /// SubjectPublicKeyInfo of the signing key, DER.
    pub public_key: Vec<u8>,
}

/// All checkpoints, oldest first.
pub async fn read_checkpoints(connection: &mut PgConnection) -> Result<Vec<StoredCheckpoint>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT created_at, heads, signature, public_key FROM audit_checkpoints ORDER BY created_at, id")
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| {
            let heads: Vec<u8> = row.try_get("heads")?;
            Ok(StoredCheckpoint {
                checkpoint: Checkpoint { created_at: row.try_get("created_at")?, heads: unpack_heads(&heads)? },
                signature: row.try_get("signature")?,
                public_key: row.try_get("public_key")?,
            })
        })
        .collect()
}

/// 56 bytes a head: chain id, number (i64, little endian), hash.
pub(crate) fn pack_heads(heads: &[Head]) -> Vec<u8> {
    heads
        .iter()
        .flat_map(|head| [head.chain_id.as_bytes().as_slice(), &head.seq.to_le_bytes(), &head.hash].concat())
        .collect()
}

fn unpack_heads(bytes: &[u8]) -> Result<Vec<Head>, sqlx::Error> {
    let head = |bytes: &[u8]| {
        Some(Head {
            chain_id: Uuid::from_slice(bytes.get(..16)?).ok()?,
            seq: i64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
            hash: bytes.get(24..56)?.try_into().ok()?,
        })
    };
    bytes.chunks(56).map(|bytes| head(bytes).ok_or_else(|| malformed("audit_checkpoints.heads"))).collect()
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let hash = |column: &str| row.try_get::<Vec<u8>, _>(column)?.try_into().map_err(|_| malformed(column));
    let result_sha256: Option<Vec<u8>> = row.try_get("result_sha256")?;
    let ip_address: Option<String> = row.try_get("ip_address")?;
    let data: Value = serde_json::from_str(&text("event_data")?).map_err(|_| malformed("event_data"))?;
    let Value::Map(data) = data else { return Err(malformed("event_data")) };
    let timestamp: DateTime<Utc> = row.try_get("event_timestamp")?;
    let event = Event {
        id: row.try_get("event_id")?,
        timestamp,
        event_type: text("event_type")?.into(),
        category: text("event_category")?.into(),
        severity: match text("severity")?.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            "error" => Severity::Error,
            _ => Severity::Critical,
        },
        organization_id: row.try_get("organization_id")?,
        resource_type: text("resource_type")?.into(),
        resource_id: row.try_get("resource_id")?,
        action: text("action")?.into(),
        outcome: match text("result")?.as_str() {
            "success" => Outcome::Success,
            "partial" => Outcome::Partial,
            _ => Outcome::Failure,
        },
        error_message: row.try_get("error_message")?,
        result_sha256: result_sha256.map(TryInto::try_into).transpose().map_err(|_| malformed("result_sha256"))?,
        request_id: row.try_get("request_id")?,
        user_id: row.try_get("user_id")?,
        accessor: row.try_get("accessor")?,
        ip_address: ip_address.map(|text| text.parse()).transpose().map_err(|_| malformed("ip_address"))?,
        user_agent: row.try_get("user_agent")?,
        data,
    };
    Ok(Record {
        chain_id: row.try_get("chain_id")?,
        seq: row.try_get("seq")?,
        previous_hash: hash("previous_hash")?,
        hash: hash("record_hash")?,
        event,
    })
}

fn malformed(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not what this service writes".into() }
}

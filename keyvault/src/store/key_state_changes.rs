//! Table `key_state_changes`.

use crate::row_mac::RowBytes;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "key_state_changes";

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct StateChangeRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) named_key_id: Uuid,
    pub(crate) position: u32,
    pub(crate) version: Option<u32>,
    pub(crate) from_state: String,
    pub(crate) to_state: String,
    pub(crate) reason: String,
    pub(crate) changed_by: String,
    pub(crate) accessor: Option<String>,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) row_mac: Vec<u8>,
}

impl StateChangeRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        RowBytes::new(TABLE)
            .id(Some(self.id))
            .id(Some(self.organization_id))
            .id(Some(self.named_key_id))
            .integer(self.position.into())
            .integer(self.version.map_or(0, i64::from))
            .text(&self.from_state)
            .text(&self.to_state)
            .text(&self.reason)
            .text(&self.changed_by)
            .bytes(self.accessor.as_ref().map(String::as_bytes))
            .id(self.user_id)
            .time(Some(self.changed_at))
            .finish()
    }
}

/// The first so many of a key, in their order; fewer if some are missing.
pub(crate) async fn of_key(
    connection: &mut PgConnection,
    named_key_id: Uuid,
    count: u32,
) -> Result<Vec<StateChangeRow>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT id, organization_id, named_key_id, position, version, from_state, to_state, reason, changed_by, accessor, user_id, changed_at, row_mac \
         FROM key_state_changes WHERE named_key_id = $1 AND position <= $2 ORDER BY position",
        named_key_id,
        integer(count)
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| StateChangeRow {
        id: row.id,
        organization_id: row.organization_id,
        named_key_id: row.named_key_id,
        position: u32::try_from(row.position).unwrap_or_default(),
        version: row.version.map(|version| u32::try_from(version).unwrap_or_default()),
        from_state: row.from_state,
        to_state: row.to_state,
        reason: row.reason,
        changed_by: row.changed_by,
        accessor: row.accessor,
        user_id: row.user_id,
        changed_at: row.changed_at,
        row_mac: row.row_mac,
    });
    Ok(read.collect())
}

/// Adds transitions of one key, made by one change: they differ in position, version and states.
pub(crate) async fn insert(connection: &mut PgConnection, rows: &[StateChangeRow]) -> Result<(), sqlx::Error> {
    let Some(first) = rows.first() else { return Ok(()) };
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let positions: Vec<i32> = rows.iter().map(|row| integer(row.position)).collect();
    let versions: Vec<Option<i32>> = rows.iter().map(|row| row.version.map(integer)).collect();
    let from: Vec<String> = rows.iter().map(|row| row.from_state.clone()).collect();
    let to: Vec<String> = rows.iter().map(|row| row.to_state.clone()).collect();
    let macs: Vec<Vec<u8>> = rows.iter().map(|row| row.row_mac.clone()).collect();
    sqlx::query!(
        "INSERT INTO key_state_changes (id, organization_id, named_key_id, position, version, from_state, to_state, reason, changed_by, accessor, user_id, \
         changed_at, revision, row_mac) SELECT n.id, $7, $8, n.position, n.version, n.from_state, n.to_state, $9, $10, $11, $12, $13, 1, n.row_mac \
         FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::bytea[]) AS n(id, position, version, from_state, to_state, row_mac)",
        &ids,
        &positions,
        &versions as &[Option<i32>],
        &from,
        &to,
        &macs,
        first.organization_id,
        first.named_key_id,
        first.reason,
        first.changed_by,
        first.accessor,
        first.user_id,
        first.changed_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

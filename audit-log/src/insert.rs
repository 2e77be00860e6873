//! The one statement of the hot path.

use crate::Table;
use crate::table::{outcome_text, severity_text};
use audit_chain::{ENCODING_VERSION, Event, Head, Link};
use sqlx::PgConnection;

/// Inserts the records and moves the chain's head from `old_seq` to `head`, if `fence` still holds: else nothing. How many were inserted.
pub(crate) async fn records(
    connection: &mut PgConnection,
    table: Table,
    head: Head,
    records: &[(Link, Event)],
    fence: i64,
    old_seq: i64,
) -> Result<u64, sqlx::Error> {
    fn column<'a, T>(records: &'a [(Link, Event)], get: impl Fn(&'a Link, &'a Event) -> T) -> Vec<T> {
        records.iter().map(|(link, event)| get(link, event)).collect()
    }

    let r = records;
    let data = r
        .iter()
        .map(|(_, event)| serde_json::to_string(&event.data).map_err(|error| sqlx::Error::Encode(Box::new(error))))
        .collect::<Result<Vec<_>, _>>()?;
    let done = sqlx::query(table.append)
        .bind(head.seq)
        .bind(head.hash.as_slice())
        .bind(head.chain_id)
        .bind(fence)
        .bind(old_seq)
        .bind(ENCODING_VERSION)
        .bind(column(r, |link, _| link.seq))
        .bind(column(r, |link, _| link.previous_hash.as_slice()))
        .bind(column(r, |link, _| link.hash.as_slice()))
        .bind(column(r, |_, event| event.id))
        .bind(column(r, |_, event| &*event.event_type))
        .bind(column(r, |_, event| &*event.category))
        .bind(column(r, |_, event| severity_text(event.severity)))
        .bind(column(r, |_, event| event.organization_id))
        .bind(column(r, |_, event| &*event.resource_type))
        .bind(column(r, |_, event| event.resource_id.as_deref()))
        .bind(column(r, |_, event| &*event.action))
        .bind(column(r, |_, event| outcome_text(event.outcome)))
        .bind(column(r, |_, event| event.error_message.as_deref()))
        .bind(column(r, |_, event| event.result_sha256.as_ref().map(<[u8; 32]>::as_slice)))
        .bind(column(r, |_, event| event.request_id))
        .bind(column(r, |_, event| event.user_id))
        .bind(column(r, |_, event| event.accessor.as_deref()))
        .bind(column(r, |_, event| event.ip_address.map(|address| address.to_string())))
        .bind(column(r, |_, event| event.user_agent.as_deref()))
        .bind(data)
        .bind(column(r, |_, event| event.timestamp))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

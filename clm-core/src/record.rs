//! What records of this database look like.

use crate::access::{Decision, Operation};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::store::tokens::{REVOKED_MAC, RevokedRow, TABLE as TOKENS};
use audit_chain::{Caller, Event, Outcome, Severity, Value};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event of the service itself, to be filled in.
pub(crate) fn bare(request_id: Uuid, organization_id: Uuid, now: DateTime<Utc>) -> Event {
    Event {
        id: Uuid::now_v7(),
        timestamp: now,
        event_type: "".into(),
        category: "system".into(),
        severity: Severity::Info,
        organization_id,
        resource_type: "".into(),
        resource_id: None,
        action: "".into(),
        outcome: Outcome::Success,
        error_message: None,
        result_sha256: None,
        request_id,
        user_id: None,
        accessor: None,
        ip_address: None,
        user_agent: None,
        data: BTreeMap::new(),
        arrival: None,
    }
}

/// The rows that a change wrote, with the revision and MAC they have now: what `clm audit verify --rows` compares.
pub(crate) fn add_rows(event: &mut Event, rows: impl IntoIterator<Item = (&'static str, Uuid, i64, [u8; 32])>) {
    let rows = rows
        .into_iter()
        .map(|(table, id, revision, mac)| {
            Value::Map(BTreeMap::from([
                ("table".to_owned(), Value::Text(table.into())),
                ("id".to_owned(), Value::Text(id.to_string().into())),
                ("revision".to_owned(), Value::Integer(revision)),
                ("mac".to_owned(), Value::Text(hex::encode(mac).into())),
            ]))
        })
        .collect();
    event.data.insert("rows".into(), Value::List(rows));
}

/// The rows of revoked tokens, as [`add_rows`] takes them.
pub(crate) fn rows_of_revoked(revoked: &[RevokedRow]) -> impl Iterator<Item = (&'static str, Uuid, i64, [u8; 32])> {
    revoked.iter().map(|row| (TOKENS, row.id, row.revision, REVOKED_MAC))
}

/// The tokens that a revocation took, by accessor and row.
pub(crate) fn add_revoked(event: &mut Event, revoked: &[RevokedRow]) {
    let accessors = revoked.iter().map(|row| Value::Text(row.accessor.clone().into())).collect();
    event.data.insert("revoked".into(), Value::List(accessors));
    add_rows(event, rows_of_revoked(revoked));
}

impl Core {
    /// An event about what `caller` did, successful until said otherwise; `event.data` holds the path.
    pub fn event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        category: &'static str,
        (resource_type, resource_id): (&'static str, Option<String>),
        action: &'static str,
    ) -> Event {
        let mut event = bare(caller.request_id, caller.organization_id, self.now());
        event.event_type = event_type.into();
        event.category = category.into();
        event.resource_type = resource_type.into();
        event.resource_id = resource_id;
        event.action = action.into();
        event.user_id = caller.user_id;
        event.accessor = Some(caller.accessor.to_string()).filter(|accessor| !accessor.is_empty());
        event.ip_address = caller.ip_address;
        event.user_agent = caller.user_agent.as_deref().map(str::to_owned);
        event.data.insert("path".into(), Value::Text(caller.path.to_string().into()));
        caller.describe(&mut event.data);
        event.arrival.clone_from(&caller.arrival);
        event
    }

    /// A request of a valid token that its policies do not allow. Durable when this returns: answer 403 then.
    pub async fn record_denied(&self, caller: &Caller, operation: Operation, decision: &Decision) -> Result<()> {
        let path = Some(caller.path.to_string());
        let caller = Caller { verdict: Some(decision.verdict()), ..caller.clone() };
        let mut event = self.event(&caller, "access.denied", "authorization", ("path", path), operation.name());
        event.severity = Severity::Warning;
        event.outcome = Outcome::Failure;
        event.error_message = Some(decision.reason.text().into());
        event.data.insert("denial_reason".into(), Value::Text(decision.reason.text().into()));
        self.audit().append(event).await.map_err(Error::Audit)
    }

    pub(crate) async fn record_row_refused(&self, table: &'static str, organization_id: Uuid, id: Uuid) -> Result<()> {
        let mut event = bare(Uuid::nil(), organization_id, self.now());
        event.event_type = "integrity.row_refused".into();
        event.severity = Severity::Critical;
        event.resource_type = table.into();
        event.resource_id = Some(id.to_string());
        event.action = "read".into();
        event.outcome = Outcome::Failure;
        event.error_message = Some("the row does not carry its MAC: it was changed behind the service's back".into());
        self.audit().append(event).await.map_err(Error::Audit)
    }
}

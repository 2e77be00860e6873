//! What people are told.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use chrono::SecondsFormat;
use clm_core::Notification;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const USUAL_LIMIT: i64 = 100;
const LARGEST_LIMIT: i64 = 1_000;

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "notifications",
        endpoints: &[Endpoint::new(
            Verb::List,
            "clm-list-notifications",
            "What people are told, the newest first",
            |call| Box::pin(list(call)),
        )
        .with(&[
            Parameter::new("unread", Kind::Boolean, "Only what nobody has read"),
            Parameter::new("limit", Kind::Integer, "How many at most, up to 1000; by default 100"),
        ])],
    },
    Route {
        pattern: "notifications/{id}",
        endpoints: &[Endpoint::new(Verb::Read, "clm-read-notification", "One of them", |call| Box::pin(read(call)))],
    },
    Route {
        pattern: "notifications/{id}/read",
        endpoints: &[Endpoint::new(Verb::Write, "clm-mark-notification", "Say that somebody has read it", |call| {
            Box::pin(mark_read(call))
        })],
    },
];

async fn list(call: Call) -> Result<Answer> {
    let unread_only = call.parameters.flag("unread")?.unwrap_or_default();
    let limit = call.parameters.integer("limit")?.unwrap_or(USUAL_LIMIT).clamp(1, LARGEST_LIMIT);
    let core = &call.context.services.core;
    let found = core.notifications(&call.context.caller, unread_only, limit).await?;
    if found.is_empty() {
        return Ok(Answer::nothing());
    }
    let keys: Vec<String> = found.iter().map(|notification| notification.id.to_string()).collect();
    let details: Map<String, Value> =
        found.iter().map(|notification| (notification.id.to_string(), shown(notification))).collect();
    Ok(Answer::data(json!({ "keys": keys, "key_info": details })))
}

async fn read(call: Call) -> Result<Answer> {
    let found = call.context.services.core.notification(&call.context.caller, id(&call)?).await?;
    Ok(found.map_or_else(Answer::nothing, |notification| Answer::data(shown(&notification))))
}

async fn mark_read(call: Call) -> Result<Answer> {
    if call.context.services.core.mark_notification_read(&call.context.caller, id(&call)?).await? {
        return Ok(Answer::nothing());
    }
    Err(Error::NotFound("there is no notification of that id".into()))
}

fn id(call: &Call) -> Result<Uuid> {
    Uuid::try_parse(call.capture("id")).map_err(|_| Error::invalid("the id of a notification is a UUID"))
}

fn shown(notification: &Notification) -> Value {
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Nanos, true);
    json!({
        "created_time": time(notification.created_at),
        "details": notification.data,
        "id": notification.id,
        "is_read": notification.read_at.is_some(),
        "message": notification.message,
        "priority": notification.priority,
        "read_time": notification.read_at.map(time).unwrap_or_default(),
        "resource_id": notification.resource_id,
        "resource_type": notification.resource_type,
        "title": notification.title,
        "type": notification.notification_type,
    })
}

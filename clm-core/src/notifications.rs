//! What people are told.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::record;
use crate::store::notifications;
use audit_chain::{Caller, Value};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One of them.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Names it.
    pub id: Uuid,
    /// `secret.rotation_due`.
    pub notification_type: String,
    /// In one line.
    pub title: String,
    /// In a sentence or two.
    pub message: String,
    /// The same for machines.
    pub data: serde_json::Value,
    /// `low`, `normal`, `high` or `critical`.
    pub priority: String,
    /// When somebody has read it.
    pub read_at: Option<DateTime<Utc>>,
    /// What it is about: `secret`.
    pub resource_type: Option<String>,
    /// Which.
    pub resource_id: Option<Uuid>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What people are to be told, all of an organization.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// Who tells the same again gives the same id; it is told once.
    pub id: Uuid,
    /// Whom.
    pub organization_id: Uuid,
    /// `secret.rotation_due`.
    pub notification_type: &'static str,
    /// In one line.
    pub title: String,
    /// In a sentence or two.
    pub message: String,
    /// The same for machines.
    pub data: serde_json::Value,
    /// `low`, `normal`, `high` or `critical`.
    pub priority: &'static str,
    /// What it is about.
    pub resource_type: &'static str,
    /// Which.
    pub resource_id: Uuid,
}

impl Core {
    /// Tells people something, unless they were told already (`false`).
    pub async fn notify_once(&self, new: NewNotification) -> Result<bool> {
        let mut event = record::bare(Uuid::nil(), new.organization_id, self.now());
        event.event_type = "notification.create".into();
        event.resource_type = "notification".into();
        event.resource_id = Some(new.id.to_string());
        event.action = "create".into();
        event.data.insert("notification_type".into(), Value::Text(new.notification_type.into()));
        event.data.insert("about".into(), Value::Text(new.resource_id.to_string().into()));
        let now = self.now();
        let written = self
            .change(new.organization_id, move |connection| {
                Box::pin(async move { notifications::insert(connection, &new, now).await.map(|()| ((), event)) })
            })
            .await;
        match written {
            Ok(()) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the caller may know: what all of the organization are told, and what he is; the newest first.
    pub async fn notifications(&self, caller: &Caller, unread_only: bool, limit: i64) -> Result<Vec<Notification>> {
        Ok(self.store().notifications(caller.organization_id, caller.user_id, unread_only, limit).await?)
    }

    /// One of these.
    pub async fn notification(&self, caller: &Caller, id: Uuid) -> Result<Option<Notification>> {
        Ok(self.store().notification(caller.organization_id, caller.user_id, id).await?)
    }

    /// Somebody has read it. `false`: there is none of that id, for this caller.
    pub async fn mark_notification_read(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        let Some(found) = self.notification(caller, id).await? else { return Ok(false) };
        if found.read_at.is_some() {
            return Ok(true);
        }
        let event = self.event(caller, "notification.read", "system", ("notification", Some(id.to_string())), "update");
        let now = self.now();
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move { notifications::mark_read(connection, id, now).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(true)
    }
}

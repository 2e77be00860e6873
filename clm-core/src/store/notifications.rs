//! Table `notifications`. They give nobody power, and carry no MAC.

use super::{Store, StoreError, expect_one};
use crate::notifications::{NewNotification, Notification};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// As PostgreSQL gives it.
struct Stored {
    id: Uuid,
    notification_type: String,
    title: String,
    message: String,
    notification_data: String,
    priority: String,
    read_at: Option<DateTime<Utc>>,
    related_resource_type: Option<String>,
    related_resource_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<Stored> for Notification {
    fn from(row: Stored) -> Self {
        Self {
            id: row.id,
            notification_type: row.notification_type,
            title: row.title,
            message: row.message,
            data: serde_json::from_str(&row.notification_data).unwrap_or_default(),
            priority: row.priority,
            read_at: row.read_at,
            resource_type: row.related_resource_type,
            resource_id: row.related_resource_id,
            created_at: row.created_at,
        }
    }
}

impl Store {
    /// What all are told, and what one person is; the newest first.
    pub(crate) async fn notifications(
        &self,
        organization_id: Uuid,
        user_id: Option<Uuid>,
        unread_only: bool,
        limit: i64,
    ) -> Result<Vec<Notification>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query_as!(
            Stored,
            r#"SELECT id, notification_type, title, message, notification_data::text AS "notification_data!", priority, read_at,
             related_resource_type, related_resource_id, created_at FROM notifications
             WHERE organization_id = $1 AND (user_id IS NULL OR user_id = $2) AND (NOT $3 OR NOT is_read) AND (expires_at IS NULL OR expires_at > now())
             ORDER BY created_at DESC, id LIMIT $4"#,
            organization_id,
            user_id,
            unread_only,
            limit
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows.into_iter().map(Notification::from).collect())
    }

    /// One of these.
    pub(crate) async fn notification(
        &self,
        organization_id: Uuid,
        user_id: Option<Uuid>,
        id: Uuid,
    ) -> Result<Option<Notification>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Stored,
            r#"SELECT id, notification_type, title, message, notification_data::text AS "notification_data!", priority, read_at,
             related_resource_type, related_resource_id, created_at FROM notifications
             WHERE organization_id = $1 AND id = $2 AND (user_id IS NULL OR user_id = $3)"#,
            organization_id,
            id,
            user_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(Notification::from))
    }
}

/// Adds one; [`StoreError::Conflict`]: it is there.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &NewNotification,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO notifications (id, organization_id, notification_type, title, message, notification_data, priority, related_resource_type, \
         related_resource_id, created_at) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        new.id,
        new.organization_id,
        new.notification_type,
        new.title,
        new.message,
        new.data.to_string(),
        new.priority,
        new.resource_type,
        new.resource_id,
        now
    )
    .execute(connection)
    .await?;
    expect_one(&done, "notification")
}

/// Says when it was read; [`StoreError::Conflict`]: it was already.
pub(crate) async fn mark_read(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let done =
        sqlx::query!("UPDATE notifications SET is_read = true, read_at = $2 WHERE id = $1 AND NOT is_read", id, now)
            .execute(connection)
            .await?;
    expect_one(&done, "notification")
}

//! Table `pending_logins`.

use super::{Store, StoreError, expect_one};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A login that waits, as stored.
#[derive(Clone, Debug)]
pub(crate) struct PendingRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) handle_hmac: [u8; 32],
    pub(crate) content: Vec<u8>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl PendingRow {
    /// What its content is sealed as.
    pub(crate) fn context(&self) -> String {
        let Self { id, organization_id, mount_id, kind, handle_hmac, content: _, expires_at } = self;
        let (handle, end) = (hex::encode(handle_hmac), expires_at.timestamp_micros());
        format!("pending_logins/{organization_id}/{mount_id}/{kind}/{id}/{handle}/{end}")
    }
}

impl Store {
    /// Keeps one, durably. Outside the audit log: it changes nothing for anybody.
    pub(crate) async fn put_pending_login(&self, row: &PendingRow) -> Result<(), StoreError> {
        let mut transaction = self.counting(row.organization_id).await?;
        insert(&mut transaction, row).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// One, which goes on waiting.
    pub(crate) async fn pending_login(
        &self,
        organization_id: Uuid,
        kind: &'static str,
        handle_hmac: [u8; 32],
    ) -> Result<Option<PendingRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query!(
            "SELECT id, mount_id, content, expires_at FROM pending_logins WHERE organization_id = $1 AND kind = $2 AND handle_hmac = $3",
            organization_id,
            kind,
            handle_hmac.as_slice()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(|row| PendingRow {
            id: row.id,
            organization_id,
            mount_id: row.mount_id,
            kind,
            handle_hmac,
            content: row.content,
            expires_at: row.expires_at,
        }))
    }

    /// Takes one away: of all who ask at once, on whatever servers, one gets it.
    pub(crate) async fn take_pending_login(
        &self,
        (organization_id, mount_id): (Uuid, Uuid),
        kind: &'static str,
        handle_hmac: [u8; 32],
    ) -> Result<Option<PendingRow>, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let row = sqlx::query!(
            "DELETE FROM pending_logins WHERE mount_id = $1 AND kind = $2 AND handle_hmac = $3 RETURNING id, content, expires_at",
            mount_id,
            kind,
            handle_hmac.as_slice()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(|row| PendingRow {
            id: row.id,
            organization_id,
            mount_id,
            kind,
            handle_hmac,
            content: row.content,
            expires_at: row.expires_at,
        }))
    }

    /// Deletes those that ended; how many.
    pub(crate) async fn sweep_pending_logins(
        &self,
        organization_id: Uuid,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let done = sqlx::query!(
            "DELETE FROM pending_logins WHERE id IN (SELECT id FROM pending_logins WHERE organization_id = $1 AND expires_at <= $2 LIMIT $3)",
            organization_id,
            now,
            limit
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Adds one.
pub(crate) async fn insert(connection: &mut PgConnection, row: &PendingRow) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO pending_logins (id, organization_id, mount_id, kind, handle_hmac, content, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        row.id,
        row.organization_id,
        row.mount_id,
        row.kind,
        row.handle_hmac.as_slice(),
        row.content,
        row.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes one away, which waits no more; whoever was first has it.
pub(crate) async fn finish(connection: &mut PgConnection, row: &PendingRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM pending_logins WHERE id = $1", row.id).execute(connection).await?;
    expect_one(&done, "login")
}

//! Table `outbox`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use crate::outbox::OutboxKind;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "outbox";

/// An entry as stored, without its progress.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) kind: OutboxKind,
    pub(crate) resource_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl OutboxRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, kind, resource_id, created_at, revision, row_mac: _ } = self;
        RowBytes::new("outbox.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .text(kind.name())
            .uuid(*resource_id)
            .time(*created_at)
            .integer(*revision)
            .finish()
    }
}

impl Store {
    /// Organizations with entries that are due and that nobody is at.
    pub(crate) async fn organizations_with_due_entries(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.nobody().await?;
        let ids = sqlx::query_scalar!(r#"SELECT organizations_with_due_entries() AS "id!""#)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Leases the oldest due entry of a tenant, and how often that was done before.
    pub(crate) async fn lease_entry(
        &self,
        organization_id: Uuid,
        server: Uuid,
        lease: Duration,
    ) -> Result<Option<(OutboxRow, u32)>, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let row = sqlx::query!(
            "UPDATE outbox SET attempts = attempts + 1, leased_by = $2, leased_until = now() + make_interval(secs => $1) WHERE id = ( \
                 SELECT id FROM outbox WHERE next_attempt_at <= now() AND (leased_until IS NULL OR leased_until <= now()) \
                 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) \
             RETURNING id, organization_id, kind, resource_id, created_at, attempts, revision, row_mac",
            lease.as_secs_f64(),
            server
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(|row| {
            let entry = OutboxRow {
                id: row.id,
                organization_id: row.organization_id,
                kind: OutboxKind::from_name(&row.kind).ok_or(StoreError::Malformed("outbox.kind"))?,
                resource_id: row.resource_id,
                created_at: row.created_at,
                revision: row.revision,
                row_mac: bytes32(&row.row_mac, "outbox.row_mac")?,
            };
            Ok((entry, u32::try_from(row.attempts - 1).unwrap_or_default()))
        })
        .transpose()
    }

    /// What a tenant's entries of a kind are about.
    pub(crate) async fn pending_resources(
        &self,
        organization_id: Uuid,
        kind: OutboxKind,
    ) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let ids = sqlx::query_scalar!("SELECT resource_id FROM outbox WHERE kind = $1", kind.name())
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Leases an entry for longer; `false`: the lease is another server's, or the entry is gone.
    pub(crate) async fn renew_entry(
        &self,
        organization_id: Uuid,
        (id, server): (Uuid, Uuid),
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let done = sqlx::query!(
            "UPDATE outbox SET leased_until = now() + make_interval(secs => $3) WHERE id = $1 AND leased_by = $2",
            id,
            server,
            lease.as_secs_f64()
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives an entry back, to be tried after `pause`, if the lease is still this server's.
    pub(crate) async fn postpone_entry(
        &self,
        organization_id: Uuid,
        (id, server): (Uuid, Uuid),
        pause: Duration,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        sqlx::query!(
            "UPDATE outbox SET leased_by = NULL, leased_until = NULL, next_attempt_at = now() + make_interval(secs => $3), last_error = $4 \
             WHERE id = $1 AND leased_by = $2",
            id,
            server,
            pause.as_secs_f64(),
            why
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Adds one.
pub(crate) async fn insert(connection: &mut PgConnection, row: &OutboxRow) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO outbox (id, organization_id, kind, resource_id, created_at, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        row.id,
        row.organization_id,
        row.kind.name(),
        row.resource_id,
        row.created_at,
        row.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes one that is done; done by somebody else already: a conflict.
pub(crate) async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM outbox WHERE id = $1", id).execute(connection).await?;
    expect_one(&done, "entry of the outbox")
}

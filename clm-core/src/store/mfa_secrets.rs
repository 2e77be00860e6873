//! Table `mfa_secrets`.

use super::bind::RowBytes;
use super::{GoneRow, Store, StoreError, bytes32, expect_one};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "mfa_secrets";
/// What a conflict over one is called.
pub(crate) const WHAT: &str = "second factor";

/// An entity's secret for a method, as stored.
#[derive(Clone, Debug)]
pub(crate) struct SecretRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) entity_id: Uuid,
    /// The row of `system_entries`.
    pub(crate) method_id: Uuid,
    /// Sealed.
    pub(crate) secret: Vec<u8>,
    /// Outside the MAC, like all that only counts.
    pub(crate) last_step: Option<i64>,
    pub(crate) failed_attempts: u32,
    pub(crate) last_failed_at: Option<DateTime<Utc>>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl SecretRow {
    /// What its MAC is over.
    pub(crate) fn bound_bytes(&self) -> Vec<u8> {
        let Self { id, organization_id, entity_id, method_id, secret, revision, .. } = self;
        RowBytes::new("mfa_secrets.v1")
            .uuid(*id)
            .uuid(*organization_id)
            .uuid(*entity_id)
            .uuid(*method_id)
            .bytes(secret)
            .integer(*revision)
            .finish()
    }

    /// What its secret is sealed as.
    pub(crate) fn context(&self) -> String {
        format!("mfa_secrets/{}/{}/{}", self.id, self.entity_id, self.method_id)
    }
}

struct Columns {
    id: Uuid,
    organization_id: Uuid,
    entity_id: Uuid,
    method_id: Uuid,
    secret: Vec<u8>,
    last_step: Option<i64>,
    failed_attempts: i32,
    last_failed_at: Option<DateTime<Utc>>,
    revision: i64,
    row_mac: Vec<u8>,
}

fn read(row: Columns) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        id: row.id,
        organization_id: row.organization_id,
        entity_id: row.entity_id,
        method_id: row.method_id,
        secret: row.secret,
        last_step: row.last_step,
        failed_attempts: u32::try_from(row.failed_attempts).unwrap_or(0),
        last_failed_at: row.last_failed_at,
        revision: row.revision,
        row_mac: bytes32(&row.row_mac, "mfa_secrets.row_mac")?,
    })
}

impl Store {
    /// Of an entity, for a method.
    pub(crate) async fn mfa_secret(
        &self,
        organization_id: Uuid,
        entity_id: Uuid,
        method_id: Uuid,
    ) -> Result<Option<SecretRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            "SELECT id, organization_id, entity_id, method_id, secret, last_step, failed_attempts, last_failed_at, revision, row_mac \
             FROM mfa_secrets WHERE entity_id = $1 AND method_id = $2",
            entity_id,
            method_id
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(read).transpose()
    }

    /// All of these entities.
    pub(crate) async fn mfa_secrets_of(
        &self,
        organization_id: Uuid,
        entity_ids: &[Uuid],
    ) -> Result<Vec<SecretRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query_as!(
            Columns,
            "SELECT id, organization_id, entity_id, method_id, secret, last_step, failed_attempts, last_failed_at, revision, row_mac \
             FROM mfa_secrets WHERE entity_id = ANY($1) ORDER BY id",
            entity_ids
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter().map(read).collect()
    }

    /// Counts a wrong code, durably; how many now. Those before `forgotten_before` do not count.
    pub(crate) async fn count_wrong_code(
        &self,
        organization_id: Uuid,
        id: Uuid,
        now: DateTime<Utc>,
        forgotten_before: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let failures = sqlx::query_scalar!(
            "UPDATE mfa_secrets SET failed_attempts = CASE WHEN last_failed_at > $3 THEN failed_attempts + 1 ELSE 1 END, last_failed_at = $2 \
             WHERE id = $1 RETURNING failed_attempts",
            id,
            now,
            forgotten_before
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(failures.and_then(|failures| u32::try_from(failures).ok()).unwrap_or(0))
    }
}

/// Adds one; that the entity has one already is a [`StoreError::Taken`].
pub(crate) async fn insert(connection: &mut PgConnection, row: &SecretRow) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO mfa_secrets (id, organization_id, entity_id, method_id, secret, revision, row_mac) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        row.id,
        row.organization_id,
        row.entity_id,
        row.method_id,
        row.secret,
        row.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives one to another entity, sealed anew: the row it was made from has a revision one less. What was counted stays.
pub(crate) async fn give(connection: &mut PgConnection, row: &SecretRow) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE mfa_secrets SET entity_id = $2, secret = $3, revision = $4, row_mac = $5 WHERE id = $1 AND revision = $4::bigint - 1",
        row.id,
        row.entity_id,
        row.secret,
        row.revision,
        row.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, WHAT)
}

/// These entities, which the transaction holds, must have those secrets and no others: ids and revisions.
pub(crate) async fn expect_those(
    connection: &mut PgConnection,
    entity_ids: &[Uuid],
    mut known: Vec<(Uuid, i64)>,
) -> Result<(), StoreError> {
    let rows = sqlx::query!("SELECT id, revision FROM mfa_secrets WHERE entity_id = ANY($1)", entity_ids)
        .fetch_all(connection)
        .await?;
    let mut found: Vec<_> = rows.into_iter().map(|row| (row.id, row.revision)).collect();
    known.sort_unstable();
    found.sort_unstable();
    if found == known { Ok(()) } else { Err(StoreError::Conflict { what: WHAT }) }
}

/// Writes that the code of a time step was taken, and forgets wrong ones; one that is not later than the last is [`StoreError::Conflict`].
pub(crate) async fn spend(connection: &mut PgConnection, row: &SecretRow, step: i64) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE mfa_secrets SET last_step = $3, failed_attempts = 0, last_failed_at = NULL \
         WHERE id = $1 AND revision = $2 AND (last_step IS NULL OR last_step < $3)",
        row.id,
        row.revision,
        step
    )
    .execute(connection)
    .await?;
    expect_one(&done, WHAT)
}

/// Deletes that very revision.
pub(crate) async fn delete(connection: &mut PgConnection, row: &SecretRow) -> Result<GoneRow, StoreError> {
    let done = sqlx::query!("DELETE FROM mfa_secrets WHERE id = $1 AND revision = $2", row.id, row.revision)
        .execute(connection)
        .await?;
    expect_one(&done, WHAT)?;
    Ok(super::gone(TABLE, (row.id, row.revision)))
}

/// Deletes all of an entity, or for a method; what records say of them.
pub(crate) async fn delete_of(connection: &mut PgConnection, id: Uuid) -> Result<Vec<GoneRow>, StoreError> {
    let rows =
        sqlx::query!("DELETE FROM mfa_secrets WHERE entity_id = $1 OR method_id = $1 RETURNING id, revision", id)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| super::gone(TABLE, (row.id, row.revision))).collect())
}

//! Table `pending_logins`.

use super::{Store, StoreError, expect_one, mounts};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// What a conflict over one is called.
pub(crate) const WHAT: &str = "login";

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
    /// The SecretID that it began with.
    pub(crate) secret_id: Option<Uuid>,
}

impl PendingRow {
    /// What its content is sealed as.
    pub(crate) fn context(&self) -> String {
        let Self { id, organization_id, mount_id, kind, handle_hmac, content: _, expires_at, secret_id } = self;
        let (handle, end) = (hex::encode(handle_hmac), expires_at.timestamp_micros());
        let secret_id = secret_id.map_or_else(String::new, |secret_id| format!("/{secret_id}"));
        format!("pending_logins/{organization_id}/{mount_id}/{kind}/{id}/{handle}/{end}{secret_id}")
    }
}

/// What a handle leads to.
struct Columns {
    id: Uuid,
    organization_id: Uuid,
    mount_id: Uuid,
    content: Vec<u8>,
    expires_at: DateTime<Utc>,
    secret_id_id: Option<Uuid>,
}

impl Columns {
    fn under(self, kind: &'static str, handle_hmac: [u8; 32]) -> PendingRow {
        let Self { id, organization_id, mount_id, content, expires_at, secret_id_id: secret_id } = self;
        PendingRow { id, organization_id, mount_id, kind, handle_hmac, content, expires_at, secret_id }
    }
}

impl Store {
    /// [`insert`], by itself.
    pub(crate) async fn add_pending_login(&self, row: &PendingRow, most: u32) -> Result<(), StoreError> {
        let mut transaction = self.counting(row.organization_id).await?;
        mounts::expect_there(&mut transaction, row.mount_id).await?;
        insert(&mut transaction, row, most).await?;
        Ok(transaction.commit().await?)
    }

    /// One, which goes on waiting.
    pub(crate) async fn pending_login(
        &self,
        organization_id: Uuid,
        kind: &'static str,
        handle_hmac: [u8; 32],
    ) -> Result<Option<PendingRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            "SELECT id, organization_id, mount_id, content, expires_at, secret_id_id FROM pending_logins WHERE organization_id = $1 AND kind = $2 AND handle_hmac = $3",
            organization_id,
            kind,
            handle_hmac.as_slice()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(|row| row.under(kind, handle_hmac)))
    }

    /// Takes one away: of all who ask at once, on whatever servers, one gets it.
    pub(crate) async fn take_pending_login(
        &self,
        (organization_id, mount_id): (Uuid, Uuid),
        kind: &'static str,
        handle_hmac: [u8; 32],
    ) -> Result<Option<PendingRow>, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let row = sqlx::query_as!(
            Columns,
            "DELETE FROM pending_logins WHERE mount_id = $1 AND kind = $2 AND handle_hmac = $3 RETURNING id, organization_id, mount_id, content, expires_at, secret_id_id",
            mount_id,
            kind,
            handle_hmac.as_slice()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(row.map(|row| row.under(kind, handle_hmac)))
    }

    /// Whether so many of a mount are there, or more.
    pub(crate) async fn has_pending_logins(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        most: u32,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let counted = count(&mut transaction, mount_id, most).await?;
        transaction.commit().await?;
        Ok(counted >= most)
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

/// Adds one, unless `most` of its mount are there: then [`StoreError::Crowded`]. Servers that add one at the same moment do not see each other's: a
/// few more than `most` may come to wait.
pub(crate) async fn insert(connection: &mut PgConnection, row: &PendingRow, most: u32) -> Result<(), StoreError> {
    if count(&mut *connection, row.mount_id, most).await? >= most {
        return Err(StoreError::Crowded { most });
    }
    sqlx::query!(
        "INSERT INTO pending_logins (id, organization_id, mount_id, kind, handle_hmac, content, expires_at, secret_id_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        row.id,
        row.organization_id,
        row.mount_id,
        row.kind,
        row.handle_hmac.as_slice(),
        row.content,
        row.expires_at,
        row.secret_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes those that began with a SecretID; how many.
pub(crate) async fn end_those_of(connection: &mut PgConnection, secret_id: Uuid) -> Result<i64, StoreError> {
    let done =
        sqlx::query!("DELETE FROM pending_logins WHERE secret_id_id = $1", secret_id).execute(connection).await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// How many of a mount there are, `most` at most; also those that ended and were not deleted yet.
async fn count(connection: &mut PgConnection, mount_id: Uuid, most: u32) -> Result<u32, StoreError> {
    let counted = sqlx::query_scalar!(
        r#"SELECT count(*) AS "rows!" FROM (SELECT FROM pending_logins WHERE mount_id = $1 LIMIT $2) counted"#,
        mount_id,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    Ok(u32::try_from(counted).unwrap_or(u32::MAX))
}

/// Takes one away, which waits no more; whoever was first has it.
pub(crate) async fn finish(connection: &mut PgConnection, row: &PendingRow) -> Result<(), StoreError> {
    let done = sqlx::query!("DELETE FROM pending_logins WHERE id = $1", row.id).execute(connection).await?;
    expect_one(&done, WHAT)
}

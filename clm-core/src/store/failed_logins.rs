//! Table `failed_logins`.

use super::{Store, StoreError};
use chrono::{DateTime, Utc};
use uuid::Uuid;

impl Store {
    /// Counts a failed login that no person's row counts, durably.
    pub(crate) async fn count_failed_login_of_nobody(
        &self,
        organization_id: Uuid,
        bucket: u8,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        sqlx::query!(
            "INSERT INTO failed_logins AS f (organization_id, bucket, failures, last_failed_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (organization_id, bucket) DO UPDATE SET failures = f.failures + 1, last_failed_at = $3",
            organization_id,
            i16::from(bucket),
            now
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

//! Table `leases`, and the leases that tokens are.

use super::{Store, StoreError, bytes32};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A lease of a credential that an engine made.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRow {
    pub(crate) lease_id: String,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) last_renewed_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Living leases of engines whose ids begin with `prefix`, by id; `limit` at most.
    pub(crate) async fn engine_leases(
        &self,
        organization_id: Uuid,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query_as!(
            LeaseRow,
            r#"SELECT lease_id, issued_at, expires_at, last_renewed_at FROM leases WHERE organization_id = $1 AND NOT revoked AND starts_with(lease_id, $2) ORDER BY lease_id COLLATE "C" LIMIT $3"#,
            organization_id,
            prefix,
            limit
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Path and HMAC of living tokens that have an end and were made at paths beginning with `prefix`; `limit` at most.
    pub(crate) async fn token_leases(
        &self,
        organization_id: Uuid,
        prefix: &str,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<(String, [u8; 32])>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let rows = sqlx::query!(
            r#"SELECT path, token_hmac FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND expire_time > $3 AND starts_with(path, $2) ORDER BY path COLLATE "C", id LIMIT $4"#,
            organization_id,
            prefix,
            now,
            limit
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter().map(|row| Ok((row.path, bytes32(&row.token_hmac, "tokens.token_hmac")?))).collect()
    }

    /// How many tokens live.
    pub(crate) async fn count_living_tokens(
        &self,
        organization_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND (expire_time IS NULL OR expire_time > $2)"#,
            organization_id,
            now
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(count)
    }
}

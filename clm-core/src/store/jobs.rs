//! Table `jobs`. It belongs to no tenant, and nothing in it is bound: it says when, not what.

use super::{Store, StoreError};
use std::time::Duration;
use uuid::Uuid;

impl Store {
    /// Leases a job that is due for this server; `false`: it is not due, or another server is at it.
    /// A job that nobody knew is due after `first`.
    pub(crate) async fn lease_job(
        &self,
        name: &str,
        server: Uuid,
        lease: Duration,
        first: Duration,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.nobody().await?;
        sqlx::query!(
            "INSERT INTO jobs (name, next_run_at) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT DO NOTHING",
            name,
            first.as_secs_f64()
        )
        .execute(&mut *transaction)
        .await?;
        let done = sqlx::query!(
            "UPDATE jobs SET leased_by = $2, leased_until = now() + make_interval(secs => $3), last_started_at = now(), runs = runs + 1 \
             WHERE name = $1 AND next_run_at <= now() AND (leased_until IS NULL OR leased_until <= now())",
            name,
            server,
            lease.as_secs_f64()
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Leases a job for longer; `false`: the lease is another server's.
    pub(crate) async fn renew_job(&self, name: &str, server: Uuid, lease: Duration) -> Result<bool, StoreError> {
        let mut transaction = self.nobody().await?;
        let done = sqlx::query!(
            "UPDATE jobs SET leased_until = now() + make_interval(secs => $3) WHERE name = $1 AND leased_by = $2",
            name,
            server,
            lease.as_secs_f64()
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Says how the run went and when the next one is due, if the lease is still this server's.
    pub(crate) async fn finish_job(
        &self,
        name: &str,
        server: Uuid,
        next: Duration,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.nobody().await?;
        sqlx::query!(
            "UPDATE jobs SET leased_by = NULL, leased_until = NULL, last_finished_at = now(), next_run_at = now() + make_interval(secs => $3), last_error = $4 \
             WHERE name = $1 AND leased_by = $2",
            name,
            server,
            next.as_secs_f64(),
            error
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

//! Work that comes again and again, which one server of several does.

use crate::core::Core;
use crate::error::Result;
use std::time::Duration;
use uuid::Uuid;

impl Core {
    /// Whether the job is due and this server is to do it: no other does for `lease`. A new job is due after `first`.
    pub async fn take_job(&self, name: &str, server: Uuid, lease: Duration, first: Duration) -> Result<bool> {
        Ok(self.store().lease_job(name, server, lease, first).await?)
    }

    /// For `lease` more, while the work goes on. `false`: it is another server's by now.
    pub async fn renew_job(&self, name: &str, server: Uuid, lease: Duration) -> Result<bool> {
        Ok(self.store().renew_job(name, server, lease).await?)
    }

    /// How it went; it is due again after `next`.
    pub async fn finish_job(&self, name: &str, server: Uuid, next: Duration, error: Option<&str>) -> Result<()> {
        Ok(self.store().finish_job(name, server, next, error).await?)
    }
}

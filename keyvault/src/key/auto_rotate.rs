//! Keys that rotate by themselves when their newest version is old enough.

use super::KeyName;
use crate::store::{named_keys, read_as_of_now};
use crate::vault::system;
use crate::{Error, Result, Vault};
use uuid::Uuid;

/// Keys in one step.
const STEP: i64 = 100;

impl Vault {
    /// Rotates an organization's keys whose newest version is older than their `auto_rotate_period`; how many. A key that cannot be rotated
    /// now does not keep the others from it: the last such error comes back when all were tried.
    pub async fn rotate_due_keys(&self, organization_id: Uuid) -> Result<u64> {
        let (mut rotated, mut failed, mut after) = (0, None, Uuid::nil());
        loop {
            let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
            let due =
                named_keys::due_for_rotation(&mut transaction, organization_id, self.inner.clock.now(), after, STEP)
                    .await?;
            transaction.rollback().await?;
            let Some(last) = due.last() else { break };
            after = last.id;
            for key in due {
                let Some(name) = KeyName::parse(&key.name) else { continue };
                match self.rotate_version(&system(organization_id), key.mount_id, &name, Some(key.latest_version)).await
                {
                    Ok(_) => rotated += 1,
                    // Deleted or rotated meanwhile.
                    Err(Error::NotFound(_) | Error::Conflict) => {}
                    Err(error) => {
                        tracing::warn!(key = %name, %error, "a key could not be rotated by itself; tried again");
                        failed = Some(error);
                    }
                }
            }
        }
        failed.map_or(Ok(rotated), Err)
    }
}

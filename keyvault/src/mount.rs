//! What becomes of keys whose mount `clm_core_db` has disabled. Each step can be done again after a crash: done twice it does no harm.

use crate::key::KeyName;
use crate::store::{closed_mounts, key_versions, named_keys, read_as_of_now};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use uuid::Uuid;

impl Vault {
    /// From now on nothing is made in the mount. `change_id` names the change on both sides; one record, however often it is called.
    pub async fn close_mount(&self, caller: &Caller, mount_id: Uuid, change_id: Uuid) -> Result<()> {
        let (organization_id, now) = (caller.organization_id, self.inner.clock.now());
        let mut event = record::event(caller, now, "key_access", "mount.close");
        event.resource_id = Some(mount_id.to_string());
        event.data.insert("change".into(), Value::Text(change_id.to_string().into()));
        let closed = self
            .inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if closed_mounts::insert(connection, organization_id, mount_id, change_id, now).await? {
                        return Ok(((), event));
                    }
                    Err(Error::Exists)
                })
            })
            .await
            .map_err(Error::from);
        match closed {
            Err(Error::Exists) => Ok(()),
            other => other,
        }
    }

    /// Destroys up to `limit` keys of a closed mount whose names come after `after`; the last one's name, or `None` when there were none left.
    /// A key whose rows were changed behind the service's back is left as it is: its alarm was raised, and `integrity` lists it.
    pub async fn destroy_keys_of_mount(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Option<String>> {
        let mut transaction = read_as_of_now(&self.inner.pool, caller.organization_id).await?;
        let names = named_keys::names_after(&mut transaction, caller.organization_id, mount_id, after, limit).await?;
        transaction.rollback().await?;
        for name in &names {
            let Some(name) = KeyName::parse(name) else { continue };
            match self.destroy_key(caller, mount_id, &name).await {
                Ok(()) | Err(Error::NotFound(_) | Error::RowTampered { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names.into_iter().next_back())
    }

    /// Removes what destroyed keys of a closed mount have left on the token.
    pub async fn remove_objects_of_mount(&self, organization_id: Uuid, mount_id: Uuid) -> Result<()> {
        let token_id = self.deployment().await?.token_id();
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let versions = key_versions::on_token(&mut transaction, organization_id, token_id, Some(mount_id)).await?;
        transaction.rollback().await?;
        for version in versions.iter().filter(|version| version.key_state == "destroyed") {
            let Some(object) = version.hsm_key_id else { continue };
            // Whoever writes "destroyed" behind the service's back must not have the token's only copy destroyed.
            let row = (version.table(), version.id, version.row_bytes(), version.row_mac.as_slice());
            match self.check_rows(organization_id, &[row]).await {
                Ok(()) => self.inner.bridge.destroy_token_key(object).await?,
                Err(Error::RowTampered { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

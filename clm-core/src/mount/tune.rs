//! Changing a mount's settings.

use super::config::TuneMount;
use super::enable::mount_path;
use super::{Mount, MountClass, kv, lockout};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::store::{self, MountRow, StoreError};
use audit_chain::Caller;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

impl Core {
    /// Settings of a mount as they work out; absent: 400 `cannot fetch sysview for path "X/"`.
    pub fn read_tuning(&self, organization_id: Uuid, path: &str) -> Result<Map<String, Value>> {
        let mount = self.tunable(organization_id, path)?;
        let system = (self.settings().default_lease_ttl, self.settings().max_lease_ttl);
        let mut data = mount.config.effective(&mount.description, system);
        if let Some(options) = mount.options.as_ref().filter(|options| !options.is_empty()) {
            data.insert("options".into(), json!(options));
        }
        if mount.class == MountClass::Auth {
            data.entry("token_type").or_insert_with(|| "default-service".into());
        }
        Ok(data)
    }

    /// Changes settings of a mount; gives what is worth saying about it.
    pub async fn tune(&self, caller: &Caller, path: &str, tune: TuneMount) -> Result<Option<String>> {
        let mount = self.tunable(caller.organization_id, path)?;
        if mount.builtin && mount.class == MountClass::Secret {
            return Err(Error::invalid(format!("cannot tune \"{}\"", mount.path)));
        }
        if tune.config.token_type.as_ref().is_some_and(|token_type| !token_type.is_empty()) {
            expect_token_type(&mount)?;
        }
        if tune.config.user_lockout.is_some() {
            lockout::expect_lockout(&mount.mount_type)?;
        }
        let mut changed = (*mount).clone();
        changed.config = changed.config.changed(&tune.config, self.settings().max_lease_ttl)?;
        if let Some(description) = tune.description {
            changed.description = description;
        }
        let said = match tune.options {
            None => None,
            Some(options) => kv::tune(&mut changed, options)?,
        };
        changed.revision += 1;
        let row_mac = self.row_mac(store::mounts::bound_bytes(&changed)).await?;
        let row = MountRow { mount: changed, row_mac };
        let event = self.mount_event(caller, "mount.tune", "update", &row);
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move {
                match row.mount.revision {
                    // A built-in one is in no row until somebody tunes it.
                    1 => store::mounts::insert(connection, &row).await?,
                    _ => store::mounts::update(connection, &row).await?,
                }
                Ok(((), event))
            })
        })
        .await
        .map_err(|error| match error {
            Error::Database(StoreError::Taken { .. }) => Error::Conflict("mount"),
            other => other,
        })?;
        self.reload_mounts().await?;
        Ok(said)
    }

    fn tunable(&self, organization_id: Uuid, path: &str) -> Result<Arc<Mount>> {
        let path = mount_path(path);
        let (class, own) =
            path.strip_prefix("auth/").map_or((MountClass::Secret, &*path), |own| (MountClass::Auth, own));
        self.mount_at(organization_id, class, own)
            .ok_or_else(|| Error::invalid(format!("cannot fetch sysview for path \"{path}\"")))
    }
}

/// Only a login method says which kind of tokens it gives; what auth/token makes, each request says.
fn expect_token_type(mount: &Mount) -> Result<()> {
    if mount.class == MountClass::Secret {
        return Err(Error::invalid("'token_type' can only be modified on auth mounts"));
    }
    if mount.builtin {
        return Err(Error::invalid("'token_type' cannot be set for 'token' or 'ns_token' auth mounts"));
    }
    Ok(())
}

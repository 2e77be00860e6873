//! Settings of a login method as a whole.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::auth_configs::{self, ConfigRow};
use audit_chain::{Caller, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same settings.
const ATTEMPTS: usize = 5;

impl Core {
    /// What a login method was told, if the row is ours.
    pub(crate) async fn login_config<T: DeserializeOwned>(&self, mount: &Mount) -> Result<Option<T>> {
        Ok(self.login_config_row(mount).await?.map(|(_, config)| config))
    }

    async fn login_config_row<T: DeserializeOwned>(&self, mount: &Mount) -> Result<Option<(ConfigRow, T)>> {
        let Some(row) = self.store().auth_config(mount.organization_id, mount.id).await? else { return Ok(None) };
        let which = (auth_configs::TABLE, mount.organization_id, row.id);
        self.check_known_row(which, row.bound_bytes(), row.row_mac).await?;
        let config = serde_json::from_str(&row.config)
            .map_err(|error| Error::Internal(format!("stored configuration {}: {error}", row.id).into()))?;
        Ok(Some((row, config)))
    }

    /// Tells a login method; `change` is given the old settings and says the new ones. They count for the next login.
    pub(crate) async fn put_login_config<T, F>(&self, caller: &Caller, mount: &Mount, change: F) -> Result<()>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Result<T>,
    {
        for _ in 0..ATTEMPTS {
            let (old, config) = self.login_config_row(mount).await?.unzip();
            match self.write_login_config(caller, mount, old.as_ref(), &change(config)?).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("configuration"))
    }

    async fn write_login_config<T: Serialize>(
        &self,
        caller: &Caller,
        mount: &Mount,
        old: Option<&ConfigRow>,
        config: &T,
    ) -> Result<()> {
        let config =
            serde_json::to_string(config).map_err(|error| Error::Internal(format!("configuration: {error}").into()))?;
        let mut row = ConfigRow {
            id: old.map_or_else(Uuid::now_v7, |old| old.id),
            organization_id: mount.organization_id,
            mount_id: mount.id,
            config: config.into(),
            revision: old.map_or(1, |old| old.revision + 1),
            row_mac: [0; 32],
        };
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        let who = ("login_method", Some(mount.path.clone()));
        let mut event = self.event(caller, "login_method.configure", "authentication", who, "update");
        event.data.insert("mount_id".into(), Value::Text(mount.id.to_string().into()));
        add_rows(&mut event, [(auth_configs::TABLE, row.id, row.revision, row.row_mac)]);
        self.change(mount.organization_id, move |connection| {
            Box::pin(async move { auth_configs::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await
    }
}

//! Ending SecretIDs and roles.

use super::{AppRole, SecretRef};
use crate::core::Core;
use crate::error::Result;
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::tokens::REVOKED_MAC;
use crate::store::{app_role_secret_ids, app_roles, pending_logins};
use audit_chain::{Caller, Value};
use uuid::Uuid;

/// Rows in one transaction: the log's writer waits for it.
pub(crate) const BATCH: i64 = 500;

impl Core {
    /// Destroys a SecretID of a role that is there, and ends logins with it that wait for a second factor. `false`: there was none.
    pub async fn destroy_secret_id(
        &self,
        caller: &Caller,
        mount: &Mount,
        role: &str,
        which: SecretRef<'_>,
    ) -> Result<bool> {
        let role = self.expect_role(mount, role).await?;
        // Its MAC does not matter: ending authority is always right.
        let found = match which {
            SecretRef::Text(text) => {
                let hash = self.secret_hash(role.id, text).await?;
                self.store().secret_id(role.organization_id, hash).await?
            }
            SecretRef::Accessor(accessor) => {
                self.store().secret_id_by_accessor(role.organization_id, role.id, accessor).await?
            }
        };
        let Some(secret) = found.filter(|secret| secret.app_role_id == role.id) else { return Ok(false) };
        let mut event = self.app_role_event(caller, "secret_id.destroy", "destroy", &role);
        event.data.insert("secret_id_accessor".into(), Value::Text(secret.accessor.clone().into()));
        self.change(role.organization_id, move |connection| {
            Box::pin(async move {
                let gone = app_role_secret_ids::delete(connection, &[secret.id]).await?;
                let ended = pending_logins::end_those_of(connection, secret.id).await?;
                event.data.insert("ended_logins".into(), Value::Integer(ended));
                add_rows(&mut event, gone);
                Ok(((), event))
            })
        })
        .await?;
        Ok(true)
    }

    /// Deletes a role with its SecretIDs; its tokens live on. `false`: there was none.
    pub async fn delete_app_role(&self, caller: &Caller, mount: &Mount, name: &str) -> Result<bool> {
        let found = self.store().app_role(mount.organization_id, mount.id, &name.to_lowercase()).await?;
        let Some(role) = found else { return Ok(false) };
        self.destroy_most(caller, mount.id, Some(&role)).await?;
        let mut event = self.app_role_event(caller, "app_role.delete", "delete", &role);
        let deleted = self
            .change(role.organization_id, move |connection| {
                Box::pin(async move {
                    let mut gone = vec![(app_roles::TABLE, role.id, role.revision + 1, REVOKED_MAC)];
                    gone.extend(
                        app_role_secret_ids::delete_some(connection, role.mount_id, Some(role.id), BATCH).await?,
                    );
                    app_roles::delete(connection, &role).await?;
                    add_rows(&mut event, gone);
                    Ok(((), event))
                })
            })
            .await;
        deleted.map(|()| true)
    }

    /// Destroys SecretIDs of a mount's roles, or of one of them, until few enough are left for one transaction.
    pub(crate) async fn destroy_most(&self, caller: &Caller, mount_id: Uuid, role: Option<&AppRole>) -> Result<()> {
        let (organization_id, role_id) = (caller.organization_id, role.map(|role| role.id));
        while self.store().count_secret_ids(organization_id, mount_id, role_id, BATCH + 1).await? > BATCH {
            let which = ("app_role", role.map(AppRole::called));
            let mut event = self.event(caller, "secret_id.destroy", "authentication", which, "destroy");
            self.change(organization_id, move |connection| {
                Box::pin(async move {
                    add_rows(&mut event, app_role_secret_ids::delete_some(connection, mount_id, role_id, BATCH).await?);
                    Ok(((), event))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// SecretIDs whose time or uses are over, of all organizations; how many went.
    pub(crate) async fn sweep_secret_ids(&self, organization_id: Uuid) -> Result<usize> {
        let now = self.now();
        if !self.store().has_ended_secret_ids(organization_id, now).await? {
            return Ok(0);
        }
        let mut event = crate::record::bare(Uuid::nil(), organization_id, now);
        event.event_type = "secret_id.expire".into();
        event.category = "authentication".into();
        event.resource_type = "secret_id".into();
        event.action = "destroy".into();
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                let gone = app_role_secret_ids::delete_ended(connection, organization_id, now, BATCH).await?;
                let count = gone.len();
                add_rows(&mut event, gone);
                Ok((count, event))
            })
        })
        .await
    }

    /// The same, asked for.
    pub async fn tidy_secret_ids(&self, caller: &Caller) -> Result<()> {
        self.tidy(caller, "secret_id").await
    }
}

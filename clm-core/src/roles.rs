//! Roles that tokens are made through, of auth/token and of login methods: a name below a mount, and what the method says of it.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::login::Basis;
use crate::mount::Mount;
use crate::record::add_rows;
use crate::store::tokens::REVOKED_MAC;
use crate::store::{RoleRow, auth_roles};
use audit_chain::{Caller, Event, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same role.
const ATTEMPTS: usize = 5;
const LONGEST_NAME: usize = 512;

/// Which role.
#[derive(Clone, Debug)]
pub(crate) struct RoleKey {
    pub(crate) organization_id: Uuid,
    pub(crate) mount_id: Uuid,
    pub(crate) name: String,
}

impl RoleKey {
    pub(crate) fn new(mount: &Mount, name: &str) -> Self {
        Self { organization_id: mount.organization_id, mount_id: mount.id, name: name.to_lowercase() }
    }
}

/// How records call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleEvent {
    pub(crate) write: &'static str,
    pub(crate) delete: &'static str,
    pub(crate) resource: &'static str,
}

impl Core {
    /// A role, if its row is ours.
    pub(crate) async fn role<T: DeserializeOwned>(&self, key: &RoleKey) -> Result<Option<T>> {
        Ok(self.role_row(key).await?.map(|(_, role)| role))
    }

    /// A role for a login, and what that then rests on.
    pub(crate) async fn role_and_basis<T: DeserializeOwned>(&self, key: &RoleKey) -> Result<Option<(T, Basis)>> {
        Ok(self.role_row(key).await?.map(|(row, role)| (role, Basis::from(&row))))
    }

    /// Makes a role, or changes it; `change` is given the old one and says the new one. It counts for the next login.
    pub(crate) async fn put_role<T, F>(&self, caller: &Caller, key: &RoleKey, event: RoleEvent, change: F) -> Result<()>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Result<T>,
    {
        if key.name.len() > LONGEST_NAME || key.name.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "a role's name has at most {LONGEST_NAME} bytes and no control characters"
            )));
        }
        for _ in 0..ATTEMPTS {
            let (old, role) = self.role_row(key).await?.unzip();
            match self.write_role(caller, key, event, old.as_ref(), &change(role)?).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("role"))
    }

    /// Deletes a role. `false`: there was none.
    pub(crate) async fn delete_role(&self, caller: &Caller, key: &RoleKey, events: RoleEvent) -> Result<bool> {
        let found = self.store().auth_role(key.organization_id, key.mount_id, &key.name).await?;
        let Some(row) = found else { return Ok(false) };
        let mut event = self.role_event(caller, events.delete, events.resource, &row, "delete");
        add_rows(&mut event, [(auth_roles::TABLE, row.id, row.revision + 1, REVOKED_MAC)]);
        self.change(key.organization_id, move |connection| {
            Box::pin(async move { auth_roles::delete(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(true)
    }

    /// Names of a login method's roles, sorted.
    pub async fn list_login_roles(&self, mount: &Mount) -> Result<Vec<String>> {
        Ok(self.store().auth_role_names(mount.organization_id, mount.id).await?)
    }

    /// A role and its row, if that is ours.
    pub(crate) async fn role_row<T: DeserializeOwned>(&self, key: &RoleKey) -> Result<Option<(RoleRow, T)>> {
        let found = self.store().auth_role(key.organization_id, key.mount_id, &key.name).await?;
        let Some(row) = found else { return Ok(None) };
        self.check_row((auth_roles::TABLE, key.organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
        let role = read(&row)?;
        Ok(Some((row, role)))
    }

    async fn write_role<T: Serialize>(
        &self,
        caller: &Caller,
        key: &RoleKey,
        events: RoleEvent,
        old: Option<&RoleRow>,
        role: &T,
    ) -> Result<()> {
        let row = self.new_role_row(key, old, role).await?;
        let action = if old.is_some() { "update" } else { "create" };
        let mut event = self.role_event(caller, events.write, events.resource, &row, action);
        add_rows(&mut event, [(auth_roles::TABLE, row.id, row.revision, row.row_mac)]);
        self.change(key.organization_id, move |connection| {
            Box::pin(async move { auth_roles::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await
    }

    /// The row of a role as it is to be, in the place of `old`.
    pub(crate) async fn new_role_row<T: Serialize>(
        &self,
        key: &RoleKey,
        old: Option<&RoleRow>,
        role: &T,
    ) -> Result<RoleRow> {
        let config = serde_json::to_string(role).map_err(|error| Error::Internal(format!("role: {error}").into()))?;
        let mut row = RoleRow {
            id: old.map_or_else(Uuid::now_v7, |old| old.id),
            organization_id: key.organization_id,
            mount_id: key.mount_id,
            name: key.name.clone(),
            config: config.into(),
            revision: old.map_or(1, |old| old.revision + 1),
            row_mac: [0; 32],
        };
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        Ok(row)
    }

    fn role_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        resource: &'static str,
        row: &RoleRow,
        action: &'static str,
    ) -> Event {
        let mut event = self.event(caller, event_type, "authentication", (resource, Some(row.name.clone())), action);
        event.data.insert("mount_id".into(), Value::Text(row.mount_id.to_string().into()));
        event
    }
}

fn read<T: DeserializeOwned>(row: &RoleRow) -> Result<T> {
    serde_json::from_str(&row.config)
        .map_err(|error| Error::Internal(format!("stored role {}: {error}", row.name).into()))
}

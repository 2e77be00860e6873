//! Mounting, listing and unmounting.

use super::config::{MountConfig, NewMount};
use super::table::accessor;
use super::{Mount, MountClass, kv, lockout};
use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::outbox::OutboxKind;
use crate::record::add_rows;
use crate::store::{self, MountRow, StoreError};
use audit_chain::Caller;
use std::sync::Arc;
use uuid::Uuid;

/// Engines that can be mounted, beside those of KV.
const ENGINES: [&str; 1] = ["transit"];
/// Ways to log in that can be enabled.
const METHODS: [&str; 7] = ["api-key", "approle", "cert", "jwt", "kubernetes", "oidc", "userpass"];

/// Types that a new mount can have, sorted; KV's versions are options of one.
pub fn mountable(class: MountClass) -> Vec<&'static str> {
    let mut types = match class {
        MountClass::Secret => [&ENGINES[..], &[kv::TYPE]].concat(),
        MountClass::Auth => METHODS.to_vec(),
    };
    types.sort_unstable();
    types
}

/// Whether it is a type of login method.
pub(crate) fn is_login_type(mount_type: &str) -> bool {
    METHODS.contains(&mount_type)
}

impl Core {
    /// Mounts an engine at `path` (a final `/` is added). The keys of the mount are the engine's to make.
    pub async fn mount(&self, caller: &Caller, path: &str, new: NewMount) -> Result<Arc<Mount>> {
        self.enable(caller, MountClass::Secret, path, new).await
    }

    /// Enables a way to log in at `auth/<path>`.
    pub async fn enable_login(&self, caller: &Caller, path: &str, new: NewMount) -> Result<Arc<Mount>> {
        self.enable(caller, MountClass::Auth, path, new).await
    }

    async fn enable(&self, caller: &Caller, class: MountClass, path: &str, new: NewMount) -> Result<Arc<Mount>> {
        let path = mount_path(path);
        let Some(mount_type) = new.mount_type.filter(|mount_type| !mount_type.is_empty()) else {
            return Err(Error::invalid("backend type must be specified as a string"));
        };
        if is_protected(class, &path) || path == "/" {
            return Err(Error::invalid(match class {
                MountClass::Secret => format!("cannot mount \"{path}\""),
                MountClass::Auth => format!("path is already in use at {path}"),
            }));
        }
        checked_path(&path)?;
        self.expect_path_for(caller, class, &path).await?;
        let is_known = match class {
            MountClass::Secret => ENGINES.contains(&mount_type.as_str()) || kv::TYPES.contains(&mount_type.as_str()),
            MountClass::Auth => is_login_type(&mount_type),
        };
        if !is_known {
            return Err(Error::invalid(format!("plugin not found in the catalog: {mount_type}")));
        }
        if new.config.user_lockout.is_some() {
            lockout::expect_lockout(&mount_type)?;
        }
        let (mount_type, options) = kv::settle(&mount_type, new.options)?;
        let config = MountConfig::default().changed(&new.config, self.settings().max_lease_ttl)?;
        let id = Uuid::now_v7();
        let mount = Mount {
            id,
            organization_id: caller.organization_id,
            class,
            accessor: accessor(class, &mount_type, id),
            path,
            mount_type,
            description: new.description,
            options: Some(options),
            config,
            local: new.local,
            seal_wrap: new.seal_wrap,
            revision: 1,
            builtin: false,
        };
        let row = MountRow { row_mac: self.row_mac(store::mounts::bound_bytes(&mount)).await?, mount: mount.clone() };
        let event = self.mount_event(caller, "mount.enable", "create", &row);
        let written = self
            .change(caller.organization_id, move |connection| {
                Box::pin(async move { store::mounts::insert(connection, &row).await.map(|()| ((), event)) })
            })
            .await;
        match written {
            Err(Error::Database(StoreError::Taken { constraint: used })) => {
                return Err(Error::invalid(format!("path is already in use at {used}")));
            }
            other => other?,
        }
        self.reload_mounts().await?;
        Ok(Arc::new(mount))
    }

    /// An engine of organization `root` is not mounted where another organization's paths begin.
    pub(super) async fn expect_path_for(&self, caller: &Caller, class: MountClass, path: &str) -> Result<()> {
        if caller.organization_id == ROOT_ORGANIZATION && class == MountClass::Secret {
            return self.expect_no_namespace_at(path).await;
        }
        Ok(())
    }

    /// Unmounts; `None` when nothing was mounted there. An entry of the outbox has what the engine kept destroyed.
    pub async fn unmount(&self, caller: &Caller, path: &str) -> Result<Option<Arc<Mount>>> {
        let path = mount_path(path);
        if is_protected(MountClass::Secret, &path) {
            return Err(Error::invalid(format!("cannot unmount \"{path}\"")));
        }
        let Some(mount) = self.mount_at(caller.organization_id, MountClass::Secret, &path) else { return Ok(None) };
        // The record's revision is the one after the row's last, so that a row put back is an older self.
        let gone = Mount { revision: mount.revision + 1, ..(*mount).clone() };
        let row = MountRow { mount: gone, row_mac: store::tokens::REVOKED_MAC };
        let entry = self.outbox_row(caller.organization_id, OutboxKind::MountClose, mount.id).await?;
        let mut event = self.mount_event(caller, "mount.disable", "delete", &row);
        let rows = [
            (store::mounts::TABLE, row.mount.id, row.mount.revision, row.row_mac),
            (store::outbox::TABLE, entry.id, entry.revision, entry.row_mac),
        ];
        add_rows(&mut event, rows);
        let deleted = Arc::clone(&mount);
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move {
                store::mounts::delete(&mut *connection, &deleted).await?;
                store::outbox::insert(connection, &entry).await?;
                Ok(((), event))
            })
        })
        .await?;
        self.entries_written().notify_one();
        self.reload_mounts().await?;
        Ok(Some(mount))
    }

    /// Disables a way to log in: tokens made there end, its roles go. `false`: nothing was enabled there.
    pub async fn disable_login(&self, caller: &Caller, path: &str) -> Result<bool> {
        let path = mount_path(path);
        if is_protected(MountClass::Auth, &path) {
            return Err(Error::invalid("token credential backend cannot be disabled"));
        }
        let Some(mount) = self.mount_at(caller.organization_id, MountClass::Auth, &path) else { return Ok(false) };
        let prefix = super::key(MountClass::Auth, &path);
        self.revoke_most(caller, &prefix).await?;
        self.destroy_most(caller, mount.id, None).await?;
        let gone = Mount { revision: mount.revision + 1, ..(*mount).clone() };
        let row = MountRow { mount: gone, row_mac: store::tokens::REVOKED_MAC };
        let event = self.mount_event(caller, "mount.disable", "delete", &row);
        self.delete_login(&mount, prefix, event).await?;
        self.reload_mounts().await?;
        Ok(true)
    }

    /// Engines of an organization by path, the built-in ones too.
    pub fn mounts(&self, organization_id: Uuid) -> Vec<Arc<Mount>> {
        self.mount_table().list(organization_id, MountClass::Secret)
    }

    /// Ways to log in, by path without `auth/`.
    pub fn auth_mounts(&self, organization_id: Uuid) -> Vec<Arc<Mount>> {
        self.mount_table().list(organization_id, MountClass::Auth)
    }

    /// One engine; absent: 400 `No secret engine mount at X/`.
    pub fn read_mount(&self, organization_id: Uuid, path: &str) -> Result<Arc<Mount>> {
        let path = mount_path(path);
        self.mount_at(organization_id, MountClass::Secret, &path)
            .ok_or_else(|| Error::invalid(format!("No secret engine mount at {path}")))
    }

    /// One way to log in; absent: 400 `No auth engine at X/`.
    pub fn read_login(&self, organization_id: Uuid, path: &str) -> Result<Arc<Mount>> {
        let path = mount_path(path);
        self.mount_at(organization_id, MountClass::Auth, &path)
            .ok_or_else(|| Error::invalid(format!("No auth engine at {path}")))
    }

    /// The mount that a request's path belongs to (the longest that it begins with), and what follows. In memory.
    pub fn resolve<'p>(&self, organization_id: Uuid, path: &'p str) -> Option<(Arc<Mount>, &'p str)> {
        self.mount_table().resolve(organization_id, path)
    }

    pub(super) fn mount_at(&self, organization_id: Uuid, class: MountClass, path: &str) -> Option<Arc<Mount>> {
        self.mount_table().get(organization_id, class, path)
    }

    pub(super) fn mount_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        action: &'static str,
        row: &MountRow,
    ) -> audit_chain::Event {
        let mut event = self.event(caller, event_type, "system", ("mount", Some(row.mount.path.clone())), action);
        event.data.insert("type".into(), audit_chain::Value::Text(row.mount.mount_type.clone().into()));
        event.data.insert("mount_id".into(), audit_chain::Value::Text(row.mount.id.to_string().into()));
        add_rows(&mut event, [(store::mounts::TABLE, row.mount.id, row.mount.revision, row.row_mac)]);
        event
    }
}

/// `a/b` and `/a/b/` as `a/b/`.
pub(super) fn mount_path(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

/// Whether the path belongs to what is always there.
pub(super) fn is_protected(class: MountClass, path: &str) -> bool {
    let protected: &[&str] = match class {
        MountClass::Secret => &["sys/", "auth/", "clm/", "cubbyhole/", "identity/"],
        MountClass::Auth => &["token/"],
    };
    protected.iter().any(|protected| path.starts_with(protected))
}

/// What a path must be like, wherever it is.
pub(super) fn checked_path(path: &str) -> Result<()> {
    if path.split('/').rev().skip(1).any(|segment| segment.is_empty() || segment == "..") {
        return Err(Error::invalid(format!("cannot mount \"{path}\": a segment of the path is empty or `..`")));
    }
    if path.chars().any(char::is_control) {
        return Err(Error::invalid("the path must not hold control characters"));
    }
    Ok(())
}

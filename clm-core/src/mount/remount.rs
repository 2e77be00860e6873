//! Moving a mount: keys, roles and accessor stay with it.

use super::enable::{checked_path, is_protected, mount_path};
use super::logins::BATCH;
use super::{Mount, MountClass, key};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::{add_rows, rows_of_revoked};
use crate::store::{self, MountRow, StoreError, tokens};
use audit_chain::{Caller, Value};
use uuid::Uuid;

/// A finished move; of logins with `auth/` in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountMove {
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
}

impl Core {
    /// Moves a mount; done when this returns. Tokens made at a login method end: their paths would name another. The id names the move.
    pub async fn remount(&self, caller: &Caller, from: &str, to: &str) -> Result<Uuid> {
        if from.trim_matches('/').is_empty() || to.trim_matches('/').is_empty() {
            return Err(Error::invalid("both 'from' and 'to' path must be specified as a string"));
        }
        let ((class, from), (to_class, to)) = (split(&mount_path(from)), split(&mount_path(to)));
        if class != to_class {
            return Err(Error::invalid("cannot move a mount between secrets engines and login methods"));
        }
        let mount = self.mount_at(caller.organization_id, class, &from).filter(|mount| !mount.builtin);
        let mount = mount.ok_or_else(|| Error::invalid(format!("no matching mount at \"{}\"", key(class, &from))))?;
        if is_protected(class, &to) {
            return Err(Error::invalid(format!("cannot remount to \"{}\"", key(class, &to))));
        }
        checked_path(&to)?;
        self.expect_path_for(caller, class, &to).await?;
        if class == MountClass::Auth {
            self.revoke_most(caller, &key(class, &from)).await?;
        }
        self.move_mount(caller, &mount, MountMove { from: key(class, &from), to: key(class, &to) }, to).await
    }

    async fn move_mount(&self, caller: &Caller, mount: &Mount, moved: MountMove, path: String) -> Result<Uuid> {
        let id = Uuid::now_v7();
        let mount = Mount { path, revision: mount.revision + 1, ..mount.clone() };
        let row = MountRow { row_mac: self.row_mac(store::mounts::bound_bytes(&mount)).await?, mount };
        let mut event = self.mount_event(caller, "mount.move", "update", &row);
        event.data.insert("from".into(), Value::Text(moved.from.clone().into()));
        let (organization_id, now) = (caller.organization_id, self.now());
        let written = self
            .change(organization_id, move |connection| {
                Box::pin(async move {
                    store::mounts::rename(connection, &row).await?;
                    store::mount_moves::insert(connection, id, organization_id, &moved, now).await?;
                    let mut ended = Vec::new();
                    if row.mount.class == MountClass::Auth {
                        let found = tokens::made_at(connection, organization_id, &moved.from, BATCH).await?;
                        ended = tokens::revoke_trees(connection, &found, now).await?;
                        let written = (store::mounts::TABLE, row.mount.id, row.mount.revision, row.row_mac);
                        add_rows(&mut event, [written].into_iter().chain(rows_of_revoked(&ended)).collect::<Vec<_>>());
                    }
                    Ok((ended, event))
                })
            })
            .await;
        match written {
            Err(Error::Database(StoreError::Taken { constraint: used })) => {
                return Err(Error::invalid(format!("path in use at \"{used}\"")));
            }
            other => other?.iter().for_each(|row| self.cache().forget(row.id)),
        }
        self.reload_mounts().await?;
        Ok(id)
    }

    /// A move that was made.
    pub async fn mount_move(&self, organization_id: Uuid, id: Uuid) -> Result<Option<MountMove>> {
        Ok(self.store().mount_move(organization_id, id).await?)
    }
}

fn split(path: &str) -> (MountClass, String) {
    match path.strip_prefix("auth/") {
        Some(own) if !own.is_empty() => (MountClass::Auth, own.to_owned()),
        _ => (MountClass::Secret, path.to_owned()),
    }
}

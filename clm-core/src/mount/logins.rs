//! What a login method leaves behind when it goes: tokens made there, roles.

use super::Mount;
use crate::core::Core;
use crate::error::Result;
use crate::record::{add_revoked, rows_of_revoked};
use crate::store::{self, auth_roles, tokens};
use audit_chain::{Caller, Event};

/// Tokens in one transaction: the log's writer waits for it.
pub(crate) const BATCH: i64 = 500;

impl Core {
    /// Revokes tokens that were made at paths beginning with `prefix` (which ends in `/`), or at it, and all below them, until few enough are left for one transaction;
    /// whoever asks this revokes those with what it does next.
    pub(super) async fn revoke_most(&self, caller: &Caller, prefix: &str) -> Result<()> {
        while self.store().count_made_at(caller.organization_id, prefix, BATCH + 1).await? > BATCH {
            self.revoke_some(caller, prefix).await?;
        }
        Ok(())
    }

    /// Revokes all tokens that were made at paths beginning with `prefix` (which ends in `/`), or at it; one record at least.
    pub async fn revoke_made_at(&self, caller: &Caller, prefix: &str) -> Result<()> {
        self.revoke_most(caller, prefix).await?;
        self.revoke_some(caller, prefix).await
    }

    async fn revoke_some(&self, caller: &Caller, prefix: &str) -> Result<()> {
        let now = self.now();
        let organization_id = caller.organization_id;
        let mut event =
            self.event(caller, "token.revoke", "authentication", ("path", Some(prefix.to_owned())), "revoke");
        let prefix = prefix.to_owned();
        let revoked = self
            .change(organization_id, move |connection| {
                Box::pin(async move {
                    let found = tokens::made_at(connection, organization_id, &prefix, BATCH).await?;
                    let revoked = tokens::revoke_trees(connection, &found, now).await?;
                    add_revoked(&mut event, &revoked);
                    Ok((revoked, event))
                })
            })
            .await?;
        revoked.iter().for_each(|row| self.cache().forget(row.id));
        Ok(())
    }

    /// Deletes a login method with its roles and the last of its tokens, in one transaction.
    pub(super) async fn delete_login(&self, mount: &Mount, prefix: String, mut event: Event) -> Result<()> {
        let (now, organization_id) = (self.now(), mount.organization_id);
        let (deleted, gone) =
            (mount.clone(), (store::mounts::TABLE, mount.id, mount.revision + 1, tokens::REVOKED_MAC));
        let revoked = self
            .change(organization_id, move |connection| {
                Box::pin(async move {
                    // Logins lock it as well, and find it gone from then on.
                    store::mounts::lock(connection, &deleted).await?;
                    let mut rows = auth_roles::delete_of_mount(connection, deleted.id).await?;
                    rows.extend(store::app_roles::delete_of_mount(connection, deleted.id).await?);
                    rows.extend(store::api_keys::revoke_of_mount(connection, deleted.id, now, event.user_id).await?);
                    rows.extend(store::auth_configs::delete_of_mount(connection, deleted.id).await?);
                    rows.extend(store::entity_aliases::delete_of(connection, deleted.id).await?);
                    let found = tokens::made_at(connection, organization_id, &prefix, BATCH).await?;
                    let revoked = tokens::revoke_trees(connection, &found, now).await?;
                    store::mounts::delete(connection, &deleted).await?;
                    rows.push(gone);
                    rows.extend(rows_of_revoked(&revoked));
                    add_revoked(&mut event, &revoked);
                    crate::record::add_rows(&mut event, rows);
                    Ok((revoked, event))
                })
            })
            .await?;
        revoked.iter().for_each(|row| self.cache().forget(row.id));
        Ok(())
    }
}

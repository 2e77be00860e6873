//! Deleting entities and groups: whatever names them goes with them.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{entities, entity_aliases, group_members, identity_groups, mfa_secrets};
use audit_chain::Caller;
use uuid::Uuid;

impl Core {
    /// Deletes an entity with its aliases, memberships and second factors; its tokens are good for nothing from then on. `false`: there was none.
    pub async fn delete_entity(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        for _ in 0..super::ATTEMPTS {
            let found = self.entity(caller.organization_id, id).await?;
            let Some(entity) = found.filter(|entity| entity.id == id) else { return Ok(false) };
            let who = ("entity", Some(id.to_string()));
            let mut event = self.event(caller, "entity.delete", "user_management", who, "delete");
            let deleted = self
                .change(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        let mut rows = entity_aliases::delete_of(connection, entity.id).await?;
                        rows.extend(group_members::delete_of(connection, entity.id).await?);
                        rows.extend(mfa_secrets::delete_of(connection, entity.id).await?);
                        rows.push(entities::delete(connection, &entity).await?);
                        add_rows(&mut event, rows);
                        Ok(((), event))
                    })
                })
                .await;
            match deleted {
                Err(Error::Conflict(_)) => {}
                other => {
                    self.cache().forget(id);
                    return other.map(|()| true);
                }
            }
        }
        Err(Error::Conflict("entity"))
    }

    /// Deletes entities one after the other, each with its own record.
    pub async fn delete_entities(&self, caller: &Caller, ids: &[Uuid]) -> Result<()> {
        for id in ids {
            self.delete_entity(caller, *id).await?;
        }
        Ok(())
    }

    /// Deletes a group with its memberships, on either side. `false`: there was none.
    pub async fn delete_group(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        for _ in 0..super::ATTEMPTS {
            let Some(group) = self.group(caller.organization_id, id).await? else { return Ok(false) };
            let who = ("group", Some(id.to_string()));
            let mut event = self.event(caller, "group.delete", "user_management", who, "delete");
            let deleted = self
                .change(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        let mut rows = group_members::delete_of(connection, group.id).await?;
                        rows.push(identity_groups::delete(connection, &group).await?);
                        add_rows(&mut event, rows);
                        Ok(((), event))
                    })
                })
                .await;
            match deleted {
                Err(Error::Conflict(_)) => {}
                other => {
                    self.cache().forget(id);
                    return other.map(|()| true);
                }
            }
        }
        Err(Error::Conflict("group"))
    }
}

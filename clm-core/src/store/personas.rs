//! An entity with its aliases and groups, and the person with the roles, as of one moment: tables `entities`, `entity_aliases`,
//! `identity_groups`, `group_members`, `users`, `user_roles`, `roles`.

use super::users::{self, User};
use super::{Store, StoreError, entities, entity_aliases, group_members, identity_groups, roles, user_roles};
use crate::identity::{Entity, EntityAlias, Group, GroupMember};
use crate::registry::{Entry, RoleFields};
use crate::user_roles::Assignment;
use uuid::Uuid;

/// Rows that say who somebody is; none of them looked at yet.
#[derive(Debug)]
pub(crate) struct PersonaRows {
    pub(crate) entity: Entity,
    pub(crate) aliases: Vec<EntityAlias>,
    pub(crate) memberships: Vec<GroupMember>,
    /// Direct ones, and those that these are in.
    pub(crate) groups: Vec<Group>,
    pub(crate) person: Option<PersonRows>,
}

/// Rows that say which roles a person has.
#[derive(Debug)]
pub(crate) struct PersonRows {
    pub(crate) user: User,
    /// Not withdrawn.
    pub(crate) given: Vec<Assignment>,
    /// Those that were given, and all above them.
    pub(crate) roles: Vec<Entry<RoleFields>>,
}

impl Store {
    /// By the entity's id, or that of one that became it.
    pub(crate) async fn persona(
        &self,
        organization_id: Uuid,
        entity_id: Uuid,
    ) -> Result<Option<PersonaRows>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let Some(entity) = entities::find(&mut transaction, entity_id).await? else { return Ok(None) };
        let aliases = entity_aliases::of_entity(&mut transaction, entity.id).await?;
        let memberships = group_members::held_by(&mut transaction, &[entity.id]).await?;
        let ids: Vec<Uuid> = memberships.iter().map(|member| member.group_id).collect();
        let groups = if ids.is_empty() { Vec::new() } else { identity_groups::find(&mut transaction, &ids).await? };
        let user = match entity.user_id {
            Some(user_id) => users::find(&mut transaction, user_id).await?,
            None => None,
        };
        let person = match user {
            None => None,
            Some(user) => {
                let given = user_roles::of_user(&mut transaction, user.id).await?;
                let ids: Vec<Uuid> = given.iter().map(|assignment| assignment.role_id).collect();
                let all =
                    if ids.is_empty() { Vec::new() } else { roles::with_those_above(&mut transaction, &ids).await? };
                Some(PersonRows { user, given, roles: all })
            }
        };
        transaction.commit().await?;
        Ok(Some(PersonaRows { entity, aliases, memberships, groups, person }))
    }
}

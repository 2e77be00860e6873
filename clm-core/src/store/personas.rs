//! An entity with its aliases and groups, as of one moment: tables `entities`, `entity_aliases`, `identity_groups`, `group_members`.

use super::{Store, StoreError, entities, entity_aliases, group_members, identity_groups};
use crate::identity::{Entity, EntityAlias, Group, GroupMember};
use uuid::Uuid;

/// Rows that say who somebody is; none of them looked at yet.
#[derive(Debug)]
pub(crate) struct PersonaRows {
    pub(crate) entity: Entity,
    pub(crate) aliases: Vec<EntityAlias>,
    pub(crate) memberships: Vec<GroupMember>,
    /// Direct ones, and those that these are in.
    pub(crate) groups: Vec<Group>,
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
        let memberships = group_members::held_by(&mut transaction, entity.id).await?;
        let ids: Vec<Uuid> = memberships.iter().map(|member| member.group_id).collect();
        let groups = if ids.is_empty() { Vec::new() } else { identity_groups::find(&mut transaction, &ids).await? };
        transaction.commit().await?;
        Ok(Some(PersonaRows { entity, aliases, memberships, groups }))
    }
}

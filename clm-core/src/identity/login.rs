//! Whom a login method has before it: the entity that it knows by this name, or a new one.

use super::{Entity, EntityAlias, Group, GroupMember};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::store::{GoneRow, StoreError, entities, entity_aliases, group_members};
use crate::token::Token;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The engine of the login methods that know of groups.
const NAMES_GROUPS: &str = "jwt";

/// What a login method found out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The name that it knows him by.
    pub(crate) name: String,
    /// What it knows of him else.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The person, where it is one.
    pub(crate) user_id: Option<Uuid>,
    /// Names of groups that he is in there; `None`: it knows of no groups.
    pub(crate) groups: Option<Vec<String>>,
}

/// Who it is, and the rows that the login writes of that.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    pub(crate) entity_id: Uuid,
    /// The person that it is.
    pub(crate) user_id: Option<Uuid>,
    entity: Option<Entity>,
    alias: Option<EntityAlias>,
    moves: Moves,
}

/// External groups that somebody comes into, and those that he leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    come: Vec<GroupMember>,
    go: Vec<GroupMember>,
}

impl Core {
    /// Finds the entity, or prepares a new one; a disabled one gets nothing: 403.
    pub(crate) async fn recognise(&self, mount: &Mount, claim: &Claim) -> Result<Recognised> {
        let organization_id = mount.organization_id;
        super::checked_name(&claim.name, "whoever logs in")?;
        let metadata = (!claim.metadata.is_empty()).then(|| Json(claim.metadata.clone()));
        let group_names = claim.groups.as_ref().map(|names| sorted(names));
        let now = self.now();
        let found = self.alias_named(organization_id, mount.id, &claim.name).await?;
        let entity_id = match (&found, claim.user_id) {
            (Some(alias), _) => Some(alias.entity_id),
            (None, Some(user_id)) => self.store().entity_id_of_user(organization_id, user_id).await?,
            (None, None) => None,
        };
        let known = match entity_id {
            Some(id) => self.entity(organization_id, id).await?,
            None => None,
        };
        if known.as_ref().is_some_and(|entity| entity.disabled) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let is_new = known.is_none();
        let mut entity = known.unwrap_or_else(|| Entity::new(organization_id, Entity::random_name(), now));
        let names_him = entity.user_id.is_none() && claim.user_id.is_some();
        if names_him {
            entity.user_id = claim.user_id;
        }
        // Templates of tokens that he has already may name it.
        let new_alias = found.is_none();
        let says_the_same = |alias: &EntityAlias| {
            alias.metadata == metadata && (group_names.is_none() || alias.group_names == group_names)
        };
        let alias = match found {
            Some(alias) if says_the_same(&alias) => None,
            Some(alias) => {
                let group_names = group_names.or(alias.group_names);
                Some(EntityAlias { metadata, group_names, last_update_time: now, ..alias })
            }
            None => {
                Some(EntityAlias { metadata, group_names, ..EntityAlias::new(&entity, mount.id, &claim.name, now) })
            }
        };
        let alias = match alias {
            Some(alias) => Some(self.next_alias(alias).await?),
            None => None,
        };
        let moves = match &claim.groups {
            Some(names) => self.outer_groups(mount, entity.id, is_new, names).await?,
            None => Moves::default(),
        };
        let (entity_id, user_id) = (entity.id, entity.user_id);
        let changed = is_new || names_him || new_alias;
        let entity = if changed { Some(self.next_entity(entity).await?) } else { None };
        Ok(Recognised { entity_id, user_id, entity, alias, moves })
    }

    /// What a renewal of a token does to whose it is, where a login through an external method gave it: the groups that this named then are those
    /// that have such aliases now. The entity comes with it.
    pub(crate) async fn regroup(&self, token: &Token) -> Result<Option<(Uuid, Moves)>> {
        let (Some(entity_id), Some((mount, _))) = (token.entity_id, self.resolve(token.organization_id, &token.path))
        else {
            return Ok(None);
        };
        if mount.engine() != NAMES_GROUPS {
            return Ok(None);
        }
        let Some(persona) = self.persona(token.organization_id, entity_id).await? else { return Ok(None) };
        let alias = persona.aliases.iter().find(|alias| alias.mount_id == mount.id);
        let Some(names) = alias.and_then(|alias| alias.group_names.as_ref()) else { return Ok(None) };
        let moves = self.outer_groups(&mount, persona.entity.id, false, names).await?;
        Ok(Some((persona.entity.id, moves)).filter(|(_, moves)| !moves.are_none()))
    }

    /// Which external groups of this login method he comes into, and which he leaves.
    async fn outer_groups(&self, mount: &Mount, entity_id: Uuid, is_new: bool, names: &[String]) -> Result<Moves> {
        let organization_id = mount.organization_id;
        let found = self.store().groups_by_alias(organization_id, mount.id, names).await?;
        let wanted = self.checked_groups(found).await?;
        let held = if is_new { Vec::new() } else { self.store().memberships(organization_id, entity_id).await? };
        let direct: Vec<GroupMember> =
            held.into_iter().filter(|member| member.member_entity_id == Some(entity_id)).collect();
        let ids: Vec<Uuid> = direct.iter().map(|member| member.group_id).collect();
        let of_this_method = |group: &&Group| group.alias_mount_id == Some(mount.id);
        let there = self.store().groups(organization_id, &ids).await?;
        let there: Vec<Uuid> = there.iter().filter(of_this_method).map(|group| group.id).collect();
        let mut come = Vec::new();
        for group in wanted.iter().filter(|group| !ids.contains(&group.id)) {
            come.push(self.new_member(group, Some(entity_id), None).await?);
        }
        let stays = |member: &GroupMember| wanted.iter().any(|group| group.id == member.group_id);
        let go = direct.into_iter().filter(|member| there.contains(&member.group_id) && !stays(member)).collect();
        Ok(Moves { come, go })
    }
}

impl Moves {
    fn are_none(&self) -> bool {
        self.come.is_empty() && self.go.is_empty()
    }

    /// Writes them; what records say of it. Somebody else may have made the same meanwhile: then [`StoreError::Taken`].
    pub(crate) async fn write(&self, connection: &mut PgConnection) -> Result<Vec<GoneRow>, StoreError> {
        let mut rows = Vec::new();
        for member in &self.come {
            group_members::insert(connection, member).await?;
            rows.push((group_members::TABLE, member.id, member.revision, member.row_mac));
        }
        let going: Vec<Uuid> = self.go.iter().map(|member| member.id).collect();
        if !going.is_empty() {
            rows.extend(group_members::delete(connection, &going).await?);
        }
        Ok(rows)
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let names: BTreeSet<&String> = names.iter().collect();
    names.into_iter().cloned().collect()
}

impl Recognised {
    /// Groups that the login brings him into.
    pub(crate) fn joining(&self) -> impl Iterator<Item = Uuid> {
        self.moves.come.iter().map(|member| member.group_id)
    }

    /// Writes what is new; what records say of it. Somebody else may have made the same meanwhile: then [`StoreError::Taken`].
    pub(crate) async fn write(&self, connection: &mut PgConnection) -> Result<Vec<GoneRow>, StoreError> {
        let mut rows = Vec::new();
        if let Some(entity) = &self.entity {
            entities::put(connection, entity).await?;
            rows.push((entities::TABLE, entity.id, entity.revision, entity.row_mac));
        }
        if let Some(alias) = &self.alias {
            entity_aliases::put(connection, alias).await?;
            rows.push((entity_aliases::TABLE, alias.id, alias.revision, alias.row_mac));
        }
        rows.extend(self.moves.write(connection).await?);
        Ok(rows)
    }
}

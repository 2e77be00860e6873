//! Whom a login method has before it: the entity that it knows by this name, or a new one.

use super::persona::policies_of;
use super::{Entity, EntityAlias, Group, GroupMember, Persona};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use crate::store::{Comer, GoneRow, LoginRows, StoreError, entities, entity_aliases, group_members};
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

impl Claim {
    /// As whom to look him up; `policies` are what the token is to have.
    pub(crate) fn comer<'c>(&'c self, mount: &Mount, policies: &'c [String]) -> Comer<'c> {
        let groups = self.groups.as_deref().unwrap_or_default();
        Comer { mount_id: mount.id, name: &self.name, user_id: self.user_id, groups, policies }
    }
}

/// Who it is, as of one moment, and the rows that the login writes of that.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    pub(crate) entity_id: Uuid,
    /// The person that it is.
    pub(crate) user_id: Option<Uuid>,
    /// Those that became it.
    pub(crate) merged_entity_ids: Vec<Uuid>,
    /// Groups that he is in or comes into, those through others too; the ones that he leaves with this login are among them.
    pub(crate) group_ids: BTreeSet<Uuid>,
    /// What he has of policies once this is written, sorted.
    pub(crate) policies: Vec<String>,
    /// Those of the token's policies that there are.
    pub(crate) known_policies: Vec<String>,
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
    /// Whom a login method has before it; `policies` are what the token is to have.
    pub(crate) async fn meet(&self, mount: &Mount, claim: &Claim, policies: &[String]) -> Result<LoginRows> {
        Ok(self.store().login_rows(mount.organization_id, claim.comer(mount, policies)).await?)
    }

    /// Which entity it is by the rows of [`Core::meet`], or a new one; a disabled one gets nothing: 403.
    pub(crate) async fn recognise(&self, mount: &Mount, claim: &Claim, rows: LoginRows) -> Result<Recognised> {
        super::checked_name(&claim.name, "whoever logs in")?;
        let LoginRows { alias, entity, memberships, groups, known_policies } = rows;
        let found = self.checked_alias(alias).await?;
        let known = self.checked_entity(entity).await?;
        if known.as_ref().is_some_and(|entity| entity.disabled) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let memberships = self.checked_members(memberships).await?;
        let groups = self.checked_groups(groups).await?;
        let is_new = known.is_none();
        let now = self.now();
        let mut entity = known.unwrap_or_else(|| Entity::new(mount.organization_id, Entity::random_name(), now));
        let names_him = entity.user_id.is_none() && claim.user_id.is_some();
        if names_him {
            entity.user_id = claim.user_id;
        }
        // Templates of tokens that he has already may name it.
        let new_alias = found.is_none();
        let metadata = (!claim.metadata.is_empty()).then(|| Json(claim.metadata.clone()));
        let group_names = claim.groups.as_ref().map(|names| sorted(names));
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
            Some(names) => self.outer_groups(mount, entity.id, names, (&groups, &memberships)).await?,
            None => Moves::default(),
        };
        let stays = |member: &&GroupMember| moves.go.iter().all(|gone| gone.id != member.id);
        let then: Vec<&GroupMember> = memberships.iter().filter(stays).chain(&moves.come).collect();
        let then = reached(entity.id, &then);
        let policies = policies_of(&entity, groups.iter().filter(|group| then.contains(&group.id)));
        let changed = is_new || names_him || new_alias;
        let merged_entity_ids = entity.merged_entity_ids.clone();
        let (entity_id, user_id) = (entity.id, entity.user_id);
        let entity = if changed { Some(self.next_entity(entity).await?) } else { None };
        let group_ids = groups.iter().map(|group| group.id).collect();
        Ok(Recognised {
            entity_id,
            user_id,
            merged_entity_ids,
            group_ids,
            policies,
            known_policies,
            entity,
            alias,
            moves,
        })
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
        let Some(alias) = persona.aliases.iter().find(|alias| alias.mount_id == mount.id) else { return Ok(None) };
        let Some(names) = &alias.group_names else { return Ok(None) };
        let comer = Comer { mount_id: mount.id, name: &alias.name, user_id: None, groups: names, policies: &[] };
        let rows = self.store().login_rows(token.organization_id, comer).await?;
        let memberships = self.checked_members(rows.memberships).await?;
        let groups = self.checked_groups(rows.groups).await?;
        let moves = self.outer_groups(&mount, persona.entity.id, names, (&groups, &memberships)).await?;
        Ok(Some((persona.entity.id, moves)).filter(|(_, moves)| !moves.are_none()))
    }

    /// Which external groups of this login method he comes into, and which he leaves.
    async fn outer_groups(
        &self,
        mount: &Mount,
        entity_id: Uuid,
        names: &[String],
        (groups, memberships): (&[Group], &[GroupMember]),
    ) -> Result<Moves> {
        let of_this_method = groups.iter().filter(|group| group.alias_mount_id == Some(mount.id));
        let is_named = |group: &&Group| group.alias_name.as_ref().is_some_and(|name| names.contains(name));
        let (wanted, others): (Vec<&Group>, Vec<&Group>) = of_this_method.partition(is_named);
        let direct = || memberships.iter().filter(|member| member.member_entity_id == Some(entity_id));
        let mut come = Vec::new();
        for group in wanted {
            if direct().all(|member| member.group_id != group.id) {
                come.push(self.new_member(group, Some(entity_id), None).await?);
            }
        }
        let leaves = |member: &&GroupMember| others.iter().any(|group| group.id == member.group_id);
        let go = direct().filter(leaves).cloned().collect();
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

/// Groups that a member is in, through groups too.
fn reached(member: Uuid, memberships: &[&GroupMember]) -> BTreeSet<Uuid> {
    let (mut found, mut next) = (BTreeSet::new(), vec![member]);
    while let Some(member) = next.pop() {
        let of_member = |other: &&&GroupMember| [other.member_entity_id, other.member_group_id].contains(&Some(member));
        for membership in memberships.iter().filter(of_member) {
            if found.insert(membership.group_id) {
                next.push(membership.group_id);
            }
        }
    }
    found
}

impl Recognised {
    /// Of a login that wrote who it is when it began.
    pub(crate) fn before(entity_id: Uuid, persona: &Persona, known_policies: Vec<String>) -> Self {
        Self {
            entity_id,
            user_id: persona.entity.user_id,
            merged_entity_ids: persona.entity.merged_entity_ids.clone(),
            group_ids: persona.groups.iter().map(|group| group.id).collect(),
            policies: persona.policies(),
            known_policies,
            entity: None,
            alias: None,
            moves: Moves::default(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(group: u128, entity: Option<u128>, inner: Option<u128>) -> GroupMember {
        GroupMember {
            id: Uuid::now_v7(),
            organization_id: Uuid::nil(),
            group_id: Uuid::from_u128(group),
            member_entity_id: entity.map(Uuid::from_u128),
            member_group_id: inner.map(Uuid::from_u128),
            revision: 1,
            row_mac: [0; 32],
        }
    }

    #[test]
    fn somebody_is_in_the_groups_above_his_own_also_where_they_go_in_circles_and_in_no_others() {
        let held = [
            member(1, Some(100), None),
            member(2, None, Some(1)),
            member(3, None, Some(2)),
            // No such circle can be made; one that SQL made must not hold a login up.
            member(1, None, Some(3)),
            member(4, Some(101), None),
            member(5, None, Some(4)),
        ];
        let all: Vec<&GroupMember> = held.iter().collect();
        let ids = |numbers: &[u128]| numbers.iter().map(|number| Uuid::from_u128(*number)).collect::<BTreeSet<_>>();
        assert_eq!(reached(Uuid::from_u128(100), &all), ids(&[1, 2, 3]));
        assert_eq!(reached(Uuid::from_u128(100), &all[1..]), ids(&[]));
        assert_eq!(reached(Uuid::from_u128(101), &all), ids(&[4, 5]));
    }
}

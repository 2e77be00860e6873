//! An entity with all that it holds.

use super::{Entity, EntityAlias, Group, rfc3339, shown};
use crate::access::{Subject, SubjectAlias, SubjectGroup};
use crate::core::Core;
use crate::error::Result;
use crate::mount::MountTable;
use crate::namespace::namespace_id;
use crate::store::{PersonRows, PersonaRows, entities, entity_aliases, group_members, identity_groups, users};
use crate::token::Token;
use crate::user_roles::{Assignment, HeldRole, held};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// An entity with its aliases and groups, as of one moment; each row carries its MAC.
#[derive(Clone, Debug)]
pub struct Persona {
    /// The entity.
    pub entity: Entity,
    /// By which names login methods know it.
    pub aliases: Vec<EntityAlias>,
    /// All groups that it is in, those through others too.
    pub groups: Vec<Group>,
    /// Those of them that it is in itself.
    pub direct_group_ids: Vec<Uuid>,
    /// Roles of the person that it is, those too that count at other times.
    pub(crate) roles: Vec<HeldRole>,
    /// The person's row, and those of roles: changes of them concern its tokens.
    role_row_ids: Vec<Uuid>,
}

impl Persona {
    /// Policies of the entity and of its groups, sorted.
    pub fn policies(&self) -> Vec<String> {
        policies_of(&self.entity, &self.groups)
    }

    /// As reading an entity shows it.
    pub fn data(&self, core: &Core) -> Value {
        let Entity { id, name, metadata, policies, disabled, merged_entity_ids, .. } = &self.entity;
        let mounts = core.mount_table();
        let ids = |direct: bool| {
            let ids = self.groups.iter().map(|group| group.id);
            ids.filter(|id| self.direct_group_ids.contains(id) == direct).collect::<Vec<_>>()
        };
        let (direct, inherited) = (ids(true), ids(false));
        let all = [&*direct, &*inherited].concat();
        json!({
            "aliases": self.aliases.iter().map(|alias| alias.data(&mounts)).collect::<Vec<_>>(),
            "creation_time": rfc3339(self.entity.creation_time),
            "direct_group_ids": direct,
            "disabled": disabled,
            "group_ids": all,
            "id": id,
            "inherited_group_ids": inherited,
            "last_update_time": rfc3339(self.entity.last_update_time),
            "merged_entity_ids": if merged_entity_ids.is_empty() { Value::Null } else { json!(merged_entity_ids) },
            "metadata": shown(metadata.as_ref()),
            "name": name,
            "namespace_id": namespace_id(self.entity.organization_id),
            "policies": policies,
        })
    }

    /// What templates are filled with. An alias whose login method is gone fills none.
    pub(crate) fn subject(&self, mounts: &MountTable) -> Subject {
        let texts = |texts: &Option<super::Texts>| texts.clone().map(|texts| texts.0).unwrap_or_default();
        let alias = |alias: &EntityAlias| {
            let accessor = mounts.by_id(alias.organization_id, alias.mount_id)?.accessor.clone();
            let filled = SubjectAlias {
                id: alias.id.to_string(),
                name: alias.name.clone(),
                metadata: texts(&alias.metadata),
                custom_metadata: texts(&alias.custom_metadata),
            };
            Some((accessor, filled))
        };
        let group = |group: &Group| SubjectGroup {
            id: group.id.to_string(),
            name: group.name.clone(),
            metadata: texts(&group.metadata),
        };
        Subject {
            id: self.entity.id.to_string(),
            name: self.entity.name.clone(),
            metadata: texts(&self.entity.metadata),
            aliases: self.aliases.iter().filter_map(alias).collect(),
            groups: self.groups.iter().map(group).collect(),
        }
    }

    /// Rows whose change concerns tokens of this entity.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Uuid> {
        let roles = self.role_row_ids.iter().copied();
        [self.entity.id].into_iter().chain(self.groups.iter().map(|group| group.id)).chain(roles)
    }
}

/// Policies of an entity that is in these groups, sorted.
pub(super) fn policies_of<'g>(entity: &Entity, groups: impl IntoIterator<Item = &'g Group>) -> Vec<String> {
    let of_groups = groups.into_iter().flat_map(|group| &group.policies);
    let all: BTreeSet<&String> = entity.policies.iter().chain(of_groups).collect();
    all.into_iter().cloned().collect()
}

impl Core {
    /// An entity with all that it holds, if its rows are ours. One of another's making refuses the whole: leaving it out could drop a denial.
    pub async fn persona(&self, organization_id: Uuid, entity_id: Uuid) -> Result<Option<Persona>> {
        let Some(rows) = self.store().persona(organization_id, entity_id).await? else { return Ok(None) };
        let PersonaRows { entity, aliases, memberships, groups, person } = rows;
        let check = |table, id, bytes, row_mac| self.check_known_row((table, organization_id, id), bytes, row_mac);
        check(entities::TABLE, entity.id, entities::bound_bytes(&entity), entity.row_mac).await?;
        for alias in &aliases {
            check(entity_aliases::TABLE, alias.id, entity_aliases::bound_bytes(alias), alias.row_mac).await?;
        }
        for member in &memberships {
            check(group_members::TABLE, member.id, group_members::bound_bytes(member), member.row_mac).await?;
        }
        for group in &groups {
            check(identity_groups::TABLE, group.id, identity_groups::bound_bytes(group), group.row_mac).await?;
        }
        let direct = memberships.iter().filter(|member| member.member_entity_id == Some(entity.id));
        let direct_group_ids = direct.map(|member| member.group_id).collect();
        let (roles, role_row_ids) = match person {
            Some(person) => self.roles_of(person).await?,
            None => Default::default(),
        };
        Ok(Some(Persona { entity, aliases, groups, direct_group_ids, roles, role_row_ids }))
    }

    /// The roles that a person has, and the rows that say so. Whoever may not log in has none.
    async fn roles_of(&self, PersonRows { user, given, roles }: PersonRows) -> Result<(Vec<HeldRole>, Vec<Uuid>)> {
        let which = (users::TABLE, user.organization_id, user.id);
        self.check_known_row(which, users::bound_bytes(&user), user.row_mac).await?;
        for assignment in &given {
            self.check_assignment(assignment).await?;
        }
        self.check_roles(&roles).await?;
        let ids = [user.id].into_iter().chain(roles.iter().map(|role| role.id)).collect();
        let given: Vec<_> = given.iter().filter(|_| user.may_log_in()).map(Assignment::given).collect();
        Ok((held(&given, roles), ids))
    }

    /// Policies that a token has because of who bears it, sorted.
    pub async fn identity_policies(&self, token: &Token) -> Result<Vec<String>> {
        let Some(entity_id) = token.entity_id else { return Ok(Vec::new()) };
        let persona = self.persona(token.organization_id, entity_id).await?;
        Ok(persona.map(|persona| persona.policies()).unwrap_or_default())
    }
}

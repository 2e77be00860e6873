//! Groups: finding and showing them.

use super::{Texts, rfc3339, shown};
use crate::core::Core;
use crate::error::Result;
use crate::namespace::namespace_id;
use crate::store::{group_members, identity_groups};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The word for groups whose members administrators name.
pub(super) const INTERNAL: &str = "internal";
/// The word for groups whose members a login method names.
pub(super) const EXTERNAL: &str = "external";

/// A group, as stored.
#[derive(Clone, Debug)]
pub struct Group {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// Its name; one in an organization.
    pub name: String,
    /// `internal` or `external`.
    pub group_type: String,
    /// What was written on it.
    pub metadata: Option<Texts>,
    /// Sorted, lower case.
    pub policies: Vec<String>,
    /// Of an external one.
    pub alias_id: Option<Uuid>,
    /// The login method that names its members.
    pub alias_mount_id: Option<Uuid>,
    /// By which name.
    pub alias_name: Option<String>,
    /// When it was made.
    pub creation_time: DateTime<Utc>,
    /// When it was changed last.
    pub last_update_time: DateTime<Utc>,
    /// Grows with each change.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// That an entity, or a group, is in a group, as stored.
#[derive(Clone, Debug)]
pub struct GroupMember {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// The group.
    pub group_id: Uuid,
    /// Who is in it: an entity,
    pub member_entity_id: Option<Uuid>,
    /// or a group.
    pub member_group_id: Option<Uuid>,
    /// Always 1: a membership is not changed.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// A group with those that are in it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The group.
    pub group: Group,
    pub(super) members: Vec<GroupMember>,
    parents: Vec<Uuid>,
}

impl GroupView {
    pub(super) fn entity_ids(&self) -> Vec<Uuid> {
        self.members.iter().filter_map(|member| member.member_entity_id).collect()
    }

    pub(super) fn group_ids(&self) -> Vec<Uuid> {
        self.members.iter().filter_map(|member| member.member_group_id).collect()
    }

    /// As reading a group shows it.
    pub fn data(&self, core: &Core) -> Value {
        let some = |ids: &[Uuid]| if ids.is_empty() { Value::Null } else { json!(ids) };
        let group = &self.group;
        json!({
            "alias": group.alias_data(core).unwrap_or_else(|| json!({})),
            "creation_time": rfc3339(group.creation_time),
            "id": group.id,
            "last_update_time": rfc3339(group.last_update_time),
            "member_entity_ids": self.entity_ids(),
            "member_group_ids": some(&self.group_ids()),
            "metadata": shown(group.metadata.as_ref()),
            "modify_index": group.revision,
            "name": group.name,
            "namespace_id": namespace_id(group.organization_id),
            "parent_group_ids": some(&self.parents),
            "policies": group.policies,
            "type": group.group_type,
        })
    }
}

impl Core {
    /// A group with those that are in it, if the rows are ours.
    pub async fn group_view(&self, organization_id: Uuid, id: Uuid) -> Result<Option<GroupView>> {
        let Some(group) = self.group(organization_id, id).await? else { return Ok(None) };
        let members = self.checked_members(self.store().group_members(organization_id, id).await?).await?;
        let held = self.store().memberships(organization_id, id).await?;
        let direct = held.into_iter().filter(|member| member.member_group_id == Some(id));
        let parents = direct.map(|member| member.group_id).collect();
        Ok(Some(GroupView { group, members, parents }))
    }

    /// Which group has the name.
    pub async fn group_id_by_name(&self, organization_id: Uuid, name: &str) -> Result<Option<Uuid>> {
        Ok(self.store().group_id(organization_id, Some(name), None).await?)
    }

    /// Groups of an organization, by name.
    pub async fn list_groups(&self, organization_id: Uuid) -> Result<Vec<Group>> {
        Ok(self.store().all_groups(organization_id).await?)
    }

    pub(super) async fn group(&self, organization_id: Uuid, id: Uuid) -> Result<Option<Group>> {
        let found = self.store().groups(organization_id, &[id]).await?;
        Ok(self.checked_groups(found).await?.pop())
    }

    pub(super) async fn checked_groups(&self, groups: Vec<Group>) -> Result<Vec<Group>> {
        for group in &groups {
            let which = (identity_groups::TABLE, group.organization_id, group.id);
            self.check_known_row(which, identity_groups::bound_bytes(group), group.row_mac).await?;
        }
        Ok(groups)
    }

    pub(super) async fn checked_members(&self, members: Vec<GroupMember>) -> Result<Vec<GroupMember>> {
        for member in &members {
            let which = (group_members::TABLE, member.organization_id, member.id);
            self.check_known_row(which, group_members::bound_bytes(member), member.row_mac).await?;
        }
        Ok(members)
    }

    /// The next revision of a group, with its MAC.
    pub(super) async fn next_group(&self, mut group: Group) -> Result<Group> {
        group.revision += 1;
        group.row_mac = self.row_mac(identity_groups::bound_bytes(&group)).await?;
        Ok(group)
    }

    /// A membership that is not written yet.
    pub(super) async fn new_member(
        &self,
        group: &Group,
        member_entity_id: Option<Uuid>,
        member_group_id: Option<Uuid>,
    ) -> Result<GroupMember> {
        let mut member = GroupMember {
            id: Uuid::now_v7(),
            organization_id: group.organization_id,
            group_id: group.id,
            member_entity_id,
            member_group_id,
            revision: 1,
            row_mac: [0; 32],
        };
        member.row_mac = self.row_mac(group_members::bound_bytes(&member)).await?;
        Ok(member)
    }
}

//! By which name a login method names the members of an external group.

use super::group::EXTERNAL;
use super::{ATTEMPTS, Group, checked_name};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::namespace::namespace_id;
use crate::record::add_rows;
use crate::store::{StoreError, identity_groups};
use audit_chain::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

/// Fields of `POST identity/group-alias`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct GroupAliasChange {
    /// One that is there.
    pub id: Option<Uuid>,
    pub name: Option<String>,
    pub canonical_id: Option<Uuid>,
    pub mount_accessor: Option<String>,
}

impl Group {
    /// Its alias, as reading one shows it.
    pub(crate) fn alias_data(&self, core: &Core) -> Option<Value> {
        let (id, mount_id, name) = (self.alias_id?, self.alias_mount_id?, self.alias_name.as_ref()?);
        let mount = core.mount_table().by_id(self.organization_id, mount_id);
        Some(json!({
            "canonical_id": self.id,
            "creation_time": super::rfc3339(self.creation_time),
            "id": id,
            "last_update_time": super::rfc3339(self.last_update_time),
            "merged_from_canonical_ids": null,
            "metadata": null,
            "mount_accessor": mount.as_ref().map(|mount| mount.accessor.clone()).unwrap_or_default(),
            "mount_path": mount.as_ref().map(|mount| format!("auth/{}", mount.path)).unwrap_or_default(),
            "mount_type": mount.as_ref().map(|mount| mount.mount_type.clone()).unwrap_or_default(),
            "name": name,
            "namespace_id": namespace_id(self.organization_id),
        }))
    }
}

impl Core {
    /// Gives an external group its alias, or changes it; without a group, a new one has it.
    pub async fn put_group_alias(&self, caller: &Caller, change: GroupAliasChange) -> Result<Group> {
        for _ in 0..ATTEMPTS {
            match self.put_group_alias_once(caller, &change).await {
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { .. })) => {
                    return Err(Error::invalid("the name belongs to another group of this mount"));
                }
                other => return other,
            }
        }
        Err(Error::Conflict("group"))
    }

    async fn put_group_alias_once(&self, caller: &Caller, change: &GroupAliasChange) -> Result<Group> {
        let organization_id = caller.organization_id;
        let id = match (change.id, change.canonical_id) {
            (Some(alias_id), _) => {
                let id = self.store().group_id(organization_id, None, Some(alias_id)).await?;
                Some(id.ok_or_else(|| Error::invalid("invalid group alias ID"))?)
            }
            (None, id) => id,
        };
        let mut group = match id {
            Some(id) => self.group(organization_id, id).await?.ok_or_else(|| Error::invalid("invalid canonical ID"))?,
            None => return Err(Error::invalid("missing canonical_id: the external group that is meant")),
        };
        if group.group_type != EXTERNAL {
            return Err(Error::invalid("alias can't be set on an internal group"));
        }
        if let Some(accessor) = &change.mount_accessor {
            group.alias_mount_id = Some(self.login_mount(organization_id, accessor)?.id);
        }
        if let Some(name) = change.name.as_ref().filter(|name| !name.is_empty()) {
            checked_name(name, "an alias")?;
            group.alias_name = Some(name.clone());
        }
        if group.alias_name.is_none() {
            return Err(Error::invalid("missing alias name"));
        }
        if group.alias_mount_id.is_none() {
            return Err(Error::invalid("missing mount_accessor"));
        }
        group.alias_id.get_or_insert_with(Uuid::new_v4);
        group.last_update_time = self.now();
        self.write_alias_of(caller, group, "group_alias.write", "update").await
    }

    /// Takes a group's alias away; who is in the group stays in it. `false`: there was none.
    pub async fn delete_group_alias(&self, caller: &Caller, alias_id: Uuid) -> Result<bool> {
        let organization_id = caller.organization_id;
        let Some(id) = self.store().group_id(organization_id, None, Some(alias_id)).await? else { return Ok(false) };
        let Some(mut group) = self.group(organization_id, id).await? else { return Ok(false) };
        (group.alias_id, group.alias_mount_id, group.alias_name) = (None, None, None);
        group.last_update_time = self.now();
        self.write_alias_of(caller, group, "group_alias.delete", "delete").await?;
        Ok(true)
    }

    /// The group that has this alias.
    pub async fn group_by_alias_id(&self, organization_id: Uuid, alias_id: Uuid) -> Result<Option<Group>> {
        match self.store().group_id(organization_id, None, Some(alias_id)).await? {
            Some(id) => self.group(organization_id, id).await,
            None => Ok(None),
        }
    }

    /// The group that a login method knows by this name.
    pub async fn group_id_by_alias(&self, organization_id: Uuid, accessor: &str, name: &str) -> Result<Option<Uuid>> {
        let mount = self.mount_table().by_accessor(organization_id, accessor);
        let Some(mount) = mount else { return Ok(None) };
        let found = self.store().groups_by_alias(organization_id, mount.id, &[name.to_owned()]).await?;
        Ok(found.first().map(|group| group.id))
    }

    /// As reading an alias of a group shows it.
    pub fn group_alias_data(&self, group: &Group) -> Option<Value> {
        group.alias_data(self)
    }

    async fn write_alias_of(
        &self,
        caller: &Caller,
        group: Group,
        event_type: &'static str,
        action: &'static str,
    ) -> Result<Group> {
        let group = self.next_group(group).await?;
        let who = ("group", Some(group.id.to_string()));
        let mut event = self.event(caller, event_type, "user_management", who, action);
        if let Some(name) = &group.alias_name {
            event.data.insert("name".into(), audit_chain::Value::Text(name.clone().into()));
        }
        add_rows(&mut event, [(identity_groups::TABLE, group.id, group.revision, group.row_mac)]);
        let row = group.clone();
        self.change(group.organization_id, move |connection| {
            Box::pin(async move { identity_groups::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(group)
    }
}

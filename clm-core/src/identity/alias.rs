//! By which name a login method knows an entity.

use super::{ATTEMPTS, Entity, Texts, checked_name, rfc3339, shown};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::{Mount, MountClass, MountTable};
use crate::namespace::namespace_id;
use crate::record::add_rows;
use crate::store::{StoreError, entities, entity_aliases};
use audit_chain::Caller;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// An alias, as stored.
#[derive(Clone, Debug)]
pub struct EntityAlias {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// Whose it is.
    pub entity_id: Uuid,
    /// The login method.
    pub mount_id: Uuid,
    /// The name there.
    pub name: String,
    /// What the login method said at the last login.
    pub metadata: Option<Texts>,
    /// What administrators wrote on it.
    pub custom_metadata: Option<Texts>,
    /// Groups that the login method named at the last login, sorted; `None`: it never named any.
    pub group_names: Option<Vec<String>>,
    /// Entities that it came from when they became another, the last one last.
    pub merged_from_entity_ids: Vec<Uuid>,
    /// When it was made.
    pub creation_time: DateTime<Utc>,
    /// When it was changed last.
    pub last_update_time: DateTime<Utc>,
    /// Grows with each change.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// Fields of `POST identity/entity-alias`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct AliasChange {
    /// One that is there.
    pub id: Option<Uuid>,
    pub name: Option<String>,
    pub canonical_id: Option<Uuid>,
    pub mount_accessor: Option<String>,
    pub custom_metadata: Option<BTreeMap<String, String>>,
}

impl EntityAlias {
    /// As reading one shows it.
    pub(crate) fn data(&self, mounts: &MountTable) -> Value {
        let mount = mounts.by_id(self.organization_id, self.mount_id);
        let of_mount = |text: fn(&Mount) -> String| mount.as_deref().map(text).unwrap_or_default();
        let from = &self.merged_from_entity_ids;
        json!({
            "canonical_id": self.entity_id,
            "creation_time": rfc3339(self.creation_time),
            "custom_metadata": shown(self.custom_metadata.as_ref()),
            "id": self.id,
            "last_update_time": rfc3339(self.last_update_time),
            "local": false,
            "merged_from_canonical_ids": if from.is_empty() { Value::Null } else { json!(from) },
            "metadata": shown(self.metadata.as_ref()),
            "mount_accessor": of_mount(|mount| mount.accessor.clone()),
            "mount_path": of_mount(|mount| format!("auth/{}", mount.path)),
            "mount_type": of_mount(|mount| mount.mount_type.clone()),
            "name": self.name,
            "namespace_id": namespace_id(self.organization_id),
        })
    }
}

impl Core {
    /// Makes an alias or changes what is named; without an entity, a new one has it.
    pub async fn put_alias(&self, caller: &Caller, change: AliasChange) -> Result<EntityAlias> {
        for _ in 0..ATTEMPTS {
            match self.put_alias_once(caller, &change).await {
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { constraint })) if constraint.contains("entity_id_mount_id") => {
                    return Err(Error::invalid(
                        "Entity already has an alias for this mount; delete it first, or merge the entities",
                    ));
                }
                Err(Error::Database(StoreError::Taken { .. })) if change.id.is_some() => {
                    return Err(Error::invalid("the name belongs to another alias of this mount"));
                }
                Err(Error::Database(StoreError::Taken { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("alias"))
    }

    async fn put_alias_once(&self, caller: &Caller, change: &AliasChange) -> Result<EntityAlias> {
        let organization_id = caller.organization_id;
        let now = self.now();
        let found = match change.id {
            Some(id) => {
                let alias = self.alias(organization_id, id).await?;
                Some(alias.ok_or_else(|| Error::invalid("invalid alias ID"))?)
            }
            None => None,
        };
        let mount_id = match (&change.mount_accessor, &found) {
            (Some(accessor), _) => self.login_mount(organization_id, accessor)?.id,
            (None, Some(alias)) => alias.mount_id,
            (None, None) => return Err(Error::invalid("missing mount_accessor")),
        };
        let name = change.name.as_ref().filter(|name| !name.is_empty());
        let name = name.cloned().or_else(|| found.as_ref().map(|alias| alias.name.clone()));
        let name = name.ok_or_else(|| Error::invalid("missing alias name"))?;
        checked_name(&name, "an alias")?;
        let found = match found {
            Some(alias) => Some(alias),
            None => self.alias_named(organization_id, mount_id, &name).await?,
        };
        let (entity, is_new) = match (change.canonical_id, &found) {
            (Some(id), _) => {
                let entity = self.entity(organization_id, id).await?;
                (entity.ok_or_else(|| Error::invalid("invalid canonical ID"))?, false)
            }
            (None, Some(alias)) => {
                let entity = self.entity(organization_id, alias.entity_id).await?;
                (entity.ok_or(Error::Conflict("alias"))?, false)
            }
            (None, None) => (Entity::new(organization_id, Entity::random_name(), now), true),
        };
        let mut alias = found.unwrap_or_else(|| EntityAlias::new(&entity, mount_id, &name, now));
        let left = (alias.entity_id != entity.id).then_some(alias.entity_id);
        (alias.entity_id, alias.mount_id, alias.name) = (entity.id, mount_id, name);
        if let Some(custom) = &change.custom_metadata {
            alias.custom_metadata = Some(Json(custom.clone()));
        }
        alias.last_update_time = now;
        let alias = self.next_alias(alias).await?;
        // Written even where only the alias changes: of a new alias the entity's row tells.
        let entity = self.next_entity(Entity { last_update_time: now, ..entity }).await?;
        let action = if alias.revision == 1 { "create" } else { "update" };
        let who = ("entity_alias", Some(alias.id.to_string()));
        let mut event = self.event(caller, "entity_alias.write", "user_management", who, action);
        event.data.insert("name".into(), audit_chain::Value::Text(alias.name.clone().into()));
        event.data.insert("entity_id".into(), audit_chain::Value::Text(entity.id.to_string().into()));
        event.data.insert("entity_is_new".into(), audit_chain::Value::Bool(is_new));
        let rows = [
            (entities::TABLE, entity.id, entity.revision, entity.row_mac),
            (entity_aliases::TABLE, alias.id, alias.revision, alias.row_mac),
        ];
        add_rows(&mut event, rows);
        let (row, entity_id) = (alias.clone(), entity.id);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                entities::put(connection, &entity).await?;
                entity_aliases::put(connection, &row).await.map(|()| ((), event))
            })
        })
        .await?;
        self.cache().forget(entity_id);
        left.into_iter().for_each(|entity_id| self.cache().forget(entity_id));
        Ok(alias)
    }

    /// Deletes an alias. `false`: there was none.
    pub async fn delete_alias(&self, caller: &Caller, id: Uuid) -> Result<bool> {
        let Some(alias) = self.alias(caller.organization_id, id).await? else { return Ok(false) };
        let who = ("entity_alias", Some(alias.id.to_string()));
        let mut event = self.event(caller, "entity_alias.delete", "user_management", who, "delete");
        let entity_id = alias.entity_id;
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move {
                let gone = entity_aliases::delete(connection, &alias).await?;
                add_rows(&mut event, [gone]);
                Ok(((), event))
            })
        })
        .await?;
        self.cache().forget(entity_id);
        Ok(true)
    }

    /// As reading an alias shows it.
    pub async fn alias_data(&self, organization_id: Uuid, id: Uuid) -> Result<Option<Value>> {
        let alias = self.alias(organization_id, id).await?;
        Ok(alias.map(|alias| alias.data(&self.mount_table())))
    }

    /// Ids and what is worth saying of each.
    pub async fn list_aliases(&self, organization_id: Uuid) -> Result<Vec<(Uuid, Value)>> {
        let mounts = self.mount_table();
        let aliases = self.store().entity_aliases(organization_id).await?;
        let told = |alias: &EntityAlias| {
            let mut data = alias.data(&mounts);
            let words =
                ["canonical_id", "custom_metadata", "local", "mount_accessor", "mount_path", "mount_type", "name"];
            if let Some(data) = data.as_object_mut() {
                data.retain(|name, _| words.contains(&name.as_str()));
            }
            (alias.id, data)
        };
        Ok(aliases.iter().map(told).collect())
    }

    /// The entity that a login method knows by this name.
    pub async fn entity_id_by_alias(&self, organization_id: Uuid, accessor: &str, name: &str) -> Result<Option<Uuid>> {
        let mount = self.mount_table().by_accessor(organization_id, accessor);
        let Some(mount) = mount else { return Ok(None) };
        Ok(self.alias_named(organization_id, mount.id, name).await?.map(|alias| alias.entity_id))
    }

    /// The entity that an alias belongs to.
    pub async fn entity_id_by_alias_id(&self, organization_id: Uuid, id: Uuid) -> Result<Option<Uuid>> {
        Ok(self.alias(organization_id, id).await?.map(|alias| alias.entity_id))
    }

    /// An alias by id, if its row is ours.
    pub(super) async fn alias(&self, organization_id: Uuid, id: Uuid) -> Result<Option<EntityAlias>> {
        self.checked_alias(self.store().entity_alias(organization_id, id).await?).await
    }

    /// An alias by name, likewise.
    pub(super) async fn alias_named(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &str,
    ) -> Result<Option<EntityAlias>> {
        self.checked_alias(self.store().entity_alias_by_name(organization_id, mount_id, name).await?).await
    }

    pub(super) async fn checked_alias(&self, found: Option<EntityAlias>) -> Result<Option<EntityAlias>> {
        let Some(alias) = found else { return Ok(None) };
        let which = (entity_aliases::TABLE, alias.organization_id, alias.id);
        self.check_known_row(which, entity_aliases::bound_bytes(&alias), alias.row_mac).await?;
        Ok(Some(alias))
    }

    /// The next revision of an alias, with its MAC.
    pub(super) async fn next_alias(&self, mut alias: EntityAlias) -> Result<EntityAlias> {
        alias.revision += 1;
        alias.row_mac = self.row_mac(entity_aliases::bound_bytes(&alias)).await?;
        Ok(alias)
    }

    pub(super) fn login_mount(&self, organization_id: Uuid, accessor: &str) -> Result<Arc<Mount>> {
        let mount = self.mount_table().by_accessor(organization_id, accessor);
        let mount = mount.filter(|mount| mount.class == MountClass::Auth);
        mount.ok_or_else(|| Error::invalid(format!("invalid mount accessor {accessor:?}")))
    }
}

impl EntityAlias {
    pub(super) fn new(entity: &Entity, mount_id: Uuid, name: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::new_v4(),
            organization_id: entity.organization_id,
            entity_id: entity.id,
            mount_id,
            name: name.to_owned(),
            metadata: None,
            custom_metadata: None,
            group_names: None,
            merged_from_entity_ids: Vec::new(),
            creation_time: now,
            last_update_time: now,
            revision: 0,
            row_mac: [0; 32],
        }
    }
}

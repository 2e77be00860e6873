//! Making, changing and finding entities.

use super::{ATTEMPTS, Texts, checked_name, checked_policies};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{StoreError, entities};
use audit_chain::Caller;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A person or a program, as stored.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Row id.
    pub id: Uuid,
    /// Organization it belongs to.
    pub organization_id: Uuid,
    /// The person, where it is one.
    pub user_id: Option<Uuid>,
    /// Its name; one in an organization.
    pub name: String,
    /// What was written on it.
    pub metadata: Option<Texts>,
    /// Sorted, lower case.
    pub policies: Vec<String>,
    /// Its tokens are good for nothing.
    pub disabled: bool,
    /// Entities that became this one.
    pub merged_entity_ids: Vec<Uuid>,
    /// When it was made.
    pub creation_time: DateTime<Utc>,
    /// When it was changed last.
    pub last_update_time: DateTime<Utc>,
    /// Grows with each change.
    pub revision: i64,
    pub(crate) row_mac: [u8; 32],
}

/// Which entity is to be changed, or made.
#[derive(Clone, Debug)]
pub enum EntityName {
    /// One that is there; else 400.
    Id(Uuid),
    /// One that is there, or a new one.
    Name(String),
    /// A new one under a random name.
    Random,
}

/// Fields of `POST identity/entity`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct EntityChange {
    /// Another name, of an entity found by its id.
    pub name: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

impl Entity {
    pub(crate) fn new(organization_id: Uuid, name: String, now: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::new_v4(),
            organization_id,
            user_id: None,
            name,
            metadata: None,
            policies: Vec::new(),
            disabled: false,
            merged_entity_ids: Vec::new(),
            creation_time: now,
            last_update_time: now,
            revision: 0,
            row_mac: [0; 32],
        }
    }

    /// `entity_` and 8 hexadecimal digits, as clients know them.
    pub(crate) fn random_name() -> String {
        format!("entity_{}", hex::encode(&Uuid::new_v4().as_bytes()[..4]))
    }
}

impl Core {
    /// Makes an entity or changes what is named; `true`: it is new.
    pub async fn put_entity(&self, caller: &Caller, which: EntityName, change: EntityChange) -> Result<(Entity, bool)> {
        for _ in 0..ATTEMPTS {
            match self.put_entity_once(caller, &which, &change).await {
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { .. })) if matches!(which, EntityName::Id(_)) => {
                    return Err(Error::invalid("the name belongs to another entity"));
                }
                // Somebody else made it meanwhile; it is changed then.
                Err(Error::Database(StoreError::Taken { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("entity"))
    }

    async fn put_entity_once(
        &self,
        caller: &Caller,
        which: &EntityName,
        change: &EntityChange,
    ) -> Result<(Entity, bool)> {
        let organization_id = caller.organization_id;
        let found = match which {
            EntityName::Id(id) => {
                let entity = self.entity(organization_id, *id).await?;
                Some(entity.ok_or_else(|| Error::invalid("entity not found from id"))?)
            }
            EntityName::Name(name) => match self.store().entity_id_by_name(organization_id, name).await? {
                Some(id) => self.entity(organization_id, id).await?,
                None => None,
            },
            EntityName::Random => None,
        };
        let now = self.now();
        let is_new = found.is_none();
        let mut entity = found.unwrap_or_else(|| {
            let name = if let EntityName::Name(name) = which { name.clone() } else { Entity::random_name() };
            Entity::new(organization_id, name, now)
        });
        if let Some(name) = change.name.as_ref().filter(|name| !name.is_empty()) {
            entity.name.clone_from(name);
        }
        checked_name(&entity.name, "an entity")?;
        if let Some(metadata) = &change.metadata {
            entity.metadata = Some(sqlx::types::Json(metadata.clone()));
        }
        if let Some(policies) = &change.policies {
            entity.policies = checked_policies(policies)?;
        }
        entity.disabled = change.disabled.unwrap_or(entity.disabled);
        entity.last_update_time = now;
        let entity = self.next_entity(entity).await?;
        let who = ("entity", Some(entity.id.to_string()));
        let action = if is_new { "create" } else { "update" };
        let mut event = self.event(caller, "entity.write", "user_management", who, action);
        event.data.insert("name".into(), audit_chain::Value::Text(entity.name.clone().into()));
        event.data.insert("disabled".into(), audit_chain::Value::Bool(entity.disabled));
        add_rows(&mut event, [(entities::TABLE, entity.id, entity.revision, entity.row_mac)]);
        let row = entity.clone();
        self.change(organization_id, move |connection| {
            Box::pin(async move { entities::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        self.cache().forget(entity.id);
        Ok((entity, is_new))
    }

    /// An entity by id, if its row is ours.
    pub(crate) async fn entity(&self, organization_id: Uuid, id: Uuid) -> Result<Option<Entity>> {
        self.checked_entity(self.store().entity(organization_id, id).await?).await
    }

    pub(super) async fn checked_entity(&self, found: Option<Entity>) -> Result<Option<Entity>> {
        let Some(entity) = found else { return Ok(None) };
        let which = (entities::TABLE, entity.organization_id, entity.id);
        self.check_known_row(which, entities::bound_bytes(&entity), entity.row_mac).await?;
        Ok(Some(entity))
    }

    /// The next revision of an entity, with its MAC.
    pub(super) async fn next_entity(&self, mut entity: Entity) -> Result<Entity> {
        entity.revision += 1;
        entity.row_mac = self.row_mac(entities::bound_bytes(&entity)).await?;
        Ok(entity)
    }

    /// Which entity has the name.
    pub async fn entity_id_by_name(&self, organization_id: Uuid, name: &str) -> Result<Option<Uuid>> {
        Ok(self.store().entity_id_by_name(organization_id, name).await?)
    }

    /// Ids and names, by name.
    pub async fn list_entities(&self, organization_id: Uuid) -> Result<Vec<(Uuid, String)>> {
        Ok(self.store().entity_names(organization_id).await?)
    }
}

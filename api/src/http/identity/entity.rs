//! Entities.

use super::{captured_id, given, given_id, given_ids, written};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use clm_core::{EntityChange, EntityMerge, EntityName};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(super) async fn write(call: Call) -> Result<Answer> {
    let (which, name) = written(&call.parameters)?;
    put(&call, which, name).await
}

pub(super) async fn write_by_id(call: Call) -> Result<Answer> {
    let id = Uuid::try_parse(call.capture("id")).map_err(|_| Error::invalid("entity not found from id"))?;
    put(&call, EntityName::Id(id), given(&call.parameters, "name")?).await
}

pub(super) async fn write_by_name(call: Call) -> Result<Answer> {
    put(&call, EntityName::Name(call.capture("name").to_owned()), None).await
}

async fn put(call: &Call, which: EntityName, name: Option<String>) -> Result<Answer> {
    let by_id = matches!(which, EntityName::Id(_));
    let change = EntityChange { name, ..change(&call.parameters)? };
    let (entity, is_new) = call.context.services.core.put_entity(&call.context.caller, which, change).await?;
    if by_id || !is_new {
        return Ok(Answer::nothing());
    }
    Ok(Answer::data(json!({ "aliases": null, "id": entity.id, "name": entity.name })))
}

fn change(parameters: &Parameters) -> Result<EntityChange> {
    Ok(EntityChange {
        name: None,
        metadata: parameters.texts("metadata")?,
        policies: parameters.list("policies")?,
        disabled: parameters.flag("disabled")?,
    })
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    shown(&call, captured_id(&call)).await
}

pub(super) async fn read_by_name(call: Call) -> Result<Answer> {
    let id = id_by_name(&call).await?;
    shown(&call, id).await
}

/// An entity by its id, or nothing.
pub(super) async fn shown(call: &Call, id: Option<Uuid>) -> Result<Answer> {
    let Some(id) = id else { return Ok(Answer::nothing()) };
    let core = &call.context.services.core;
    let persona = core.persona(call.context.caller.organization_id, id).await?;
    Ok(persona.map_or_else(Answer::nothing, |persona| Answer::data(persona.data(core))))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    remove(&call, captured_id(&call)).await
}

pub(super) async fn delete_by_name(call: Call) -> Result<Answer> {
    let id = id_by_name(&call).await?;
    remove(&call, id).await
}

async fn remove(call: &Call, id: Option<Uuid>) -> Result<Answer> {
    if let Some(id) = id {
        call.context.services.core.delete_entity(&call.context.caller, id).await?;
    }
    Ok(Answer::nothing())
}

pub(super) async fn batch_delete(call: Call) -> Result<Answer> {
    let ids = given_ids(&call.parameters, "entity_ids")?.unwrap_or_default();
    if ids.is_empty() {
        return Err(Error::invalid("no entity_ids supplied"));
    }
    call.context.services.core.delete_entities(&call.context.caller, &ids).await?;
    Ok(Answer::nothing())
}

pub(super) async fn merge(call: Call) -> Result<Answer> {
    let ids = |name| Ok::<_, Error>(given_ids(&call.parameters, name)?.unwrap_or_default());
    let to_entity_id = given_id(&call.parameters, "to_entity_id")?;
    let merge = EntityMerge {
        from_entity_ids: ids("from_entity_ids")?,
        to_entity_id: to_entity_id.ok_or_else(|| Error::invalid("missing entity id to merge to"))?,
        conflicting_alias_ids_to_keep: ids("conflicting_alias_ids_to_keep")?,
        force: call.parameters.flag("force")?.unwrap_or(false),
    };
    call.context.services.core.merge_entities(&call.context.caller, &merge).await?;
    Ok(Answer::nothing())
}

pub(super) async fn list_ids(call: Call) -> Result<Answer> {
    let entities = call.context.services.core.list_entities(call.context.caller.organization_id).await?;
    Ok(with_info(entities.into_iter().map(|(id, name)| (id, json!({ "name": name })))))
}

pub(super) async fn list_names(call: Call) -> Result<Answer> {
    let entities = call.context.services.core.list_entities(call.context.caller.organization_id).await?;
    Ok(Answer::keys(entities.into_iter().map(|(_, name)| name).collect()))
}

/// `keys` and `key_info`.
pub(super) fn with_info(all: impl Iterator<Item = (Uuid, Value)>) -> Answer {
    let key_info: Map<String, Value> = all.map(|(id, info)| (id.to_string(), info)).collect();
    if key_info.is_empty() {
        return Answer::nothing();
    }
    Answer::data(json!({ "keys": key_info.keys().collect::<Vec<_>>(), "key_info": key_info }))
}

async fn id_by_name(call: &Call) -> Result<Option<Uuid>> {
    let organization_id = call.context.caller.organization_id;
    Ok(call.context.services.core.entity_id_by_name(organization_id, call.capture("name")).await?)
}

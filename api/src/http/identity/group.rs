//! Groups.

use super::{captured_id, given, given_ids, written};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::{EntityName, GroupChange};
use serde_json::json;
use uuid::Uuid;

pub(super) async fn write(call: Call) -> Result<Answer> {
    let (which, name) = written(&call.parameters)?;
    put(&call, which, name).await
}

pub(super) async fn write_by_id(call: Call) -> Result<Answer> {
    let id = Uuid::try_parse(call.capture("id")).map_err(|_| Error::invalid("invalid group ID"))?;
    put(&call, EntityName::Id(id), given(&call.parameters, "name")?).await
}

pub(super) async fn write_by_name(call: Call) -> Result<Answer> {
    put(&call, EntityName::Name(call.capture("name").to_owned()), None).await
}

async fn put(call: &Call, which: EntityName, name: Option<String>) -> Result<Answer> {
    let parameters = &call.parameters;
    let change = GroupChange {
        name,
        group_type: given(parameters, "type")?,
        metadata: parameters.texts("metadata")?,
        policies: parameters.list("policies")?,
        member_entity_ids: given_ids(parameters, "member_entity_ids")?,
        member_group_ids: given_ids(parameters, "member_group_ids")?,
    };
    let (group, is_new) = call.context.services.core.put_group(&call.context.caller, which, change).await?;
    if !is_new {
        return Ok(Answer::nothing());
    }
    Ok(Answer::data(json!({ "id": group.id, "name": group.name })))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    shown(&call, captured_id(&call)).await
}

pub(super) async fn read_by_name(call: Call) -> Result<Answer> {
    let id = id_by_name(&call).await?;
    shown(&call, id).await
}

/// A group by its id, or nothing.
pub(super) async fn shown(call: &Call, id: Option<Uuid>) -> Result<Answer> {
    let Some(id) = id else { return Ok(Answer::nothing()) };
    let core = &call.context.services.core;
    let view = core.group_view(call.context.caller.organization_id, id).await?;
    Ok(view.map_or_else(Answer::nothing, |view| Answer::data(view.data(core))))
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
        call.context.services.core.delete_group(&call.context.caller, id).await?;
    }
    Ok(Answer::nothing())
}

pub(super) async fn list_ids(call: Call) -> Result<Answer> {
    let groups = call.context.services.core.list_groups(call.context.caller.organization_id).await?;
    Ok(super::entity::with_info(groups.into_iter().map(|group| (group.id, json!({ "name": group.name })))))
}

pub(super) async fn list_names(call: Call) -> Result<Answer> {
    let groups = call.context.services.core.list_groups(call.context.caller.organization_id).await?;
    Ok(Answer::keys(groups.into_iter().map(|group| group.name).collect()))
}

async fn id_by_name(call: &Call) -> Result<Option<Uuid>> {
    let organization_id = call.context.caller.organization_id;
    Ok(call.context.services.core.group_id_by_name(organization_id, call.capture("name")).await?)
}

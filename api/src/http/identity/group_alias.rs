//! Aliases of external groups.

use super::{given, given_id};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::GroupAliasChange;
use serde_json::json;
use uuid::Uuid;

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let captured = Some(call.capture("id")).filter(|id| !id.is_empty());
    let id = match captured {
        Some(id) => Some(Uuid::try_parse(id).map_err(|_| Error::invalid("invalid group alias ID"))?),
        None => given_id(parameters, "id")?,
    };
    let change = GroupAliasChange {
        id,
        name: given(parameters, "name")?,
        canonical_id: given_id(parameters, "canonical_id")?,
        mount_accessor: given(parameters, "mount_accessor")?,
    };
    let group = call.context.services.core.put_group_alias(&call.context.caller, change).await?;
    Ok(Answer::data(json!({ "canonical_id": group.id, "id": group.alias_id })))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let Ok(id) = Uuid::try_parse(call.capture("id")) else { return Ok(Answer::nothing()) };
    let core = &call.context.services.core;
    let group = core.group_by_alias_id(call.context.caller.organization_id, id).await?;
    Ok(group.and_then(|group| core.group_alias_data(&group)).map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    if let Ok(id) = Uuid::try_parse(call.capture("id")) {
        call.context.services.core.delete_group_alias(&call.context.caller, id).await?;
    }
    Ok(Answer::nothing())
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    let groups = core.list_groups(call.context.caller.organization_id).await?;
    Ok(super::entity::with_info(
        groups.iter().filter_map(|group| Some((group.alias_id?, core.group_alias_data(group)?))),
    ))
}

//! Aliases of entities.

use super::{given, given_id};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::AliasChange;
use serde_json::json;
use uuid::Uuid;

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let captured = Some(call.capture("id")).filter(|id| !id.is_empty());
    let id = match captured {
        Some(id) => Some(Uuid::try_parse(id).map_err(|_| Error::invalid("invalid alias ID"))?),
        None => given_id(parameters, "id")?,
    };
    let canonical_id = given(parameters, "canonical_id")?.or(given(parameters, "entity_id")?);
    let canonical_id = canonical_id.map(|id| Uuid::try_parse(&id).map_err(|_| Error::invalid("invalid canonical ID")));
    let change = AliasChange {
        id,
        name: given(parameters, "name")?,
        canonical_id: canonical_id.transpose()?,
        mount_accessor: given(parameters, "mount_accessor")?,
        custom_metadata: parameters.texts("custom_metadata")?,
    };
    let alias = call.context.services.core.put_alias(&call.context.caller, change).await?;
    Ok(Answer::data(json!({ "canonical_id": alias.entity_id, "id": alias.id })))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let Ok(id) = Uuid::try_parse(call.capture("id")) else { return Ok(Answer::nothing()) };
    let data = call.context.services.core.alias_data(call.context.caller.organization_id, id).await?;
    Ok(data.map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    if let Ok(id) = Uuid::try_parse(call.capture("id")) {
        call.context.services.core.delete_alias(&call.context.caller, id).await?;
    }
    Ok(Answer::nothing())
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    let aliases = call.context.services.core.list_aliases(call.context.caller.organization_id).await?;
    Ok(super::entity::with_info(aliases.into_iter()))
}

//! Finding entities and groups by what is known of them.

use super::{given, given_id};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;

pub(super) async fn entity(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let core = &call.context.services.core;
    let organization_id = call.context.caller.organization_id;
    let id = if let Some(name) = given(parameters, "name")? {
        core.entity_id_by_name(organization_id, &name).await?
    } else if let Some(id) = given_id(parameters, "id")? {
        Some(id)
    } else if let Some(id) = given_id(parameters, "alias_id")? {
        core.entity_id_by_alias_id(organization_id, id).await?
    } else {
        let (name, accessor) = alias(&call)?;
        core.entity_id_by_alias(organization_id, &accessor, &name).await?
    };
    super::entity::shown(&call, id).await
}

pub(super) async fn group(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let core = &call.context.services.core;
    let organization_id = call.context.caller.organization_id;
    let id = if let Some(name) = given(parameters, "name")? {
        core.group_id_by_name(organization_id, &name).await?
    } else if let Some(id) = given_id(parameters, "id")? {
        Some(id)
    } else if let Some(id) = given_id(parameters, "alias_id")? {
        core.group_by_alias_id(organization_id, id).await?.map(|group| group.id)
    } else {
        let (name, accessor) = alias(&call)?;
        core.group_id_by_alias(organization_id, &accessor, &name).await?
    };
    super::group::shown(&call, id).await
}

fn alias(call: &Call) -> Result<(String, String)> {
    let name = given(&call.parameters, "alias_name")?;
    let accessor = given(&call.parameters, "alias_mount_accessor")?;
    name.zip(accessor).ok_or_else(|| {
        Error::invalid(
            "query attributes not supplied: one of id, name, alias_id, or alias_name with alias_mount_accessor",
        )
    })
}

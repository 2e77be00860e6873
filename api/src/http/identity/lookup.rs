//! Finding entities and groups by what is known of them. An id that is none is nobody's.

use super::given;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use uuid::Uuid;

pub(super) async fn entity(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let core = &call.context.services.core;
    let organization_id = call.context.caller.organization_id;
    let id = if let Some(name) = given(parameters, "name")? {
        core.entity_id_by_name(organization_id, &name).await?
    } else if let Some(id) = given(parameters, "id")? {
        Uuid::try_parse(&id).ok()
    } else if let Some(id) = given(parameters, "alias_id")? {
        match Uuid::try_parse(&id) {
            Ok(id) => core.entity_id_by_alias_id(organization_id, id).await?,
            Err(_) => None,
        }
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
    } else if let Some(id) = given(parameters, "id")? {
        Uuid::try_parse(&id).ok()
    } else if let Some(id) = given(parameters, "alias_id")? {
        match Uuid::try_parse(&id) {
            Ok(id) => core.group_by_alias_id(organization_id, id).await?.map(|group| group.id),
            Err(_) => None,
        }
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

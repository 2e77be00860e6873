//! Rows of `clm_secure_db` by their id.

use super::entries;
use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::RegisteredKind;
use keyvault::Deletable;
use uuid::Uuid;

/// One that is no id names nothing.
fn id(call: &Call) -> Option<Uuid> {
    Uuid::try_parse(call.capture("id")).ok()
}

pub(super) async fn list(call: Call, kind: Deletable) -> Result<Answer> {
    let deleted = call.parameters.flag("deleted")?.unwrap_or(false);
    listed(&call, kind, deleted).await
}

async fn listed(call: &Call, kind: Deletable, deleted: bool) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let ids = services.vault.list_shown(caller.organization_id, kind, deleted).await?;
    Ok(Answer::keys(ids.iter().map(Uuid::to_string).collect()))
}

pub(super) async fn read(call: Call, kind: Deletable) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let Some(id) = id(&call) else { return Ok(Answer::nothing()) };
    let found = services.vault.shown(caller.organization_id, kind, id).await?;
    Ok(found.map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn delete(call: Call, kind: Deletable) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    if let Some(id) = id(&call) {
        services.vault.delete_row(caller, kind, id).await?;
    }
    Ok(Answer::nothing())
}

pub(super) async fn restore(call: Call, kind: Deletable) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let absent = || Error::NotFound(format!("nothing of the id {:?} was deleted", call.capture("id")));
    let id = id(&call).ok_or_else(absent)?;
    match services.vault.restore_row(caller, kind, id).await {
        Err(keyvault::Error::NotFound(_)) => Err(absent()),
        other => Ok(other.map(|()| Answer::nothing())?),
    }
}

pub(super) async fn deleted(call: Call) -> Result<Answer> {
    let named = call.capture("kind");
    if let Some((_, kind)) = RegisteredKind::ALL.iter().find(|(name, _)| *name == named) {
        return entries::listed(&call, *kind, true).await;
    }
    match Deletable::ALL.iter().find(|(name, _)| *name == named) {
        Some((_, kind)) => listed(&call, *kind, true).await,
        None => Ok(Answer::nothing()),
    }
}

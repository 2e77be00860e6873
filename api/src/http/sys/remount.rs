//! Moving mounts.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use serde_json::json;
use uuid::Uuid;

/// Done when it answers: clients look at the mounts right after.
pub(super) async fn remount(call: Call) -> Result<Answer> {
    let path = |name: &str| call.parameters.text(name).map(Option::unwrap_or_default);
    let (from, to) = (path("from")?, path("to")?);
    let id = call.context.services.core.remount(&call.context.caller, &from, &to).await?;
    let warning = "Mount move has been queued. Progress will be reported in Vault's server log, tagged with the returned migration_id";
    Ok(Answer::data(json!({ "migration_id": id })).warn([warning.to_owned()]))
}

pub(super) async fn status(call: Call) -> Result<Answer> {
    let Ok(id) = Uuid::try_parse(call.capture("id")) else { return Ok(Answer::nothing()) };
    let moved = call.context.services.core.mount_move(call.context.caller.organization_id, id).await?;
    Ok(moved.map_or_else(Answer::nothing, |moved| {
        Answer::data(json!({
            "migration_id": id,
            "migration_info": { "source_mount": moved.from, "target_mount": moved.to, "status": "success" },
        }))
    }))
}

//! Ways to log in.

use super::mounts::{by_path, new_mount, read_tuning_of, tune_at};
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::data(by_path(call.context.services.core.auth_mounts(call.context.caller.organization_id))))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    Ok(Answer::data(core.read_login(call.context.caller.organization_id, call.capture("path"))?.data()))
}

pub(super) async fn enable(call: Call) -> Result<Answer> {
    let new = new_mount(&call.parameters)?;
    call.context.services.core.enable_login(&call.context.caller, call.capture("path"), new).await?;
    Ok(Answer::nothing())
}

pub(super) async fn disable(call: Call) -> Result<Answer> {
    call.context.services.core.disable_login(&call.context.caller, call.capture("path")).await?;
    Ok(Answer::nothing())
}

pub(super) async fn read_tuning(call: Call) -> Result<Answer> {
    read_tuning_of(&call, &path(&call))
}

pub(super) async fn tune(call: Call) -> Result<Answer> {
    tune_at(&call, &path(&call)).await
}

fn path(call: &Call) -> String {
    format!("auth/{}", call.capture("path"))
}

//! Destruction that waits, and OpenBao's deletion that can be undone.

use super::keys::name;
use super::shown;
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};

pub(super) const SCHEDULE: &[Parameter] = &[Parameter::new(
    "waiting_period",
    Kind::Duration,
    "How long it can still be cancelled: 7 to 30 days unless the operator has set other bounds; 30 days unless given",
)];

pub(super) async fn schedule(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let wait = call.context.understood("key.schedule_destruction", &name, call.parameters.lasting("waiting_period"));
    let key = call.context.schedule_destruction(&call.mount, &name, wait.await?).await?;
    Ok(Answer::data(shown::key(&key)))
}

pub(super) async fn cancel(call: Call) -> Result<Answer> {
    let key = call.context.cancel_destruction(&call.mount, &name(&call)?).await?;
    Ok(Answer::data(shown::key(&key)))
}

pub(super) async fn soft_delete(call: Call) -> Result<Answer> {
    mark(call, true).await
}

pub(super) async fn restore(call: Call) -> Result<Answer> {
    mark(call, false).await
}

async fn mark(call: Call, deleted: bool) -> Result<Answer> {
    let name = name(&call)?;
    let Some(before) = call.context.key(&call.mount, &name).await? else { return Ok(Answer::nothing()) };
    let key = call.context.soft_delete_key(&call.mount, &name, deleted).await?;
    let is = if deleted { "is soft-deleted already" } else { "is not soft-deleted" };
    let repeated = before.settings.soft_deleted == deleted;
    Ok(Answer::data(shown::key(&key)).warn(repeated.then(|| format!("key {name} {is}"))))
}

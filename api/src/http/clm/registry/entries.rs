//! What is kept by code.

use super::fields;
use crate::app::{Context, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, Parameter, captured};
use clm_core::RegisteredKind;
use futures_util::future::BoxFuture;

/// What is there is changed, not made.
pub(super) fn exists<'c>(
    context: &'c Context,
    kind: RegisteredKind,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    let code = captured(captures, "name");
    Box::pin(async move { Ok(context.services.core.registered(&context.caller, kind, code).await?.is_some()) })
}

pub(super) async fn list(call: Call, kind: RegisteredKind) -> Result<Answer> {
    let deleted = call.parameters.flag("deleted")?.unwrap_or(false);
    listed(&call, kind, deleted).await
}

pub(super) async fn listed(call: &Call, kind: RegisteredKind, deleted: bool) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    Ok(Answer::keys(services.core.list_registered(caller, kind, deleted).await?))
}

pub(super) async fn read(call: Call, kind: RegisteredKind) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let found = services.core.registered(caller, kind, call.capture("name")).await;
    // A row that was changed behind the service's back is on record already.
    Ok(found?.map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn write(call: Call, kind: RegisteredKind, known: &[Parameter]) -> Result<Answer> {
    let fields = fields::named(&call.parameters, known)?;
    call.context.register(kind, call.capture("name"), fields).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call, kind: RegisteredKind) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    services.core.unregister(caller, kind, call.capture("name")).await?;
    Ok(Answer::nothing())
}

pub(super) async fn restore(call: Call, kind: RegisteredKind) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    services.core.restore(caller, kind, call.capture("name")).await?;
    Ok(Answer::nothing())
}

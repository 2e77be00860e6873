//! Version 1: one value a path.

use super::named;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::parse_seconds;
use serde_json::{Map, Value};

pub(super) async fn read(call: Call) -> Result<Answer> {
    let read = call.context.read_secret("secret.read", &named(&call), 0).await?;
    let Some(data) = read.and_then(|read| read.data) else { return Ok(Answer::nothing()) };
    let lasting = match said(&data) {
        Some(seconds) => seconds,
        None => usual(&call)?,
    };
    Ok(Answer::data(data).lasting(lasting))
}

/// How long the secret itself says that it holds, seconds.
fn said(data: &Map<String, Value>) -> Option<u64> {
    let seconds = |value: &Value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse_seconds(text.trim()).and_then(|seconds| u64::try_from(seconds).ok()),
        _ => None,
    };
    ["ttl", "lease"].into_iter().find_map(|name| data.get(name)).and_then(seconds).filter(|seconds| *seconds > 0)
}

/// What the mount says.
fn usual(call: &Call) -> Result<u64> {
    let tuning = call.context.services.core.read_tuning(call.context.caller.organization_id, &call.mount.path)?;
    Ok(tuning.get("default_lease_ttl").and_then(Value::as_u64).unwrap_or_default())
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.list_secrets(&call.mount, call.capture("path").trim_end_matches('/')).await?))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let name = named(&call);
    let data = call.parameters.fields();
    let sent = if data.is_empty() { Err(Error::invalid("missing data fields")) } else { Ok(()) };
    call.context.recorded_refusal("secret.write", &name, sent).await?;
    call.context.overwrite_secret(&name, data).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_secret("secret.delete", &named(&call)).await?;
    Ok(Answer::nothing())
}

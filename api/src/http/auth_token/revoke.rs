//! Ending tokens.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;

pub(super) async fn revoke(call: Call) -> Result<Answer> {
    let token = named(&call, "token", "missing token ID")?;
    call.context.services.core.revoke_token(&call.context.caller, &token).await?;
    Ok(Answer::nothing())
}

pub(super) async fn own(call: Call) -> Result<Answer> {
    call.context.services.core.revoke_self(&call.context.caller, &call.context.authority).await?;
    Ok(Answer::nothing())
}

pub(super) async fn accessor(call: Call) -> Result<Answer> {
    let accessor = named(&call, "accessor", "missing accessor")?;
    let found = call.context.services.core.revoke_accessor(&call.context.caller, &accessor).await?;
    let warning = (!found).then(|| "No token found with this accessor".to_owned());
    Ok(Answer::nothing().warn(warning))
}

pub(super) async fn orphan(call: Call) -> Result<Answer> {
    let token = named(&call, "token", "missing token ID")?;
    call.context.services.core.revoke_orphan(&call.context.caller, &token, call.context.sudo).await?;
    Ok(Answer::nothing())
}

fn named(call: &Call, field: &str, missing: &str) -> Result<String> {
    call.parameters.text(field)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::invalid(missing))
}

//! Renewing tokens.

use super::shown::auth;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::{Token, Warning};
use std::sync::Arc;

pub(super) async fn renew(call: Call) -> Result<Answer> {
    let token = call.parameters.text("token")?.unwrap_or_default();
    if token.is_empty() {
        return Err(Error::invalid("missing token ID"));
    }
    let renewed = call.context.services.core.renew_token(&call.context.caller, &token, increment(&call)?).await?;
    answer(&call, renewed, &token).await
}

pub(super) async fn own(call: Call) -> Result<Answer> {
    let (caller, authority) = (&call.context.caller, &call.context.authority);
    let renewed = call.context.services.core.renew_self(caller, authority, increment(&call)?).await?;
    let token = Arc::clone(&call.token);
    answer(&call, renewed, &token).await
}

pub(super) async fn accessor(call: Call) -> Result<Answer> {
    let accessor = call.parameters.text("accessor")?.unwrap_or_default();
    if accessor.is_empty() {
        return Err(Error::invalid("missing accessor"));
    }
    let renewed = call.context.services.core.renew_accessor(&call.context.caller, &accessor, increment(&call)?).await?;
    answer(&call, renewed, "").await
}

fn increment(call: &Call) -> Result<u64> {
    let seconds = call.parameters.seconds("increment")?.unwrap_or(0);
    u64::try_from(seconds).map_err(|_| Error::invalid("increment must not be negative"))
}

async fn answer(call: &Call, (token, warnings): (Arc<Token>, Vec<Warning>), client_token: &str) -> Result<Answer> {
    let identity_policies = call.context.services.core.identity_policies(&token).await?;
    Ok(Answer::auth(auth(&token, client_token, &identity_policies, token.lease_ttl)).warn(warnings))
}

//! Wrapping tokens: an answer for somebody else, to be taken out once.

use crate::app::{self, Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::{Call, OpenCall};
use audit_chain::Caller;
use chrono::SecondsFormat;
use clm_core::access::Operation;
use clm_core::{IssuedToken, Token};
use hyper::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;

/// The caller's own data, wrapped as any answer is.
pub(super) async fn wrap(call: Call) -> Result<Answer> {
    if call.wrap_ttl.is_none() {
        return Err(Error::invalid("endpoint requires response wrapping to be used"));
    }
    Ok(Answer::data(Value::Object(call.parameters.fields().clone())))
}

pub(super) async fn lookup(call: OpenCall) -> Result<Answer> {
    let (token, own) = presented(&call).await?;
    let caller = if own { bearer(&call, &token) } else { call.visitor().caller() };
    call.services.core.record_wrapping_lookup(&caller, &token).await?;
    Ok(Answer::data(json!({
        "creation_path": token.path,
        "creation_time": token.creation_time.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "creation_ttl": token.creation_ttl,
    })))
}

pub(super) async fn unwrap(call: OpenCall) -> Result<Answer> {
    let (token, own) = presented(&call).await?;
    let caller = allowed(&call, &token, own).await?;
    let answer = app::wrapping::unwrap(&call.services, &caller, &token).await?;
    Ok(Answer::status(StatusCode::OK, answer))
}

pub(super) async fn rewrap(call: OpenCall) -> Result<Answer> {
    let (token, own) = presented(&call).await?;
    let caller = allowed(&call, &token, own).await?;
    let issued = app::wrapping::rewrap(&call.services, &caller, &token).await?;
    Ok(Answer::status(StatusCode::OK, envelope(&issued, None)))
}

/// The wrapping token that is meant, and whether the caller carries it: in the body, or in its place the request's own.
async fn presented(call: &OpenCall) -> Result<(Arc<Token>, bool)> {
    let named = call.parameters.text("token")?.filter(|token| !token.is_empty());
    let own = call.token.as_deref();
    let is_own = named.as_deref().is_none_or(|named| Some(named) == own);
    let Some(text) = named.as_deref().or(own) else { return Err(Error::Unauthenticated) };
    Ok((call.services.core.wrapping_token(call.organization_id(), text).await?, is_own))
}

/// Who carries the wrapping token itself.
fn bearer(call: &OpenCall, token: &Token) -> Caller {
    let (accessor, display_name) = (Arc::clone(&token.accessor), Arc::clone(&token.display_name));
    Caller { accessor, display_name, ..call.visitor().caller() }
}

/// Who carries the wrapping token may take out what it holds; others need a token of their own that may do this.
async fn allowed(call: &OpenCall, token: &Token, own: bool) -> Result<Caller> {
    if own {
        return Ok(bearer(call, token));
    }
    let mut context: Context = call.context().await?;
    context.permit(Operation::Update, call.parameters.fields(), None).await?;
    Ok(context.caller)
}

/// What a wrapped answer looks like. `wrapped_accessor`: of the token or SecretID that it holds.
pub(in crate::http) fn envelope(issued: &IssuedToken, wrapped_accessor: Option<String>) -> Value {
    let token = &issued.token;
    let mut info = json!({
        "token": issued.client_token.expose_secret(),
        "accessor": &*token.accessor,
        "ttl": token.creation_ttl,
        "creation_time": token.creation_time.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "creation_path": token.path,
    });
    if let Some(accessor) = wrapped_accessor.filter(|accessor| !accessor.is_empty()) {
        info["wrapped_accessor"] = accessor.into();
    }
    json!({
        "request_id": "",
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": null,
        "wrap_info": info,
        "warnings": null,
        "auth": null,
    })
}

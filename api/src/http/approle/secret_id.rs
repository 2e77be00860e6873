//! SecretIDs.

use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::Call;
use clm_core::{NewSecretId, SecretRef};
use hyper::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_secret_ids(&call.mount, call.capture("name")).await?))
}

pub(super) async fn create(call: Call) -> Result<Answer> {
    make(&call, None).await
}

pub(super) async fn create_custom(call: Call) -> Result<Answer> {
    let text = named(&call, "secret_id")?;
    make(&call, Some(text.into())).await
}

async fn make(call: &Call, text: Option<SecretString>) -> Result<Answer> {
    let parameters = &call.parameters;
    let new = NewSecretId {
        text,
        metadata: metadata(parameters.value("metadata"))?,
        cidr_list: parameters.list("cidr_list")?.unwrap_or_default(),
        token_bound_cidrs: parameters.list("token_bound_cidrs")?.unwrap_or_default(),
        num_uses: parameters.integer("num_uses")?,
        ttl: parameters.lasting("ttl")?,
    };
    let core = &call.context.services.core;
    let made = core.create_secret_id(&call.context.caller, &call.mount, call.capture("name"), new).await;
    let issued = call.context.recorded("create", made).await?;
    let accessor = issued.accessor.clone();
    Ok(Answer::data(json!({
        "secret_id": issued.text.expose_secret(),
        "secret_id_accessor": issued.accessor,
        "secret_id_num_uses": issued.num_uses,
        "secret_id_ttl": issued.ttl,
    }))
    .about(accessor))
}

pub(super) async fn lookup(call: Call) -> Result<Answer> {
    let text = named(&call, "secret_id")?;
    let core = &call.context.services.core;
    let found = core.secret_id(&call.mount, call.capture("name"), SecretRef::Text(&text)).await?;
    Ok(found.map_or_else(Answer::nothing, |secret| Answer::data(secret.data())))
}

/// Terraform looks for the status and the words of a role that is gone.
pub(super) async fn lookup_accessor(call: Call) -> Result<Answer> {
    let accessor = named(&call, "secret_id_accessor")?;
    let core = &call.context.services.core;
    match core.secret_id(&call.mount, call.capture("name"), SecretRef::Accessor(&accessor)).await {
        Ok(Some(secret)) => Ok(Answer::data(secret.data())),
        Ok(None) => Ok(unknown_accessor(&accessor)),
        Err(clm_core::Error::NotFound(text)) => {
            Ok(Answer::refused(Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, text.into_owned())))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn destroy(call: Call) -> Result<Answer> {
    let text = named(&call, "secret_id")?;
    end(&call, SecretRef::Text(&text)).await?;
    Ok(Answer::nothing())
}

pub(super) async fn destroy_accessor(call: Call) -> Result<Answer> {
    let accessor = named(&call, "secret_id_accessor")?;
    let found = end(&call, SecretRef::Accessor(&accessor)).await?;
    Ok(if found { Answer::nothing() } else { unknown_accessor(&accessor) })
}

async fn end(call: &Call, which: SecretRef<'_>) -> Result<bool> {
    let core = &call.context.services.core;
    let ended = core.destroy_secret_id(&call.context.caller, &call.mount, call.capture("name"), which).await;
    call.context.recorded("destroy", ended).await
}

pub(super) async fn tidy(call: Call) -> Result<Answer> {
    let started = call.context.services.core.tidy_secret_ids(&call.context.caller).await;
    call.context.recorded("tidy", started).await?;
    Ok(Answer::accepted(
        "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
    ))
}

fn unknown_accessor(accessor: &str) -> Answer {
    let error = format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
    Answer::data(json!({ "error": error })).with_status(StatusCode::NOT_FOUND)
}

fn named(call: &Call, field: &str) -> Result<String> {
    call.parameters
        .text(field)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Error::invalid(format!("missing {field}")))
}

/// An object with texts, as a text: so clients send it.
fn metadata(given: Option<&Value>) -> Result<BTreeMap<String, String>> {
    let refused =
        || Error::invalid("metadata must be a JSON object with texts, sent as a text: \"{\\\"a\\\":\\\"b\\\"}\"");
    match given {
        None => Ok(BTreeMap::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(BTreeMap::new()),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| refused()),
        Some(_) => Err(refused()),
    }
}

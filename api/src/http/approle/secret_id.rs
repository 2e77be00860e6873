//! SecretIDs.

use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
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
    let issued = core.create_secret_id(&call.context.caller, &call.mount, call.capture("name"), new).await?;
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
    Ok(core.destroy_secret_id(&call.context.caller, &call.mount, call.capture("name"), which).await?)
}

pub(super) async fn tidy(call: Call) -> Result<Answer> {
    call.context.services.core.tidy_secret_ids(&call.context.caller).await?;
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

/// An object with texts, as a text: so clients send it. Or pairs `a=b,c=d`, or either in base64.
fn metadata(given: Option<&Value>) -> Result<BTreeMap<String, String>> {
    let refused = || {
        Error::invalid(
            "metadata must be a JSON object with texts, sent as a text: \"{\\\"a\\\":\\\"b\\\"}\", or pairs like a=b,c=d",
        )
    };
    let text = match given {
        None => return Ok(BTreeMap::new()),
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(refused()),
    };
    let decoded = BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.as_deref().unwrap_or(text);
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(text).ok().or_else(|| pairs(text)).ok_or_else(refused)
}

fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_as_a_text_of_several_kinds_and_in_no_other_way() {
        let expected = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d=e".to_owned())]);
        let json_text = r#"{"a":"b","c":"d=e"}"#;
        for text in
            [json_text, " a=b, c = d=e ", &BASE64_STANDARD.encode(json_text), &BASE64_STANDARD.encode("a=b,c=d=e")]
        {
            assert_eq!(metadata(Some(&json!(text))).expect(text), expected);
        }
        for nothing in [None, Some(json!("")), Some(json!("{}"))] {
            assert!(metadata(nothing.as_ref()).expect("nothing").is_empty());
        }
        for refused in [json!({"a": "b"}), json!("words"), json!("a=b,words"), json!("=b"), json!("[1]"), json!(1)] {
            assert!(metadata(Some(&refused)).is_err(), "{refused}");
        }
    }
}

//! Decrypting, and decrypting to encrypt again with another version.

use super::batch::{FailureStatus, Item, Items, answered, items};
use super::encrypt::{self, PARTIAL_FAILURE, decode_associated_data, decode_context};
use super::keys::name;
use super::versioned::{What, split};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{DecryptItem, Results};
use serde_json::json;

const CIPHERTEXT: Parameter = Parameter::new("ciphertext", Kind::Text, "vault:v<version>:<base64>");
const CONTEXT: Parameter = Parameter::new("context", Kind::Text, "Base64 of the context, for derived keys");
pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("associated_data", Kind::Text, "Base64 of what was authenticated with it"),
    Parameter::new(
        "batch_input",
        Kind::Objects,
        "Items with `ciphertext`, `context`, `associated_data` and `reference`, instead of these",
    ),
    CIPHERTEXT,
    CONTEXT,
    PARTIAL_FAILURE,
];
pub(super) const REWRAP: &[Parameter] = &[
    Parameter::new(
        "batch_input",
        Kind::Objects,
        "Items with `ciphertext`, `context`, `key_version` and `reference`, instead of these",
    ),
    CIPHERTEXT,
    CONTEXT,
    Parameter::new("key_version", Kind::Integer, "Version that encrypts again; 0: the newest"),
];

const MISSING: &str = "missing ciphertext to decrypt";

pub(super) async fn decrypt(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let (items, inputs, status) = call.context.understood("key.decrypt", &name, read(&call)).await?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.decrypt", &name, "encryption key not found").await);
    };
    let count = inputs.len();
    let warnings = key.warnings(inputs.iter().flatten().map(|item| item.version));
    let results = match call.context.decrypt(&key, inputs, call.state.settings.fips).await {
        // In a batch, what refuses the whole call is each item's error.
        Err(Error::Invalid(reason)) if items.is_some() => vec![Err(reason); count],
        other => other?,
    };
    let shown = |plaintext: &[u8]| BASE64_STANDARD.encode(plaintext);
    if let Some(items) = items {
        let answers = results.iter().map(|result| match result {
            Ok(plaintext) => vec![("plaintext", shown(plaintext).into())],
            Err(reason) => vec![("plaintext", "".into()), ("error", reason.as_str().into())],
        });
        return Ok(status.of(answered(&items, answers), &results).warn(warnings));
    }
    match results.into_iter().next() {
        Some(Ok(plaintext)) => Ok(Answer::data(json!({ "plaintext": shown(&plaintext) })).warn(warnings)),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a plaintext nor an error".into())),
    }
}

fn read(call: &Call) -> Result<(Items<'_>, Results<DecryptItem>, FailureStatus)> {
    let parameters = &call.parameters;
    let status = FailureStatus::read(call)?;
    let items = items(call)?;
    let Some(batch) = &items else {
        let ciphertext = parameters.text("ciphertext")?.unwrap_or_default();
        if ciphertext.is_empty() {
            return Err(Error::invalid(MISSING));
        }
        let context = parameters.text("context")?.unwrap_or_default();
        let associated_data = parameters.text("associated_data")?.unwrap_or_default();
        return Ok((items, vec![item(&ciphertext, &context, &associated_data, 0)], status));
    };
    let mut inputs = Vec::with_capacity(batch.len());
    for each in Item::all(batch) {
        let ciphertext = each.required("ciphertext", MISSING)?;
        let context = each.text("context")?.unwrap_or_default();
        let associated_data = each.text("associated_data")?.unwrap_or_default();
        inputs.push(item(&ciphertext, &context, &associated_data, each.index));
    }
    Ok((items, inputs, status))
}

fn item(ciphertext: &str, context: &str, associated_data: &str, index: usize) -> Result<DecryptItem, String> {
    if ciphertext.is_empty() {
        return Err(MISSING.into());
    }
    let (version, encoded) = split(ciphertext, What::Ciphertext)?;
    let ciphertext = BASE64_STANDARD.decode(encoded).map_err(|_| "invalid ciphertext: could not decode base64")?;
    let (context, associated_data) = (decode_context(context)?, decode_associated_data(associated_data, index)?);
    Ok(DecryptItem { version, ciphertext, context, associated_data })
}

pub(super) async fn rewrap(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let (items, inputs) = call.context.understood("key.rewrap", &name, read_rewrap(&call)).await?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.rewrap", &name, "encryption key not found").await);
    };
    let count = inputs.len();
    let warnings = key.warnings(inputs.iter().flatten().map(|(item, _)| item.version));
    let results = match call.context.rewrap(&key, inputs, call.state.settings.fips).await {
        Err(Error::Invalid(reason)) if items.is_some() => vec![Err(reason); count],
        other => other?,
    };
    match items {
        Some(items) => Ok(answered(&items, results.iter().map(encrypt::shown)).warn(warnings)),
        None => encrypt::single(results).map(|answer| answer.warn(warnings)),
    }
}

fn read_rewrap(call: &Call) -> Result<(Items<'_>, Results<(DecryptItem, i64)>)> {
    let parameters = &call.parameters;
    let items = items(call)?;
    let Some(batch) = &items else {
        let ciphertext = parameters.text("ciphertext")?.unwrap_or_default();
        if ciphertext.is_empty() {
            return Err(Error::invalid(MISSING));
        }
        let context = parameters.text("context")?.unwrap_or_default();
        let version = parameters.integer("key_version")?.unwrap_or(0);
        return Ok((items, vec![item(&ciphertext, &context, "", 0).map(|item| (item, version))]));
    };
    let mut inputs = Vec::with_capacity(batch.len());
    for each in Item::all(batch) {
        let ciphertext = each.text("ciphertext")?.unwrap_or_default();
        let context = each.text("context")?.unwrap_or_default();
        let version = each.integer("key_version")?;
        inputs.push(item(&ciphertext, &context, "", each.index).map(|item| (item, version)));
    }
    Ok((items, inputs))
}

//! Encrypting, and making the key for it where there is none.

use super::batch::{FailureStatus, Item, Items, answered, base64, items};
use super::keys::{algorithm, approved, derivation, name};
use super::settings::upsert_is_disabled;
use super::versioned;
use crate::app::{Context, Error, Result};
use crate::http::answer::{Answer, Fields};
use crate::http::call::Call;
use crate::http::table::{Captures, Kind, Parameter, captured};
use clm_core::Mount;
use futures_util::future::BoxFuture;
use keyvault::key::{EncryptItem, Encrypted, Key, KeyName, NewKey, Results};
use serde_json::json;
use std::sync::Arc;

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("associated_data", Kind::Text, "Base64 of what is authenticated and not encrypted"),
    Parameter::new(
        "batch_input",
        Kind::Objects,
        "Items with `plaintext`, `context`, `associated_data`, `key_version` and `reference`, instead of these",
    ),
    Parameter::new("context", Kind::Text, "Base64 of the context whose key encrypts, for derived keys"),
    Parameter::new("convergent_encryption", Kind::Boolean, "For a key that is made by this call"),
    Parameter::new("key_version", Kind::Integer, "Version that encrypts; 0: the newest"),
    PARTIAL_FAILURE,
    Parameter::new("plaintext", Kind::Text, "Base64 of what is to be encrypted"),
    Parameter::new(
        "type",
        Kind::Text,
        "aes128-gcm96, aes256-gcm96 or, where the token has it, chacha20-poly1305, for a key that is made by this call",
    ),
];
pub(super) const PARTIAL_FAILURE: Parameter = Parameter::new(
    "partial_failure_response_code",
    Kind::Integer,
    "Status, instead of 400, where some items of a batch succeed and others fail",
);

const MISSING: &str = "missing plaintext to encrypt";

/// What is to be encrypted.
struct Asked<'c> {
    items: Items<'c>,
    inputs: Results<EncryptItem>,
    has_context: bool,
    status: FailureStatus,
}

/// Whether the key is there: it decides which capability a caller needs.
pub(super) fn exists<'c>(
    context: &'c Context,
    mount: &'c Mount,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    Box::pin(async move {
        let name = KeyName::parse(captured(captures, "name"));
        match name {
            Some(name) => Ok(context.key(mount, &name).await?.is_some()),
            None => Ok(false),
        }
    })
}

pub(super) async fn encrypt(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let asked = call.context.understood("key.encrypt", &name, read(&call)).await?;
    let key = match call.context.key(&call.mount, &name).await? {
        Some(key) => key,
        None if call.may_create && !upsert_is_disabled(&call.mount) => create(&call, &name, asked.has_context).await?,
        None => return Err(call.context.refuse_key("key.encrypt", &name, "encryption key not found").await),
    };
    let count = asked.inputs.len();
    let results = match call.context.encrypt(&key, asked.inputs).await {
        // In a batch, what refuses the whole call is each item's error.
        Err(Error::Invalid(reason)) if asked.items.is_some() => vec![Err(reason); count],
        other => other?,
    };
    match asked.items {
        Some(items) => {
            let answer = answered(&items, results.iter().map(shown));
            Ok(asked.status.of(answer, &results))
        }
        None => single(results),
    }
}

/// One ciphertext, or why there is none.
pub(super) fn single(results: Results<Encrypted>) -> Result<Answer> {
    match results.into_iter().next() {
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        Some(Ok(Encrypted { version, ciphertext })) => {
            Ok(Answer::data(json!({ "ciphertext": versioned::text(version, &ciphertext), "key_version": version })))
        }
        None => Err(Error::Internal("neither a ciphertext nor an error".into())),
    }
}

/// One result of a batch.
pub(super) fn shown(result: &Result<Encrypted, String>) -> Fields {
    match result {
        Ok(Encrypted { version, ciphertext }) => {
            vec![("ciphertext", versioned::text(*version, ciphertext).into()), ("key_version", (*version).into())]
        }
        Err(reason) => vec![("error", reason.as_str().into())],
    }
}

fn read(call: &Call) -> Result<Asked<'_>> {
    let parameters = &call.parameters;
    let status = FailureStatus::read(call)?;
    let items = items(call)?;
    let Some(batch) = &items else {
        let context = parameters.text("context")?.unwrap_or_default();
        // `null` is an empty one.
        let empty = || parameters.fields().contains_key("plaintext").then(String::new);
        let plaintext = parameters.text("plaintext")?.or_else(empty).ok_or_else(|| Error::invalid(MISSING))?;
        let version = parameters.integer("key_version")?.unwrap_or(0);
        let associated_data = parameters.text("associated_data")?.unwrap_or_default();
        let input = item(&plaintext, version, &context, &associated_data, 0);
        return Ok(Asked { items, inputs: vec![input], has_context: !context.is_empty(), status });
    };
    let mut inputs = Vec::with_capacity(batch.len());
    let mut with_context = 0;
    for each in Item::all(batch) {
        let plaintext = each.required("plaintext", MISSING)?;
        let context = each.text("context")?.unwrap_or_default();
        let associated_data = each.text("associated_data")?.unwrap_or_default();
        with_context += usize::from(!context.is_empty());
        inputs.push(item(&plaintext, each.integer("key_version")?, &context, &associated_data, each.index));
    }
    if with_context != 0 && with_context != batch.len() {
        return Err(Error::invalid("context should be set either in all the request blocks or in none"));
    }
    Ok(Asked { items, inputs, has_context: with_context != 0, status })
}

fn item(
    plaintext: &str,
    version: i64,
    context: &str,
    associated_data: &str,
    index: usize,
) -> Result<EncryptItem, String> {
    Ok(EncryptItem {
        plaintext: base64(plaintext)?.into(),
        version,
        context: decode_context(context)?,
        associated_data: decode_associated_data(associated_data, index)?,
    })
}

pub(super) fn decode_context(text: &str) -> Result<Vec<u8>, String> {
    base64(text).map_err(|reason| format!("failed to base64-decode context: {reason}"))
}

pub(super) fn decode_associated_data(text: &str, index: usize) -> Result<Vec<u8>, String> {
    base64(text)
        .map_err(|reason| format!("unable to get associated_data/additional_data from factory[{index}]: {reason}"))
}

/// The key that encrypting makes, derived where a context was sent.
async fn create(call: &Call, name: &KeyName, has_context: bool) -> Result<Arc<Key>> {
    let new = call.context.understood("key.create", name, wanted(call, has_context).await).await?;
    Ok(call.context.create_key(&call.mount, name, new).await?.0)
}

async fn wanted(call: &Call, has_context: bool) -> Result<NewKey> {
    let convergent = call.parameters.flag("convergent_encryption")?.unwrap_or(false);
    if convergent && !has_context {
        let why = "convergent encryption requires derivation to be enabled, so context is required";
        return Err(Error::invalid(why));
    }
    let kind = call.parameters.text("type")?.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let algorithm = match algorithm(&kind, &call.parameters) {
        Ok(algorithm) if algorithm.is_aead() => algorithm,
        Err(refused) if kind != "hmac" => return Err(refused),
        _ => return Err(Error::invalid(format!("unknown key type {kind}"))),
    };
    let derivation = derivation(call, has_context, convergent).await?;
    Ok(NewKey { derivation, ..NewKey::of(approved(call, algorithm)?) })
}

//! HMACs: making and verifying them.

use super::batch::{Items, answered, base64, decode, input, items, text};
use super::keys::name;
use super::versioned::{self, What, split};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use keyvault::key::{Hash, Key, KeyName, Results, VerifyItem};
use serde_json::{Map, Value, json};

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("algorithm", Kind::Text, "sha1, sha2-224 … sha2-512; the path's goes over it"),
    Parameter::new("batch_input", Kind::Objects, "Items with `input` and `reference`, instead of `input`"),
    Parameter::new("input", Kind::Text, "Base64 of what is to be authenticated"),
    Parameter::new("key_version", Kind::Integer, "Version whose HMAC key is used; 0: the newest"),
];

const MISSING: &str = "missing input for HMAC";

pub(super) async fn hmac(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.hmac", &name, "encryption key not found").await);
    };
    let (hash, version, items, inputs) = call.context.understood("key.hmac", &name, read(&call)).await?;
    let (version, macs) = call.context.hmac(&key, version, hash, inputs).await?;
    if let Some(items) = items {
        let answers = macs.into_iter().map(|mac| match mac {
            Ok(mac) => json!({ "hmac": versioned::text(version, &mac) }),
            Err(reason) => json!({ "error": reason }),
        });
        return Ok(answered(&items, answers));
    }
    match macs.into_iter().next() {
        Some(Ok(mac)) => Ok(Answer::data(json!({ "hmac": versioned::text(version, &mac) }))),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither an HMAC nor an error".into())),
    }
}

fn read(call: &Call) -> Result<(Hash, i64, Items, Results<Vec<u8>>)> {
    let hash = hash(call, &["algorithm"])?;
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let items = items(call)?;
    let inputs = match &items {
        Some(items) => items.iter().map(|item| input(item, MISSING)).collect(),
        None => {
            let input = call.parameters.text("input")?.ok_or_else(|| Error::invalid(MISSING))?;
            vec![Ok(decode(&input).map_err(Error::Invalid)?)]
        }
    };
    Ok((hash, version, items, inputs))
}

/// The path's goes over the fields, the first of which that is there counts.
fn hash(call: &Call, fields: &[&str]) -> Result<Hash> {
    let mut name = call.capture("urlalgorithm").to_owned();
    for field in fields {
        if name.is_empty() {
            name = call.parameters.text(field)?.unwrap_or_default();
        }
    }
    let name = if name.is_empty() { "sha2-256" } else { &name };
    Hash::parse(name).ok_or_else(|| Error::invalid(format!("unsupported algorithm {name:?}")))
}

/// `verify` with HMACs.
pub(super) async fn verify(call: &Call, name: &KeyName, key: &Key, items: Items) -> Result<Answer> {
    let read = read_hmacs(call, items.as_deref());
    let (hash, hmacs) = call.context.understood("key.verify", name, read).await?;
    let warnings = key.warnings(hmacs.iter().flatten().map(|item| item.version));
    let results = call.context.verify_hmac(key, hash, hmacs).await?;
    if let Some(items) = items {
        // As clients know it: a verdict is left out where it is "no".
        let answers = results.into_iter().map(|result| match result {
            Ok(true) => json!({ "valid": true }),
            Ok(false) => json!({}),
            Err(reason) => json!({ "error": reason }),
        });
        return Ok(answered(&items, answers).warn(warnings));
    }
    match results.into_iter().next() {
        Some(Ok(valid)) => Ok(Answer::data(json!({ "valid": valid })).warn(warnings)),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a verdict nor an error".into())),
    }
}

fn read_hmacs(call: &Call, items: Option<&[Map<String, Value>]>) -> Result<(Hash, Results<VerifyItem>)> {
    let hash = hash(call, &["hash_algorithm", "algorithm"])?;
    let Some(items) = items else {
        let input = decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?;
        let hmac = call.parameters.text("hmac")?.unwrap_or_default();
        let item = parse(input, &hmac).map_err(Error::Invalid)?;
        return Ok((hash, vec![Ok(item)]));
    };
    let item =
        |item: &Map<String, Value>| parse(input(item, "missing input")?, &text(item, "hmac").unwrap_or_default());
    Ok((hash, items.iter().map(item).collect()))
}

fn parse(input: Vec<u8>, hmac: &str) -> Result<VerifyItem, String> {
    let (version, encoded) = split(hmac, What::Hmac)?;
    let signature =
        base64(encoded).map_err(|reason| format!("unable to decode verification string as base64: {reason}"))?;
    Ok(VerifyItem { input, version, signature })
}

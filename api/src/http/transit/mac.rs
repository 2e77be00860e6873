//! What HMACs and CMACs have in common: inputs, answers, and texts to be verified.

use super::batch::{Items, answered, base64, decode, input, items, text};
use super::versioned::{self, What, split};
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Fields};
use crate::http::call::Call;
use keyvault::key::{Results, VerifyItem};
use serde_json::{Map, Value, json};

/// What is to be authenticated, and by which version.
pub(super) struct Inputs<'c> {
    pub(super) version: i64,
    pub(super) items: Items<'c>,
    pub(super) inputs: Results<Vec<u8>>,
}

/// `missing`: what is said where there is no input.
pub(super) fn inputs<'c>(call: &'c Call, missing: &str) -> Result<Inputs<'c>> {
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let items = items(call)?;
    let inputs = match &items {
        Some(items) => items.iter().map(|item| input(item, missing)).collect(),
        None => {
            let input = call.parameters.text("input")?.ok_or_else(|| Error::invalid(missing))?;
            vec![Ok(decode(&input).map_err(Error::Invalid)?)]
        }
    };
    Ok(Inputs { version, items, inputs })
}

/// The MACs, each under `field`.
pub(super) fn made(field: &'static str, version: u32, items: Items<'_>, macs: Results<Vec<u8>>) -> Result<Answer> {
    if let Some(items) = items {
        let answers = macs.into_iter().map(|mac| match mac {
            Ok(mac) => vec![(field, versioned::text(version, &mac).into())],
            Err(reason) => vec![("error", reason.into())],
        });
        return Ok(answered(&items, answers));
    }
    match macs.into_iter().next() {
        Some(Ok(mac)) => Ok(Answer::data(json!({ field: versioned::text(version, &mac) }))),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a MAC nor an error".into())),
    }
}

/// Inputs and the MACs that `field` gives for them.
pub(super) fn given(
    call: &Call,
    items: Option<&[&Map<String, Value>]>,
    field: &str,
    what: What,
) -> Result<Results<VerifyItem>> {
    let Some(items) = items else {
        let input = decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?;
        let mac = call.parameters.text(field)?.unwrap_or_default();
        return Ok(vec![Ok(parse(input, &mac, what).map_err(Error::Invalid)?)]);
    };
    let item =
        |item: &&Map<String, Value>| parse(input(item, "missing input")?, &text(item, field).unwrap_or_default(), what);
    Ok(items.iter().map(item).collect())
}

/// The verdicts; `of_item`: how one of a batch is told.
pub(super) fn judged(
    items: Items<'_>,
    results: Results<bool>,
    warnings: impl IntoIterator<Item = String>,
    of_item: impl FnMut(Result<bool, String>) -> Fields,
) -> Result<Answer> {
    if let Some(items) = items {
        return Ok(answered(&items, results.into_iter().map(of_item)).warn(warnings));
    }
    match results.into_iter().next() {
        Some(Ok(valid)) => Ok(Answer::data(json!({ "valid": valid })).warn(warnings)),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a verdict nor an error".into())),
    }
}

fn parse(input: Vec<u8>, mac: &str, what: What) -> Result<VerifyItem, String> {
    let (version, encoded) = split(mac, what)?;
    let signature =
        base64(encoded).map_err(|reason| format!("unable to decode verification string as base64: {reason}"))?;
    Ok(VerifyItem { input, version, signature })
}

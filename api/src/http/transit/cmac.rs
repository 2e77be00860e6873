//! CMACs: making and verifying them.

use super::batch::{Items, answered, base64, decode, input, items, text};
use super::keys::name;
use super::versioned::{self, What, split};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use keyvault::key::{CMAC_BYTES, Key, KeyName, Results, VerifyItem};
use serde_json::{Map, Value, json};

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("batch_input", Kind::Objects, "Items with `input` and `reference`, instead of `input`"),
    Parameter::new("input", Kind::Text, "Base64 of what is to be authenticated"),
    Parameter::new("key_version", Kind::Integer, "Version that is used; 0: the newest"),
    Parameter::new("mac_length", Kind::Integer, "Bytes of the MAC, 8 to 16 (unless given); the path's goes over it"),
];

const MISSING: &str = "missing input for CMAC";

pub(super) async fn cmac(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.cmac", &name, "encryption key not found").await);
    };
    let (length, version, items, inputs) = call.context.understood("key.cmac", &name, read(&call)).await?;
    let (version, macs) = call.context.cmac(&key, version, length, inputs).await?;
    if let Some(items) = items {
        let answers = macs.into_iter().map(|mac| match mac {
            Ok(mac) => json!({ "cmac": versioned::text(version, &mac) }),
            Err(reason) => json!({ "error": reason }),
        });
        return Ok(answered(&items, answers));
    }
    match macs.into_iter().next() {
        Some(Ok(mac)) => Ok(Answer::data(json!({ "cmac": versioned::text(version, &mac) }))),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a CMAC nor an error".into())),
    }
}

fn read(call: &Call) -> Result<(usize, i64, Items, Results<Vec<u8>>)> {
    let length = length(call)?;
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let items = items(call)?;
    let inputs = match &items {
        Some(items) => items.iter().map(|item| input(item, MISSING)).collect(),
        None => {
            let input = call.parameters.text("input")?.ok_or_else(|| Error::invalid(MISSING))?;
            vec![Ok(decode(&input).map_err(Error::Invalid)?)]
        }
    };
    Ok((length, version, items, inputs))
}

fn length(call: &Call) -> Result<usize> {
    let path = call.capture("url_mac_length");
    let asked = match path {
        "" => call.parameters.integer("mac_length")?.filter(|length| *length != 0),
        path => Some(path.parse().map_err(|_| Error::invalid(format!("invalid MAC length {path}")))?),
    };
    let Some(asked) = asked else { return Ok(*CMAC_BYTES.end()) };
    let length = usize::try_from(asked).ok().filter(|length| CMAC_BYTES.contains(length));
    length.ok_or_else(|| {
        Error::invalid(format!("mac_length must be between {} and {} bytes", CMAC_BYTES.start(), CMAC_BYTES.end()))
    })
}

/// `verify` with CMACs.
pub(super) async fn verify(call: &Call, name: &KeyName, key: &Key, items: Items) -> Result<Answer> {
    let read = read_macs(call, items.as_deref());
    let (length, macs) = call.context.understood("key.verify", name, read).await?;
    let warnings = key.warnings(macs.iter().flatten().map(|item| item.version));
    let results = call.context.verify_cmac(key, length, macs).await?;
    if let Some(items) = items {
        let answers = results.into_iter().map(|result| match result {
            Ok(valid) => json!({ "valid": valid }),
            Err(reason) => json!({ "valid": false, "error": reason }),
        });
        return Ok(answered(&items, answers).warn(warnings));
    }
    match results.into_iter().next() {
        Some(Ok(valid)) => Ok(Answer::data(json!({ "valid": valid })).warn(warnings)),
        Some(Err(reason)) => Err(Error::Invalid(reason)),
        None => Err(Error::Internal("neither a verdict nor an error".into())),
    }
}

fn read_macs(call: &Call, items: Option<&[Map<String, Value>]>) -> Result<(usize, Results<VerifyItem>)> {
    let length = length(call)?;
    let Some(items) = items else {
        let input = decode(&call.parameters.text("input")?.unwrap_or_default()).map_err(Error::Invalid)?;
        let cmac = call.parameters.text("cmac")?.unwrap_or_default();
        return Ok((length, vec![Ok(parse(input, &cmac).map_err(Error::Invalid)?)]));
    };
    let item =
        |item: &Map<String, Value>| parse(input(item, "missing input")?, &text(item, "cmac").unwrap_or_default());
    Ok((length, items.iter().map(item).collect()))
}

fn parse(input: Vec<u8>, cmac: &str) -> Result<VerifyItem, String> {
    let (version, encoded) = split(cmac, What::Cmac)?;
    let signature =
        base64(encoded).map_err(|reason| format!("unable to decode verification string as base64: {reason}"))?;
    Ok(VerifyItem { input, version, signature })
}

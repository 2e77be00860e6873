//! `random` and `hash`, which `sys/tools/` has too.

use super::batch::decode;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::Hash;
use serde_json::json;

pub(crate) const RANDOM: &[Parameter] = &[
    Parameter::new("bytes", Kind::Integer, "1 to 131072; 32 unless given"),
    Parameter::new("format", Kind::Text, "base64 or hex"),
    Parameter::new("source", Kind::Text, "Read from the path alone; each is the HSM's generator"),
];
pub(crate) const HASH: &[Parameter] = &[
    Parameter::new("algorithm", Kind::Text, "sha2-224 … sha2-512 or sha3-224 … sha3-512; the path's goes over it"),
    Parameter::new("format", Kind::Text, "hex or base64"),
    Parameter::new("input", Kind::Text, "Base64 of what is to be hashed"),
];

const MOST_BYTES: i64 = 131_072;

pub(crate) async fn random(call: Call) -> Result<Answer> {
    // One word in the path is a number of bytes or a source.
    let word = call.capture("urlbytes");
    let (source, path_bytes) = match (call.capture("source"), word) {
        ("", word) if word.parse::<i64>().is_err() => (word, ""),
        (source, word) => (source, word),
    };
    // The HSM is the one source there is, whatever it is called.
    if !matches!(source, "" | "all" | "platform" | "seal") {
        return Err(Error::invalid(format!(
            "unsupported entropy source {source:?}; must be \"platform\" or \"seal\", or \"all\""
        )));
    }
    let bytes = if path_bytes.is_empty() {
        call.parameters.integer("bytes")?.unwrap_or(32)
    } else {
        path_bytes.parse().map_err(|_| Error::invalid(format!("error parsing url-set byte count: {path_bytes:?}")))?
    };
    if bytes < 1 {
        return Err(Error::invalid("'bytes' cannot be less than 1"));
    }
    let wanted = u32::try_from(bytes).ok().filter(|_| bytes <= MOST_BYTES);
    let wanted = wanted.ok_or_else(|| Error::invalid(format!("'bytes' should be less than {MOST_BYTES}")))?;
    let encode = encoder(&call, "base64")?;
    let random = call.context.random(wanted).await?;
    Ok(Answer::data(json!({ "random_bytes": encode(&random) })))
}

pub(crate) async fn hash(call: Call) -> Result<Answer> {
    digest(&call, None).await
}

/// The same below `sys/tools/`, where no input is an empty one.
pub(crate) async fn sys_hash(call: Call) -> Result<Answer> {
    digest(&call, Some("")).await
}

async fn digest(call: &Call, default: Option<&str>) -> Result<Answer> {
    let path = call.capture("urlalgorithm");
    let field = call.parameters.text("algorithm")?;
    let name = if path.is_empty() { field.unwrap_or_else(|| "sha2-256".to_owned()) } else { path.to_owned() };
    let hash = Hash::parse(&name).filter(|hash| !hash.is_sha1());
    let hash = hash.ok_or_else(|| Error::invalid(format!("unsupported algorithm {name}")))?;
    let input = call.parameters.text("input")?;
    let input = input.as_deref().or(default).ok_or_else(|| Error::invalid("input missing"))?;
    let input = decode(input).map_err(Error::Invalid)?;
    let encode = encoder(call, "hex")?;
    Ok(Answer::data(json!({ "sum": encode(&call.context.hash(hash, &input).await?) })))
}

fn encoder(call: &Call, default: &str) -> Result<fn(&[u8]) -> String> {
    match call.parameters.text("format")?.as_deref().unwrap_or(default) {
        "base64" => Ok(|bytes| BASE64_STANDARD.encode(bytes)),
        "hex" => Ok(|bytes| hex::encode(bytes)),
        other => Err(Error::invalid(format!("unsupported encoding format {other:?}; must be \"hex\" or \"base64\""))),
    }
}

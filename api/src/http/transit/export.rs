//! Export.

use super::import::hash;
use super::keys::name;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{ByokRequest, ExportFormat, ExportKind, ExportRequest, ExportVersion, Key, KeyName};
use serde_json::{Map, Value, json};

pub(super) async fn export(call: Call) -> Result<Answer> {
    let kind = match call.capture("type") {
        "certificate-chain" => ExportKind::CertificateChain,
        "cmac-key" => ExportKind::CmacKey,
        "encryption-key" => ExportKind::EncryptionKey,
        "hmac-key" => ExportKind::HmacKey,
        "public-key" => ExportKind::PublicKey,
        "signing-key" => ExportKind::SigningKey,
        other => return Err(Error::invalid(format!("invalid export type: {other}"))),
    };
    let format = match call.parameters.text("format")?.unwrap_or_default().as_str() {
        "" => ExportFormat::Usual,
        "der" => ExportFormat::Der,
        "pem" => ExportFormat::Pem,
        "raw" => ExportFormat::Raw,
        other => return Err(Error::invalid(format!("invalid format: {other}"))),
    };
    let Some(key) = call.context.key(&call.mount, &name(&call)?).await? else { return Ok(Answer::nothing()) };
    let request = ExportRequest { kind, format, version: version(&call)?, fips: call.state.settings.fips };
    let exported = call.context.export_key(&key, request).await?;
    Ok(shown(&key, exported.iter().map(|(version, text)| (version, text.as_str().into()))))
}

/// For the holder of another key of the mount.
pub(super) async fn byok(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let asked = hash(&call, "hash").and_then(|hash| Ok((hash, version(&call)?)));
    let (hash, version) = call.context.understood("key.export", &name, asked).await?;
    let destination = KeyName::parse(call.capture("destination"));
    let destination = destination.ok_or_else(|| Error::invalid("no name of a key"))?;
    let Some(destination) = call.context.key(&call.mount, &destination).await? else {
        return Err(call.context.miss_key("key.export", &name, "no such destination key to export to").await);
    };
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.miss_key("key.export", &name, "no such source key to export").await);
    };
    let request = ByokRequest { destination: &destination, hash, version, fips: call.state.settings.fips };
    let exported = call.context.export_for(&key, request).await?;
    Ok(shown(&key, exported.iter().map(|(version, wrapped)| (version, BASE64_STANDARD.encode(wrapped).into()))))
}

fn shown<'v>(key: &Key, versions: impl Iterator<Item = (&'v u32, Value)>) -> Answer {
    let keys: Map<String, Value> = versions.map(|(version, value)| (version.to_string(), value)).collect();
    Answer::data(json!({ "keys": keys, "name": key.name.as_str(), "type": key.algorithm.name() }))
}

pub(super) fn version(call: &Call) -> Result<ExportVersion> {
    match call.capture("version") {
        "" => Ok(ExportVersion::All),
        "latest" => Ok(ExportVersion::Latest),
        number => number.parse().map(ExportVersion::Number).map_err(|_| Error::invalid("invalid key version")),
    }
}

//! Export.

use super::keys::name;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use keyvault::key::{ExportFormat, ExportKind, ExportRequest, ExportVersion};
use serde_json::{Map, Value, json};

pub(super) async fn export(call: Call) -> Result<Answer> {
    let kind = match call.capture("type") {
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
    let keys: Map<String, Value> =
        exported.iter().map(|(version, text)| (version.to_string(), text.as_str().into())).collect();
    Ok(Answer::data(json!({ "keys": keys, "name": key.name.as_str(), "type": key.algorithm.name() })))
}

pub(super) fn version(call: &Call) -> Result<ExportVersion> {
    match call.capture("version") {
        "" => Ok(ExportVersion::All),
        "latest" => Ok(ExportVersion::Latest),
        number => number.parse().map(ExportVersion::Number).map_err(|_| Error::invalid("invalid key version")),
    }
}

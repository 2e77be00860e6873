//! Data keys.

use super::encrypt::{decode_associated_data, decode_context};
use super::keys::name;
use super::versioned;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{DataKeyRequest, EncryptItem};
use serde_json::json;

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("associated_data", Kind::Text, "Base64 of what is authenticated with the encrypted key"),
    Parameter::new("bits", Kind::Integer, "128, 256 (unless given) or 512"),
    Parameter::new("context", Kind::Text, "Base64 of the context, for derived keys"),
    Parameter::new("key_version", Kind::Integer, "Version that encrypts; 0: the newest"),
];

pub(super) async fn make(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let request = call.context.understood("key.datakey", &name, read(&call)).await?;
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.datakey", &name, "encryption key not found").await);
    };
    let made = call.context.data_key(&key, request).await?;
    let ciphertext = versioned::text(made.encrypted.version, &made.encrypted.ciphertext);
    let mut data = json!({ "ciphertext": ciphertext, "key_version": made.encrypted.version });
    if let Some(plaintext) = made.plaintext {
        data["plaintext"] = BASE64_STANDARD.encode(&*plaintext).into();
    }
    Ok(Answer::data(data))
}

fn read(call: &Call) -> Result<DataKeyRequest> {
    let parameters = &call.parameters;
    let in_clear = match call.capture("plaintext") {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    };
    let bytes = match parameters.integer("bits")?.unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::invalid("invalid bit length")),
    };
    let context = parameters.text("context")?.unwrap_or_default();
    let associated_data = parameters.text("associated_data")?.unwrap_or_default();
    let item = EncryptItem {
        plaintext: Vec::new(),
        version: parameters.integer("key_version")?.unwrap_or(0),
        context: decode_context(&context).map_err(Error::Invalid)?,
        associated_data: decode_associated_data(&associated_data, 0).map_err(Error::Invalid)?,
    };
    Ok(DataKeyRequest { bytes, in_clear, fips: call.state.settings.fips, item })
}

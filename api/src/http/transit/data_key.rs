//! Data keys, and data key pairs, which Vault does not have.

use super::encrypt::{decode_associated_data, decode_context};
use super::keys::{missing, name};
use super::versioned;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{DataKeyPairRequest, DataKeyRequest, EncryptItem, KeyAlgorithm};
use serde_json::json;

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("associated_data", Kind::Text, "Base64 of what is authenticated with the encrypted key"),
    Parameter::new("bits", Kind::Integer, "128, 256 (unless given) or 512"),
    Parameter::new("context", Kind::Text, "Base64 of the context, for derived keys"),
    Parameter::new("key_version", Kind::Integer, "Version that encrypts; 0: the newest"),
];

pub(super) const PAIR_FIELDS: &[Parameter] = &[
    Parameter::new("associated_data", Kind::Text, "Base64 of what is authenticated with the encrypted private key"),
    Parameter::new("context", Kind::Text, "Base64 of the context, for derived keys"),
    Parameter::new(
        "key_type",
        Kind::Text,
        "ecdsa-p256, ecdsa-p384, ecdsa-p521, ecdh-p256, ecdh-p384, ecdh-p521, rsa-2048, rsa-3072 or rsa-4096, and where the token can wrap such keys ed25519 or x25519",
    )
    .required(),
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

pub(super) async fn make_pair(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let request = call.context.understood("key.datakeypair", &name, read_pair(&call)).await?;
    let key_type = request.algorithm.name();
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        return Err(call.context.refuse_key("key.datakeypair", &name, "encryption key not found").await);
    };
    let made = call.context.data_key_pair(&key, request).await?;
    let ciphertext = versioned::text(made.encrypted.version, &made.encrypted.ciphertext);
    let mut data = json!({
        "ciphertext": ciphertext,
        "key_type": key_type,
        "key_version": made.encrypted.version,
        "public_key": format!("{}\n", made.public.trim_end()),
    });
    if let Some(private) = made.private {
        data["plaintext"] = BASE64_STANDARD.encode(&*private).into();
    }
    Ok(Answer::data(data))
}

fn read(call: &Call) -> Result<DataKeyRequest> {
    let in_clear = in_clear(call)?;
    let bytes = match call.parameters.integer("bits")?.unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::invalid("invalid bit length")),
    };
    Ok(DataKeyRequest { bytes, in_clear, fips: call.state.settings.fips, item: item(call)? })
}

fn read_pair(call: &Call) -> Result<DataKeyPairRequest> {
    let in_clear = in_clear(call)?;
    let kind = call.parameters.text("key_type")?.unwrap_or_default();
    if let Some(refused) = missing(&kind) {
        return Err(refused);
    }
    let algorithm = KeyAlgorithm::parse(&kind, None).filter(|algorithm| !algorithm.is_symmetric());
    let algorithm = algorithm.ok_or_else(|| {
        let pairs = "ecdsa-p256 … ecdsa-p521, ecdh-p256 … ecdh-p521, rsa-2048 … rsa-4096, ed25519 or x25519";
        Error::invalid(format!("unknown key_type {kind:?}: a pair is one of {pairs}"))
    })?;
    Ok(DataKeyPairRequest { algorithm, in_clear, fips: call.state.settings.fips, item: item(call)? })
}

/// What the last word but one of the path asks for.
fn in_clear(call: &Call) -> Result<bool> {
    match call.capture("plaintext") {
        "plaintext" => Ok(true),
        "wrapped" => Ok(false),
        _ => Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    }
}

/// How the new key is encrypted, which is not there yet.
fn item(call: &Call) -> Result<EncryptItem> {
    let parameters = &call.parameters;
    let context = parameters.text("context")?.unwrap_or_default();
    let associated_data = parameters.text("associated_data")?.unwrap_or_default();
    Ok(EncryptItem {
        version: parameters.integer("key_version")?.unwrap_or(0),
        context: decode_context(&context).map_err(Error::Invalid)?,
        associated_data: decode_associated_data(&associated_data, 0).map_err(Error::Invalid)?,
        ..EncryptItem::default()
    })
}

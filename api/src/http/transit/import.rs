//! Import.

use super::keys::{approved, auto_rotate, derivation, missing, name};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{Hash, ImportedMaterial, KeyAlgorithm, NewImport};
use serde_json::json;

pub(super) async fn wrapping_key(call: Call) -> Result<Answer> {
    Ok(Answer::data(json!({ "public_key": call.context.wrapping_key(&call.mount).await? })))
}

pub(super) async fn import(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let asked = new(&call).await.and_then(|new| Ok((new, material(&call)?)));
    let (new, material) = call.context.understood("key.import", &name, asked).await?;
    call.context.import_key(&call.mount, &name, new, material).await?;
    Ok(Answer::nothing())
}

pub(super) async fn import_version(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let completed = call.parameters.integer("version")?.filter(|version| *version != 0);
    let material = call.context.understood("key.import", &name, material(&call)).await?;
    call.context.import_version(&call.mount, &name, completed, material).await?;
    Ok(Answer::nothing())
}

async fn new(call: &Call) -> Result<NewImport> {
    let parameters = &call.parameters;
    let flag = |name: &str| parameters.flag(name).map(|flag| flag.unwrap_or(false));
    if flag("convergent_encryption")? {
        return Err(Error::invalid("import cannot be used on keys with convergent encryption enabled"));
    }
    Ok(NewImport {
        algorithm: approved(call, algorithm(&parameters.text("type")?.unwrap_or_else(|| "aes256-gcm96".to_owned()))?)?,
        derivation: derivation(call, flag("derived")?, false).await?,
        exportable: flag("exportable")?,
        allow_plaintext_backup: flag("allow_plaintext_backup")?,
        auto_rotate_seconds: auto_rotate(call)?.unwrap_or(0),
        allow_rotation: flag("allow_rotation")?,
    })
}

/// Of type hmac the material decides the size.
fn algorithm(kind: &str) -> Result<KeyAlgorithm> {
    let size = (kind == "hmac").then_some(*KeyAlgorithm::HMAC_BYTES.start());
    match (KeyAlgorithm::parse(kind, size), missing(kind)) {
        (Some(algorithm), _) => Ok(algorithm),
        (None, Some(refused)) => Err(refused),
        (None, None) => Err(Error::invalid(format!("unknown key type: {kind}"))),
    }
}

/// The hash of RSA-OAEP and its MGF1.
pub(super) fn hash(call: &Call, field: &str) -> Result<Hash> {
    let word = call.parameters.text(field)?.unwrap_or_default();
    let hash = match word.to_ascii_uppercase().as_str() {
        "SHA1" => "sha1",
        "SHA224" => "sha2-224",
        "" | "SHA256" => "sha2-256",
        "SHA384" => "sha2-384",
        "SHA512" => "sha2-512",
        _ => return Err(Error::invalid(format!("unknown hash function: {word}"))),
    };
    Hash::parse(hash).ok_or_else(|| Error::invalid(format!("unknown hash function: {word}")))
}

/// `ciphertext` wins over `public_key`.
fn material(call: &Call) -> Result<ImportedMaterial> {
    let parameters = &call.parameters;
    let hash = hash(call, "hash_function")?;
    let given = |name: &str| parameters.text(name).map(|text| text.filter(|text| !text.is_empty()));
    if let Some(ciphertext) = given("ciphertext")? {
        let ciphertext = BASE64_STANDARD.decode(ciphertext.trim());
        let ciphertext = ciphertext.map_err(|_| Error::invalid("ciphertext is not base64"))?;
        return Ok(ImportedMaterial::Wrapped { hash, ciphertext, fips: call.state.settings.fips });
    }
    match given("public_key")? {
        Some(pem) => Ok(ImportedMaterial::Public(pem)),
        None => Err(Error::invalid("give ciphertext (the wrapped key) or public_key")),
    }
}

//! ECDH: a key that this side and the holder of another pair agree on becomes a key of this one, named in the path so that policies decide about its name
//! as well. Not in Vault.

use super::encapsulate::asked;
use super::field;
use super::shown;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::Kind::{Boolean, Integer, Text};
use crate::http::table::Parameter;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{AgreementRequest, KeyAlgorithm, KeyDerivation};
use serde_json::json;

pub(super) const FIELDS: &[Parameter] = &[
    field("exportable", Boolean, "The key that is agreed on may be exported"),
    field("info", Text, "Base64 of what both sides have the key depend on"),
    field(
        "kdf",
        Text,
        "How the key is made of the shared secret, in the token: x963-sha2-256, x963-sha2-384 or x963-sha2-512 (ANSI X9.63) where it can, or aes-ecb-encrypt-data",
    )
    .required(),
    field("key_version", Integer, "Version that agrees; 0: the newest"),
    field("public_key", Text, "PEM of the other side's public key, on the same curve").required(),
];

pub(super) async fn agree(call: Call) -> Result<Answer> {
    let (key, secret) = asked(&call, "key.agree", "key for agreement not found").await?;
    let request = call.context.understood("key.agree", &key.name, wanted(&call, key.algorithm)).await?;
    let (version, kdf) = (request.version, request.derivation.name());
    let agreed = call.context.agree(&key, request, secret).await?;
    let mut data = shown::key(&agreed);
    data["kdf"] = kdf.into();
    data["key_version"] = json!(if version == 0 { i64::from(key.settings.latest_version) } else { version });
    Ok(Answer::data(data))
}

fn wanted(call: &Call, algorithm: KeyAlgorithm) -> Result<AgreementRequest> {
    let parameters = &call.parameters;
    let name = parameters.text("kdf")?.unwrap_or_default();
    let derivation = KeyDerivation::parse(&name).ok_or_else(|| {
        Error::invalid(format!(
            "unknown kdf {name:?}: both sides must use the same; there are {}",
            KeyDerivation::names()
        ))
    })?;
    if call.state.settings.fips && !derivation.is_approved() {
        return Err(Error::invalid("fips: kdf aes-ecb-encrypt-data is not approved (SP 800-56C)"));
    }
    if call.state.settings.fips && algorithm == KeyAlgorithm::X25519 {
        return Err(Error::invalid("fips: agreement by X25519 is not approved (SP 800-56A)"));
    }
    let info = parameters.text("info")?.unwrap_or_default();
    let info = BASE64_STANDARD.decode(info.trim()).map_err(|_| Error::invalid("info is not base64"))?;
    Ok(AgreementRequest {
        public_key: parameters.text("public_key")?.unwrap_or_default(),
        derivation,
        info,
        version: parameters.integer("key_version")?.unwrap_or(0),
    })
}

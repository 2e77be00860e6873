//! ML-KEM: a secret that two sides share becomes a key of this one, named in the path so that policies decide about its name as well. Not in Vault.

use super::field;
use super::keys::name;
use super::shown;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::Kind::{Boolean, Integer, Text};
use crate::http::table::Parameter;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keyvault::key::{Key, KeyName, SharedSecret};
use serde_json::json;
use std::sync::Arc;

const NOT_FOUND: &str = "encapsulation key not found";

pub(super) const ENCAPSULATE: &[Parameter] = &[
    field("exportable", Boolean, "The shared secret may be exported"),
    field("key_version", Integer, "Version to whose public half it is encapsulated; 0: the newest"),
];
pub(super) const DECAPSULATE: &[Parameter] = &[
    field("ciphertext", Text, "Base64 of what was encapsulated").required(),
    field("exportable", Boolean, "The shared secret may be exported"),
    field("key_version", Integer, "Version that it was encapsulated to; 0: the newest"),
];

pub(super) async fn encapsulate(call: Call) -> Result<Answer> {
    let (key, secret) = asked(&call, "key.encapsulate", NOT_FOUND).await?;
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let (ciphertext, shared) = call.context.encapsulate(&key, version, secret).await?;
    let mut data = shown::key(&shared);
    data["ciphertext"] = BASE64_STANDARD.encode(ciphertext).into();
    data["key_version"] = json!(if version == 0 { i64::from(key.settings.latest_version) } else { version });
    Ok(Answer::data(data))
}

pub(super) async fn decapsulate(call: Call) -> Result<Answer> {
    let (key, secret) = asked(&call, "key.decapsulate", NOT_FOUND).await?;
    let version = call.parameters.integer("key_version")?.unwrap_or(0);
    let ciphertext = call.parameters.text("ciphertext")?.unwrap_or_default();
    let ciphertext = BASE64_STANDARD.decode(ciphertext.trim()).map_err(|_| Error::invalid("ciphertext is not base64"));
    let ciphertext = call.context.understood("key.decapsulate", &key.name, ciphertext).await?;
    let shared = call.context.decapsulate(&key, version, ciphertext, secret).await?;
    Ok(Answer::data(shown::key(&shared)))
}

/// The key by which it is shared, and what the secret is to be.
pub(super) async fn asked(call: &Call, event_type: &'static str, missing: &str) -> Result<(Arc<Key>, SharedSecret)> {
    let by = name(call)?;
    let into = KeyName::parse(call.capture("into")).ok_or_else(|| Error::invalid("no name of a key"))?;
    let exportable = call.parameters.flag("exportable")?.unwrap_or(false);
    let Some(key) = call.context.key(&call.mount, &by).await? else {
        return Err(call.context.refuse_key(event_type, &by, missing).await);
    };
    Ok((key, SharedSecret { name: into, exportable }))
}

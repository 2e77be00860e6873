//! Certificates of keys.

use super::field;
use super::keys::name;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::Kind::{Integer, Text};
use crate::http::table::Parameter;
use keyvault::key::Key;
use serde_json::json;

pub(super) const REQUEST: &[Parameter] = &[
    field("csr", Text, "PEM of a request whose subject and attributes are taken; its key and signature are not"),
    field("version", Integer, "Version; 0: the newest"),
];
pub(super) const SET: &[Parameter] = &[
    field("certificate_chain", Text, "PEM: the certificate of the key, then those of its issuers").required(),
    field("version", Integer, "Version; 0: the newest"),
];

pub(super) async fn request(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let version = call.parameters.integer("version")?.unwrap_or(0);
    let template = call.parameters.text("csr")?.filter(|template| !template.is_empty());
    let Some(key) = call.context.key(&call.mount, &name).await? else {
        let text = format!("key with provided name '{name}' not found");
        return Err(call.context.refuse_key("key.request_certificate", &name, &text).await);
    };
    let csr = call.context.request_certificate(&key, version, template.as_deref()).await?;
    Ok(Answer::data(json!({ "csr": csr, "name": key.name.as_str(), "type": key.algorithm.name() })))
}

pub(super) async fn set(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let version = call.parameters.integer("version")?.unwrap_or(0);
    let chain = call.parameters.text("certificate_chain")?.unwrap_or_default();
    let key = call.context.set_certificate(&call.mount, &name, version, &chain).await?;
    let chain = kept(&key, version).ok_or_else(|| Error::Internal("a chain that was set is not there".into()))?;
    Ok(Answer::data(json!({
        "certificate_chain": chain,
        "name": key.name.as_str(),
        "type": key.algorithm.name(),
    })))
}

fn kept(key: &Key, version: i64) -> Option<&str> {
    let number = if version == 0 { key.settings.latest_version } else { u32::try_from(version).ok()? };
    key.versions.get(&number)?.certificate_chain.as_deref()
}

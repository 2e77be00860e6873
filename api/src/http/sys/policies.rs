//! Access policies, on their path and on the old one.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clm_core::access::Policy;
use serde_json::json;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(names(&call).await?))
}

pub(super) async fn list_old(call: Call) -> Result<Answer> {
    let names = names(&call).await?;
    Ok(Answer::data(json!({ "keys": names, "policies": names })))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    Ok(read_as(&call, "policy").await?.map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn read_old(call: Call) -> Result<Answer> {
    Ok(read_as(&call, "rules").await?.map_or_else(Answer::nothing, Answer::data))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let mut warnings = Vec::new();
    let mut text = call.parameters.text("policy")?.filter(|text| !text.is_empty());
    if text.is_none()
        && let Some(rules) = call.parameters.text("rules")?.filter(|rules| !rules.is_empty())
    {
        warnings.push("'rules' is deprecated, please use 'policy' instead".to_owned());
        text = Some(rules);
    }
    let text = text.ok_or_else(|| Error::invalid("'policy' parameter not supplied or empty"))?;
    let name = call.capture("name");
    warnings.extend(call.context.services.core.put_policy(&call.context.caller, name, &plain(name, text)).await?);
    Ok(Answer::nothing().warn(warnings))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.services.core.delete_policy(&call.context.caller, call.capture("name")).await?;
    Ok(Answer::nothing())
}

async fn names(call: &Call) -> Result<Vec<String>> {
    Ok(call.context.services.core.list_policies(call.context.caller.organization_id).await?)
}

async fn read_as(call: &Call, field: &str) -> Result<Option<serde_json::Value>> {
    let organization = call.context.caller.organization_id;
    let policy = call.context.services.core.policy(organization, call.capture("name")).await?;
    Ok(policy.map(|(name, text)| json!({ "name": name, field: text })))
}

/// Some clients send base64; a text that is a policy as it stands is taken as it stands.
fn plain(name: &str, text: String) -> String {
    if Policy::parse(name, &text).is_ok() {
        return text;
    }
    let decoded = BASE64_STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}

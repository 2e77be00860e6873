//! Keys.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::NewApiKey;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(super) async fn create(call: Call) -> Result<Answer> {
    let text = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.unwrap_or_default());
    let new = NewApiKey {
        username: text("username")?,
        key_name: text("key_name")?,
        scopes: call.parameters.list("scopes")?.unwrap_or_default(),
        ttl: call.parameters.lasting("ttl")?.unwrap_or_default(),
    };
    let (key, text) = call.context.services.core.create_api_key(&call.context.caller, &call.mount, new).await?;
    let mut data = key.data();
    data["api_key"] = text.expose_secret().into();
    Ok(Answer::data(data).about(key.id.to_string()))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let Ok(id) = Uuid::try_parse(call.capture("id")) else { return Ok(Answer::nothing()) };
    let key = call.context.services.core.api_key(&call.mount, id).await?;
    Ok(key.map_or_else(Answer::nothing, |key| Answer::data(key.data())))
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    let keys = call.context.services.core.list_api_keys(&call.mount).await?;
    let shown = |key: &clm_core::ApiKey| json!({ "key_name": key.key_name, "key_prefix": key.key_prefix, "is_active": key.is_active });
    let key_info: Map<String, Value> = keys.iter().map(|key| (key.id.to_string(), shown(key))).collect();
    if key_info.is_empty() {
        return Ok(Answer::nothing());
    }
    Ok(Answer::data(json!({ "keys": key_info.keys().collect::<Vec<_>>(), "key_info": key_info })))
}

pub(super) async fn revoke(call: Call) -> Result<Answer> {
    if let Ok(id) = Uuid::try_parse(call.capture("id")) {
        call.context.services.core.revoke_api_key(&call.context.caller, &call.mount, id).await?;
    }
    Ok(Answer::nothing())
}

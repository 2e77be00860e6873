//! Making tokens.

use super::shown::issued;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::NewToken;
use secrecy::SecretString;
use serde_json::Value;

pub(super) async fn create(call: Call, orphan_path: bool) -> Result<Answer> {
    let parameters = &call.parameters;
    let seconds = |name: &str| parameters.seconds(name).map(Option::unwrap_or_default);
    let ttl = match seconds("ttl")? {
        0 => seconds("lease")?,
        ttl => ttl,
    };
    let new = NewToken {
        id: parameters.text("id")?.filter(|id| !id.is_empty()).map(SecretString::from),
        policies: policies(parameters.value("policies"))?,
        meta: parameters.texts("meta")?,
        no_parent: parameters.flag("no_parent")?.unwrap_or(false),
        orphan_path,
        no_default_policy: parameters.flag("no_default_policy")?.unwrap_or(false),
        renewable: parameters.flag("renewable")?.unwrap_or(true),
        ttl,
        token_type: parameters.text("type")?,
        explicit_max_ttl: seconds("explicit_max_ttl")?,
        entity_alias: parameters.text("entity_alias")?,
        display_name: parameters.text("display_name")?,
        num_uses: parameters.integer("num_uses")?.unwrap_or(0),
        period: seconds("period")?,
        sudo: call.context.sudo,
        path: call.context.caller.path.to_string(),
        role: Some(call.capture("name").to_owned()).filter(|role| !role.is_empty()),
    };
    let core = &call.context.services.core;
    let (made, warnings) = core.create_token(&call.context.caller, &call.context.authority, new).await?;
    Ok(issued(&made, warnings))
}

/// Here, and only here, a text is one name, with its commas.
fn policies(value: Option<&Value>) -> Result<Vec<String>> {
    let refused = || Error::invalid("policies must be a list of names");
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(name)) if name.is_empty() => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(refused)).collect()
        }
        Some(_) => Err(refused()),
    }
}

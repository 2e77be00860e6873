//! Backups of keys.

use super::keys::name;
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use keyvault::key::KeyName;
use serde_json::json;

pub(super) const RESTORE: &[Parameter] = &[
    Parameter::new("backup", Kind::Text, "What a backup answered").required(),
    Parameter::new("force", Kind::Boolean, "In place of a key of that name, which is destroyed"),
];

pub(super) async fn back_up(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    if call.context.key(&call.mount, &name).await?.is_none() {
        return Err(call.context.miss_key("key.backup", &name, &format!("key \"{name}\" not found")).await);
    }
    Ok(Answer::data(json!({ "backup": call.context.back_up_key(&call.mount, &name).await? })))
}

pub(super) async fn restore(call: Call) -> Result<Answer> {
    let name = KeyName::parse(call.capture("name"));
    let backup = call.parameters.text("backup")?.unwrap_or_default();
    let force = call.parameters.flag("force")?.unwrap_or(false);
    call.context.restore_key(&call.mount, name.as_ref(), &backup, force).await?;
    Ok(Answer::nothing())
}

//! Roles.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use crate::http::table::{Captures, captured};
use crate::http::token_settings::token_settings;
use clm_core::{AppRoleChange, Mount};
use futures_util::future::BoxFuture;
use serde_json::json;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_app_roles(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.app_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let mut change = change(&call.parameters)?;
    let given = change.token.token_type.as_deref().filter(|given| ["default-batch", "default-service"].contains(given));
    let meant = given.and_then(|given| given.strip_prefix("default-"));
    // A role that is to give one type gives it, whatever its mount's default is.
    let warning = meant.map(str::to_owned).map(|meant| {
        let warning = format!("default-{meant} has no useful meaning; adjusting to {meant}");
        change.token.token_type = Some(meant);
        warning
    });
    Ok(put(&call, change).await?.warn(warning))
}

/// A role that is there is changed, not made.
pub(super) fn exists<'c>(
    context: &'c Context,
    mount: &'c Mount,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    let name = captured(captures, "name");
    Box::pin(async move { Ok(context.services.core.app_role(mount, name).await?.is_some()) })
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_app_role(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

pub(super) async fn read_id(call: Call) -> Result<Answer> {
    let role = call.context.services.core.app_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(json!({ "role_id": role.role_id }))))
}

pub(super) async fn write_id(call: Call) -> Result<Answer> {
    let role_id = call.parameters.text("role_id")?.filter(|role_id| !role_id.is_empty());
    let role_id = role_id.ok_or_else(|| Error::invalid("missing role_id"))?;
    put(&call, AppRoleChange { role_id: Some(role_id), must_exist: true, ..AppRoleChange::default() }).await
}

pub(super) async fn put(call: &Call, change: AppRoleChange) -> Result<Answer> {
    let core = &call.context.services.core;
    let warnings = core.put_app_role(&call.context.caller, &call.mount, call.capture("name"), change).await?;
    Ok(Answer::nothing().warn(warnings))
}

/// The fields that are there, by their old names too.
pub(super) fn change(parameters: &Parameters) -> Result<AppRoleChange> {
    let networks = match parameters.list("secret_id_bound_cidrs")? {
        Some(networks) => Some(networks),
        None => parameters.list("bound_cidr_list")?,
    };
    Ok(AppRoleChange {
        role_id: parameters.text("role_id")?.filter(|role_id| !role_id.is_empty()),
        bind_secret_id: parameters.flag("bind_secret_id")?,
        secret_id_bound_cidrs: networks,
        secret_id_num_uses: parameters.integer("secret_id_num_uses")?,
        secret_id_ttl: parameters.lasting("secret_id_ttl")?,
        local_secret_ids: parameters.flag("local_secret_ids")?,
        token: token_settings(parameters, &["period", "policies"])?,
        must_exist: false,
    })
}

//! Roles.

use crate::app::{Context, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, captured};
use crate::http::token_settings::{OLD_NAMES, token_settings};
use clm_core::{KubernetesRoleChange, Mount};
use futures_util::future::BoxFuture;

/// A role that is there is changed, not made.
pub(super) fn exists<'c>(
    context: &'c Context,
    mount: &'c Mount,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    let name = captured(captures, "name");
    Box::pin(async move { Ok(context.services.core.kubernetes_role(mount, name).await?.is_some()) })
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_login_roles(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.kubernetes_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let change = KubernetesRoleChange {
        bound_service_account_names: parameters.list("bound_service_account_names")?,
        bound_service_account_namespaces: parameters.list("bound_service_account_namespaces")?,
        audience: parameters.text("audience")?,
        alias_name_source: parameters.text("alias_name_source")?,
        token: token_settings(parameters, OLD_NAMES)?,
    };
    let core = &call.context.services.core;
    core.put_kubernetes_role(&call.context.caller, &call.mount, call.capture("name"), change).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_kubernetes_role(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

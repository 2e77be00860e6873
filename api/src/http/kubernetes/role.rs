//! Roles.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::token_settings::token_settings;
use clm_core::KubernetesRoleChange;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_login_roles(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.kubernetes_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let mut token = token_settings(parameters)?;
    token.ttl = token.ttl.or(parameters.lasting("ttl")?);
    token.max_ttl = token.max_ttl.or(parameters.lasting("max_ttl")?);
    let change = KubernetesRoleChange {
        bound_service_account_names: parameters.list("bound_service_account_names")?,
        bound_service_account_namespaces: parameters.list("bound_service_account_namespaces")?,
        audience: parameters.text("audience")?,
        alias_name_source: parameters.text("alias_name_source")?,
        token,
    };
    let core = &call.context.services.core;
    let written = core.put_kubernetes_role(&call.context.caller, &call.mount, call.capture("name"), change).await;
    call.context.recorded("update", written).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    let deleted = core.delete_kubernetes_role(&call.context.caller, &call.mount, call.capture("name")).await;
    call.context.recorded("delete", deleted).await?;
    Ok(Answer::nothing())
}

//! Roles.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, captured};
use crate::http::token_settings::{OLD_NAMES, token_settings};
use clm_core::{JwtRoleChange, Mount};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

/// A role that is there is changed, not made.
pub(super) fn exists<'c>(
    context: &'c Context,
    mount: &'c Mount,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    let name = captured(captures, "name");
    Box::pin(async move { Ok(context.services.core.jwt_role(mount, name).await?.is_some()) })
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_login_roles(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.jwt_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let change = JwtRoleChange {
        role_type: parameters.text("role_type")?,
        allowed_redirect_uris: parameters.list("allowed_redirect_uris")?,
        oidc_scopes: parameters.list("oidc_scopes")?,
        max_age: parameters.lasting("max_age")?,
        bound_audiences: parameters.list("bound_audiences")?,
        bound_subject: parameters.text("bound_subject")?,
        bound_claims: bound_claims(parameters.value("bound_claims"))?,
        bound_claims_type: parameters.text("bound_claims_type")?,
        user_claim: parameters.text("user_claim")?,
        groups_claim: parameters.text("groups_claim")?,
        claim_mappings: parameters.texts("claim_mappings")?,
        expiration_leeway: parameters.seconds("expiration_leeway")?,
        not_before_leeway: parameters.seconds("not_before_leeway")?,
        clock_skew_leeway: parameters.seconds("clock_skew_leeway")?,
        token: token_settings(parameters, OLD_NAMES)?,
    };
    let core = &call.context.services.core;
    core.put_jwt_role(&call.context.caller, &call.mount, call.capture("name"), change).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_jwt_role(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

/// Their types count: `true` is not `"true"`.
fn bound_claims(value: Option<&Value>) -> Result<Option<Map<String, Value>>> {
    match value {
        None => Ok(None),
        Some(Value::Object(claims)) => Ok(Some(claims.clone())),
        Some(Value::String(empty)) if empty.is_empty() => Ok(Some(Map::new())),
        Some(_) => Err(Error::invalid("bound_claims should be an object: values, or lists of values, by claim")),
    }
}

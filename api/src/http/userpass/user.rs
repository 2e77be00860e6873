//! People.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, captured};
use crate::http::token_settings::{OLD_NAMES_WITHOUT_USES, token_settings};
use clm_core::{Mount, TokenSettingsChange, UserChange};
use futures_util::future::BoxFuture;
use secrecy::SecretString;

/// A person who can log in here already is changed, not made.
pub(super) fn exists<'c>(
    context: &'c Context,
    mount: &'c Mount,
    captures: &'c Captures,
) -> BoxFuture<'c, Result<bool>> {
    let name = captured(captures, "name");
    Box::pin(async move { Ok(context.services.core.user_role(mount, name).await?.is_some()) })
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_users(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.user_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.token.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    if parameters.value("password_hash").is_some() {
        return Err(Error::invalid("password_hash is not taken: bcrypt hashes would stay; send the password"));
    }
    let token = token_settings(parameters, OLD_NAMES_WITHOUT_USES)?;
    let change = UserChange {
        password: password(&call)?,
        email: parameters.text("email")?.filter(|email| !email.is_empty()),
        token,
        must_exist: false,
    };
    put(&call, change).await
}

pub(super) async fn write_password(call: Call) -> Result<Answer> {
    let password = password(&call)?.ok_or_else(|| Error::invalid("missing password"))?;
    put(&call, UserChange { password: Some(password), must_exist: true, ..UserChange::default() }).await
}

pub(super) async fn write_policies(call: Call) -> Result<Answer> {
    let all = token_settings(&call.parameters, OLD_NAMES_WITHOUT_USES)?;
    let policies = all.policies.ok_or_else(|| Error::invalid("missing token_policies"))?;
    let token =
        TokenSettingsChange { policies: Some(policies), old_names: all.old_names, ..TokenSettingsChange::default() };
    put(&call, UserChange { token, must_exist: true, ..UserChange::default() }).await
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_user(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

async fn put(call: &Call, change: UserChange) -> Result<Answer> {
    let core = &call.context.services.core;
    core.put_user(&call.context.caller, &call.mount, call.capture("name"), change).await?;
    Ok(Answer::nothing())
}

fn password(call: &Call) -> Result<Option<SecretString>> {
    Ok(call.parameters.text("password")?.filter(|password| !password.is_empty()).map(SecretString::from))
}

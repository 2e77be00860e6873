//! Logging in through a browser.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use crate::http::table::Verb;
use clm_core::{OidcCallback, OidcRequest};
use serde_json::json;

pub(super) async fn auth_url(call: OpenCall) -> Result<Answer> {
    let given = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.filter(|text| !text.is_empty()));
    let request = OidcRequest {
        role: given("role")?,
        redirect_uri: given("redirect_uri")?.unwrap_or_default(),
        client_nonce: given("client_nonce")?.map(Into::into),
    };
    let (core, mount) = call.login_method()?;
    let url = core.oidc_auth_url(&call.visitor(), mount, request).await?;
    Ok(Answer::data(json!({ "auth_url": url.unwrap_or_default() })))
}

pub(super) async fn callback(call: OpenCall) -> Result<Answer> {
    let given = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.filter(|text| !text.is_empty()));
    let callback = OidcCallback {
        state: given("state")?.unwrap_or_default(),
        code: given("code")?.map(Into::into),
        client_nonce: given("client_nonce")?.map(Into::into),
        posted: call.verb == Verb::Write,
    };
    let (core, mount) = call.login_method()?;
    let given = core.login_oidc(&call.visitor(), mount, callback).await?;
    Ok(given.map_or_else(Answer::nothing, |(made, warnings)| admitted(&made, warnings)))
}

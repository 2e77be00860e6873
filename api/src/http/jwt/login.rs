//! Logging in.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use clm_core::JwtLogin;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    let jwt = call.parameters.text("jwt")?.filter(|jwt| !jwt.is_empty());
    let jwt = jwt.ok_or_else(|| Error::invalid("missing token"))?;
    let login = JwtLogin { role: call.parameters.text("role")?, jwt: jwt.into() };
    let (core, mount) = call.login_method()?;
    let (made, warnings) = core.login_jwt(&call.visitor(), mount, login).await?;
    Ok(admitted(&made, warnings))
}

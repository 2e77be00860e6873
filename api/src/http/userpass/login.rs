//! Logging in.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use clm_core::UserLogin;
use secrecy::SecretString;
use uuid::Uuid;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    let password = call.parameters.text("password")?.filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| Error::invalid("missing password"))?;
    let named = |name: &str| -> Result<_> { Ok(call.parameters.text(name)?.filter(|code| !code.is_empty())) };
    // One that names a method by its id is for what is needed beside the person's own.
    let own = call.mfa.iter().find(|presented| Uuid::try_parse(&presented.method).is_err());
    let in_header = || own.map(|presented| presented.code.clone());
    let passcode = named("passcode")?.or(named("totp")?).map(SecretString::from).or_else(in_header);
    let login = UserLogin { name: call.capture("name").to_owned(), password: password.into(), passcode };
    let (core, mount) = call.login_method()?;
    let (made, warnings) = core.login_user(&call.visitor(), mount, login).await?;
    Ok(admitted(&made, warnings))
}

//! Logging in.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use secrecy::SecretString;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    let key = call.parameters.text("api_key")?.filter(|key| !key.is_empty());
    let key = key.map(SecretString::from).ok_or_else(|| Error::invalid("missing api_key"))?;
    let (core, mount) = call.login_method()?;
    let (made, warnings) = core.login_api_key(&call.visitor(), mount, key).await?;
    Ok(admitted(&made, warnings))
}

//! Logging in.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use clm_core::AppRoleLogin;
use secrecy::SecretString;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    // Files that they are read from end in a newline.
    let given = |name: &str| {
        let text = call.parameters.text(name)?.map(|text| text.trim().to_owned());
        Ok::<_, Error>(text.filter(|text| !text.is_empty()))
    };
    let Some(role_id) = given("role_id")? else { return Err(Error::invalid("missing role_id")) };
    let secret_id = given("secret_id")?.map(SecretString::from);
    let (core, mount) = call.login_method()?;
    let login = AppRoleLogin { role_id, secret_id };
    let (made, warnings) = core.login_app_role(&call.visitor(), mount, login).await?;
    Ok(admitted(&made, warnings))
}

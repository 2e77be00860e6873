//! Logging in.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use clm_core::KubernetesLogin;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    let given = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.filter(|text| !text.is_empty()));
    let role = given("role")?.ok_or_else(|| Error::invalid("missing role"))?;
    let jwt = given("jwt")?.ok_or_else(|| Error::invalid("missing jwt"))?;
    let (core, mount) = call.login_method()?;
    let login = KubernetesLogin { role, jwt: jwt.into() };
    let (made, warnings) = core.login_kubernetes(&call.visitor(), mount, login).await?;
    Ok(admitted(&made, warnings))
}

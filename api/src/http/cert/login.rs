//! Logging in.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::auth_token::admitted;
use crate::http::call::OpenCall;
use clm_core::CertLogin;

pub(super) async fn login(call: OpenCall) -> Result<Answer> {
    let chain = call.peer.certificates.iter().flat_map(|chain| chain.iter());
    let login = CertLogin {
        name: call.parameters.text("name")?,
        chain: chain.map(|certificate| certificate.as_ref().to_vec()).collect(),
    };
    let (core, mount) = call.login_method()?;
    let (made, warnings) = core.login_cert(&call.visitor(), mount, login).await?;
    Ok(admitted(&made, warnings))
}

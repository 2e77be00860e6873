//! Roles.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::token_settings::{OLD_NAMES_WITHOUT_USES, token_settings};
use clm_core::CertRoleChange;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_login_roles(&call.mount).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let role = call.context.services.core.cert_role(&call.mount, call.capture("name")).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    if parameters.list("required_extensions")?.is_some_and(|wanted| !wanted.is_empty()) {
        return Err(Error::invalid("required_extensions are not looked at: the role would admit more than it says"));
    }
    if parameters.flag("ocsp_enabled")? == Some(true) {
        return Err(Error::invalid(
            "ocsp_enabled is not taken: nobody is asked whether a certificate was revoked, and the role would admit more than it says",
        ));
    }
    let mut token = token_settings(parameters, OLD_NAMES_WITHOUT_USES)?;
    token.ttl = token.ttl.or(parameters.lasting("lease")?);
    let change = CertRoleChange {
        certificate: parameters.text("certificate")?,
        display_name: parameters.text("display_name")?,
        allowed_names: parameters.list("allowed_names")?,
        allowed_common_names: parameters.list("allowed_common_names")?,
        allowed_dns_sans: parameters.list("allowed_dns_sans")?,
        allowed_email_sans: parameters.list("allowed_email_sans")?,
        allowed_uri_sans: parameters.list("allowed_uri_sans")?,
        allowed_organizational_units: parameters.list("allowed_organizational_units")?,
        token,
    };
    let core = &call.context.services.core;
    core.put_cert_role(&call.context.caller, &call.mount, call.capture("name"), change).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_cert_role(&call.context.caller, &call.mount, call.capture("name")).await?;
    Ok(Answer::nothing())
}

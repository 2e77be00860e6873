//! Whom the method believes.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::{JwtConfig, JwtConfigChange};

pub(super) async fn read(call: Call) -> Result<Answer> {
    let config = call.context.services.core.jwt_config(&call.mount).await?;
    Ok(config.map_or_else(Answer::nothing, |config| Answer::data(config.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let text = |name: &str| Ok::<_, crate::app::Error>(call.parameters.text(name)?.unwrap_or_default());
    let list = |name: &str| Ok::<_, crate::app::Error>(call.parameters.list(name)?.unwrap_or_default());
    let secret = text("oidc_client_secret")?;
    let config = JwtConfig {
        oidc_discovery_url: text("oidc_discovery_url")?,
        oidc_discovery_ca_pem: text("oidc_discovery_ca_pem")?,
        oidc_client_id: text("oidc_client_id")?,
        oidc_client_secret: String::new(),
        oidc_response_mode: text("oidc_response_mode")?,
        jwks_url: text("jwks_url")?,
        jwks_ca_pem: text("jwks_ca_pem")?,
        jwt_validation_pubkeys: list("jwt_validation_pubkeys")?,
        jwt_supported_algs: list("jwt_supported_algs")?,
        bound_issuer: text("bound_issuer")?,
        default_role: text("default_role")?,
    };
    let change = JwtConfigChange {
        config,
        oidc_client_secret: (!secret.is_empty()).then(|| secret.into()),
        oidc_response_types: list("oidc_response_types")?,
    };
    call.context.services.core.put_jwt_config(&call.context.caller, &call.mount, change).await?;
    Ok(Answer::nothing())
}

//! Which cluster is asked.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::KubernetesConfigChange;

pub(super) async fn read(call: Call) -> Result<Answer> {
    let config = call.context.services.core.kubernetes_config(&call.mount).await?;
    Ok(config.map_or_else(Answer::nothing, |config| Answer::data(config.data())))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let text = |name: &str| Ok::<_, Error>(parameters.text(name)?.unwrap_or_default());
    if parameters.list("pem_keys")?.is_some_and(|keys| !keys.is_empty()) {
        return Err(Error::invalid(
            "pem_keys are not taken: the API server is asked about each token, also those that were taken back",
        ));
    }
    let change = KubernetesConfigChange {
        kubernetes_host: text("kubernetes_host")?,
        kubernetes_ca_cert: text("kubernetes_ca_cert")?,
        token_reviewer_jwt: parameters.text("token_reviewer_jwt")?.filter(|jwt| !jwt.is_empty()).map(Into::into),
        issuer: text("issuer")?,
    };
    call.context.services.core.put_kubernetes_config(&call.context.caller, &call.mount, change).await?;
    Ok(Answer::nothing())
}

//! Which cluster, and as whom its API server is asked.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::fetch::{Trust, checked_url};
use crate::mount::Mount;
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Settings of a login method of type `kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct KubernetesConfig {
    pub kubernetes_host: String,
    pub kubernetes_ca_cert: String,
    /// Encrypted in the HSM, hexadecimal; empty: each token is asked about with itself.
    pub token_reviewer_jwt: String,
    pub issuer: String,
}

/// Fields of `POST config`; what is not named is empty from then on, as the clients know it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct KubernetesConfigChange {
    pub kubernetes_host: String,
    pub kubernetes_ca_cert: String,
    pub token_reviewer_jwt: Option<SecretString>,
    pub issuer: String,
}

impl KubernetesConfig {
    /// As reading it shows it.
    pub fn data(&self) -> Value {
        json!({
            "disable_iss_validation": true,
            "disable_local_ca_jwt": true,
            "issuer": self.issuer,
            "kubernetes_ca_cert": self.kubernetes_ca_cert,
            "kubernetes_host": self.kubernetes_host,
            "pem_keys": [],
            "token_reviewer_jwt_set": !self.token_reviewer_jwt.is_empty(),
            "use_annotations_as_alias_metadata": false,
        })
    }
}

fn context(mount: &Mount) -> String {
    format!("kubernetes token_reviewer_jwt {}", mount.id)
}

impl Core {
    /// Tells the method which cluster to ask.
    pub async fn put_kubernetes_config(
        &self,
        caller: &Caller,
        mount: &Mount,
        change: KubernetesConfigChange,
    ) -> Result<()> {
        if change.kubernetes_host.is_empty() {
            return Err(Error::invalid("no host provided"));
        }
        checked_url(&change.kubernetes_host)?;
        Trust::in_pem(&change.kubernetes_ca_cert)?;
        let token_reviewer_jwt = match &change.token_reviewer_jwt {
            Some(jwt) => {
                let bytes = jwt.expose_secret().as_bytes().to_vec();
                hex::encode(self.sealed(mount.organization_id, &context(mount), bytes).await?)
            }
            None => String::new(),
        };
        let config = KubernetesConfig {
            kubernetes_host: change.kubernetes_host.trim_end_matches('/').to_owned(),
            kubernetes_ca_cert: change.kubernetes_ca_cert,
            token_reviewer_jwt,
            issuer: change.issuer,
        };
        self.put_login_config(caller, mount, |_: Option<KubernetesConfig>| Ok(config.clone())).await
    }

    /// What the method was told.
    pub async fn kubernetes_config(&self, mount: &Mount) -> Result<Option<KubernetesConfig>> {
        self.login_config(mount).await
    }

    pub(super) async fn reviewer(&self, mount: &Mount, config: &KubernetesConfig) -> Result<Option<SecretString>> {
        if config.token_reviewer_jwt.is_empty() {
            return Ok(None);
        }
        let unreadable = || Error::Internal("the stored token_reviewer_jwt cannot be read".into());
        let sealed = hex::decode(&config.token_reviewer_jwt).map_err(|_| unreadable())?;
        let bytes = self.opened(mount.organization_id, &context(mount), sealed).await?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| unreadable())?;
        Ok(Some(SecretString::from(text)))
    }
}

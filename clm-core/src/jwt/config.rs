//! Whom the login method believes.

use super::keys::{self, Source};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::Mount;
use audit_chain::Caller;
use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Algorithms by which a token may be signed (RFC 7518, 3.1), all of them by two keys: whoever verifies cannot sign.
pub(super) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

const FORM_POST: &str = "form_post";

/// Settings of a login method of type `jwt` or `oidc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct JwtConfig {
    pub oidc_discovery_url: String,
    pub oidc_discovery_ca_pem: String,
    pub oidc_client_id: String,
    /// Encrypted in the HSM, hexadecimal.
    pub oidc_client_secret: String,
    /// How the provider sends the browser back: `query` or `form_post`; empty: `query`.
    pub oidc_response_mode: String,
    pub jwks_url: String,
    pub jwks_ca_pem: String,
    pub jwt_validation_pubkeys: Vec<String>,
    pub jwt_supported_algs: Vec<String>,
    /// Who must have issued tokens; empty: whoever has the key. Of an OIDC provider always its own name.
    pub bound_issuer: String,
    /// Of logins that name none.
    pub default_role: String,
}

/// Fields of `POST config`; what is not named is empty from then on, as the clients know it.
#[derive(Clone, Debug, Default)]
pub struct JwtConfigChange {
    /// All but the secret.
    pub config: JwtConfig,
    /// By which the provider knows the service.
    pub oidc_client_secret: Option<SecretString>,
    /// What the provider is to send; nothing: a code.
    pub oidc_response_types: Vec<String>,
}

/// How a provider knows the service (RFC 6749, 2.3.1).
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: SecretString,
}

impl JwtConfig {
    /// As reading it shows it.
    pub fn data(&self) -> Value {
        json!({
            "bound_issuer": self.bound_issuer,
            "default_role": self.default_role,
            "jwks_ca_pem": self.jwks_ca_pem,
            "jwks_pairs": [],
            "jwks_url": self.jwks_url,
            "jwt_supported_algs": self.jwt_supported_algs,
            "jwt_validation_pubkeys": self.jwt_validation_pubkeys,
            "namespace_in_state": false,
            "oidc_client_id": self.oidc_client_id,
            "oidc_discovery_ca_pem": self.oidc_discovery_ca_pem,
            "oidc_discovery_url": self.oidc_discovery_url,
            "oidc_response_mode": self.oidc_response_mode,
            "oidc_response_types": [],
            "provider_config": {},
            "unsupported_critical_cert_extensions": [],
        })
    }

    /// Where keys come from.
    pub(super) fn source(&self) -> Source {
        if !self.oidc_discovery_url.is_empty() {
            Source::Discovery { url: self.oidc_discovery_url.clone(), ca_pem: self.oidc_discovery_ca_pem.clone() }
        } else if !self.jwks_url.is_empty() {
            Source::Jwks { url: self.jwks_url.clone(), ca_pem: self.jwks_ca_pem.clone() }
        } else {
            Source::Pem(self.jwt_validation_pubkeys.clone())
        }
    }

    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let named =
            |name: &&str| self.jwt_supported_algs.is_empty() || self.jwt_supported_algs.iter().any(|n| n == *name);
        ALGORITHMS.iter().filter(|(name, _)| named(name)).map(|(_, algorithm)| *algorithm).collect()
    }

    /// Whether browsers are sent to the provider.
    pub(super) fn sends_browsers(&self) -> bool {
        !self.oidc_discovery_url.is_empty() && !self.oidc_client_id.is_empty()
    }

    /// Whether the provider is to post what it sends back.
    pub(super) fn posts(&self) -> bool {
        self.oidc_response_mode == FORM_POST
    }

    fn check(&self) -> Result<()> {
        let sources =
            [!self.oidc_discovery_url.is_empty(), !self.jwks_url.is_empty(), !self.jwt_validation_pubkeys.is_empty()];
        if sources.into_iter().filter(|there| *there).count() != 1 {
            return Err(Error::invalid(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set",
            ));
        }
        if !self.oidc_client_id.is_empty() && self.oidc_discovery_url.is_empty() {
            return Err(Error::invalid("'oidc_discovery_url' must be set for OIDC"));
        }
        if !matches!(self.oidc_response_mode.as_str(), "" | "query" | FORM_POST) {
            return Err(Error::invalid(format!("invalid response_mode: {:?}", self.oidc_response_mode)));
        }
        let known = |name: &String| ALGORITHMS.iter().any(|(known, _)| known == name);
        if let Some(name) = self.jwt_supported_algs.iter().find(|name| !known(name)) {
            let names = ALGORITHMS.map(|(name, _)| name).join(", ");
            return Err(Error::invalid(format!("invalid algorithm {name:?}: one of {names}")));
        }
        for url in [&self.oidc_discovery_url, &self.jwks_url].into_iter().filter(|url| !url.is_empty()) {
            crate::fetch::checked_url(url)?;
        }
        if !self.jwt_validation_pubkeys.is_empty() {
            keys::from_pem(&self.jwt_validation_pubkeys)?;
        }
        Ok(())
    }
}

impl JwtConfigChange {
    fn check(&self) -> Result<()> {
        if self.config.oidc_client_id.is_empty() != self.oidc_client_secret.is_none() {
            return Err(Error::invalid("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC"));
        }
        // OAuth 2.0 Security Best Current Practice (RFC 9700, 2.1.2): no tokens through the browser.
        if self.oidc_response_types.iter().any(|wanted| wanted != "code") {
            let given = self.oidc_response_types.join(", ");
            return Err(Error::invalid(format!("invalid response_types [{given}]: 'code' is allowed")));
        }
        self.config.check()
    }
}

fn context(mount: &Mount) -> String {
    format!("jwt oidc_client_secret {}", mount.id)
}

impl Core {
    /// Tells the method whom to believe; keys that are to be fetched are fetched once, to see that they are there.
    pub async fn put_jwt_config(&self, caller: &Caller, mount: &Mount, change: JwtConfigChange) -> Result<()> {
        change.check()?;
        let mut config = change.config;
        self.key_sets().look(&config.source(), self.now()).await?;
        if let Some(secret) = &change.oidc_client_secret {
            let bytes = secret.expose_secret().as_bytes().to_vec();
            config.oidc_client_secret = hex::encode(self.sealed(mount.organization_id, &context(mount), bytes).await?);
        }
        self.put_login_config(caller, mount, |_: Option<JwtConfig>| Ok(config.clone())).await
    }

    /// What the method was told.
    pub async fn jwt_config(&self, mount: &Mount) -> Result<Option<JwtConfig>> {
        self.login_config(mount).await
    }

    /// As whom the provider is asked.
    pub(super) async fn oidc_client(&self, mount: &Mount, config: &JwtConfig) -> Result<Client> {
        let unreadable = || Error::Internal("the stored oidc_client_secret cannot be read".into());
        let sealed = hex::decode(&config.oidc_client_secret).map_err(|_| unreadable())?;
        let bytes = self.opened(mount.organization_id, &context(mount), sealed).await?;
        let secret = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
        Ok(Client { id: config.oidc_client_id.clone(), secret: SecretString::from(secret) })
    }
}

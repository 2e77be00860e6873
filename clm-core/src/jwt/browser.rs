//! Logging in through a browser: the person is sent to an OpenID provider and comes back with a code (OpenID Connect Core 1.0, 3.1), which is
//! exchanged for a token that says who it is. `state` leads back to what was asked; PKCE (RFC 7636), the nonce in the token and the client's own nonce have
//! nobody else's code do.

use super::id_token::{self, Expected};
use super::{JwtConfig, JwtRole, exchange};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::jwt::keys::Provider;
use crate::login::{Admitted, Awaited, Visitor};
use crate::mount::Mount;
use crate::roles::RoleKey;
use crate::token::{Warning, random_base62};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The person has to find a password meanwhile.
const WAITS: TimeDelta = TimeDelta::minutes(10);
/// Characters of states and nonces (238 bits) and of what PKCE shows at the end (RFC 7636, 4.1: 43 to 128).
const NONCE: usize = 40;
const VERIFIER: usize = 64;
/// Longer texts are not kept.
const LONGEST: usize = 4096;

const NOT_CONFIGURED: &str = "OIDC login is not configured for this mount";

/// What a client asks for before it sends a browser away.
#[derive(Clone, Debug)]
pub struct OidcRequest {
    /// None: the method's default.
    pub role: Option<String>,
    /// Where the browser is to come back to.
    pub redirect_uri: String,
    /// The client's own: to be shown again at the end, if it is given.
    pub client_nonce: Option<SecretString>,
}

/// With what a browser came back.
#[derive(Clone, Debug)]
pub struct OidcCallback {
    /// As it was sent away with.
    pub state: String,
    /// What the provider gave.
    pub code: Option<SecretString>,
    /// As it was given at the beginning.
    pub client_nonce: Option<SecretString>,
    /// The browser may have posted it by itself, for the client to come after.
    pub posted: bool,
}

/// What waits for the browser. In a row of the database, encrypted.
#[derive(Serialize, Deserialize)]
struct Waiting {
    role: String,
    redirect_uri: String,
    nonce: String,
    verifier: String,
    client_nonce: Option<String>,
    /// Of a browser that posted it.
    code: Option<String>,
}

impl Core {
    /// Where to send a browser, for a login that waits for it from now on. `None`: not one that the role lets come back there.
    pub async fn oidc_auth_url(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        request: OidcRequest,
    ) -> Result<Option<String>> {
        let url = self.try_auth_url(visitor, mount, request).await;
        self.counted(visitor, url).await
    }

    /// Gives a token to whom the provider names. `None`: the code that was posted is kept for the client, who is to come with its nonce.
    pub async fn login_oidc(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        callback: OidcCallback,
    ) -> Result<Option<(Admitted, Vec<Warning>)>> {
        let given = self.try_oidc(visitor, mount, callback).await;
        self.counted(visitor, given).await
    }

    async fn try_auth_url(&self, visitor: &Visitor, mount: &Mount, request: OidcRequest) -> Result<Option<String>> {
        let config = self.oidc_config(mount, "could not load configuration").await?;
        let named = request.role.filter(|role| !role.is_empty()).or(Some(config.default_role.clone()));
        let name = named.filter(|name| !name.is_empty()).ok_or_else(|| Error::invalid("missing role"))?;
        if request.redirect_uri.is_empty() {
            return Err(Error::invalid("missing redirect_uri"));
        }
        let nonce_length = request.client_nonce.as_ref().map_or(0, |nonce| nonce.expose_secret().len());
        if request.redirect_uri.len().max(nonce_length) > LONGEST {
            return Err(Error::invalid(format!("redirect_uri and client_nonce have at most {LONGEST} bytes")));
        }
        let Some(role) = self.jwt_role(mount, &name).await? else {
            return Err(Error::invalid(format!("role {name:?} could not be found")));
        };
        if !may_return(&request.redirect_uri, &role.allowed_redirect_uris) {
            tracing::warn!(mount = %mount.path, role = %name, "unauthorized redirect_uri");
            return Ok(None);
        }
        let provider = self.provider(&config).await?;
        let endpoint = provider.authorization_endpoint.as_deref().unwrap_or_default();
        let mut url = crate::fetch::checked_url(endpoint)
            .map_err(|error| Error::invalid(format!("the provider's authorization_endpoint: {error}")))?;
        let waiting = Waiting {
            role: name,
            redirect_uri: request.redirect_uri,
            nonce: format!("n_{}", &**random_base62(NONCE)?),
            verifier: random_base62(VERIFIER)?.to_string(),
            client_nonce: request.client_nonce.map(|nonce| nonce.expose_secret().to_owned()),
            code: None,
        };
        let state = Zeroizing::new(format!("st_{}", &**random_base62(NONCE)?));
        self.keep_login(mount, Awaited::Oidc, &state, &waiting, self.now() + WAITS).await?;
        self.note_begun(mount.organization_id, visitor.source, &visitor.path);
        let scopes = role.oidc_scopes.iter().filter(|scope| *scope != "openid").map(String::as_str);
        let scope = ["openid"].into_iter().chain(scopes).collect::<Vec<_>>().join(" ");
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&waiting.verifier));
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &config.oidc_client_id)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if role.max_age > 0 {
            query.append_pair("max_age", &role.max_age.to_string());
        }
        query.append_pair("nonce", &waiting.nonce).append_pair("redirect_uri", &waiting.redirect_uri);
        if config.posts() {
            query.append_pair("response_mode", "form_post");
        }
        query.append_pair("response_type", "code").append_pair("scope", &scope).append_pair("state", &state);
        drop(query);
        Ok(Some(url.into()))
    }

    async fn try_oidc(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        callback: OidcCallback,
    ) -> Result<Option<(Admitted, Vec<Warning>)>> {
        let failed = |why: &str| Error::invalid(format!("Vault login failed. {why}"));
        let config = self.oidc_config(mount, "Vault login failed. Could not load configuration.").await?;
        // Whatever becomes of it: it was good once.
        let taken = self.take_login::<Waiting>(mount, Awaited::Oidc, &callback.state).await?;
        let (mut waiting, ends) = taken.ok_or_else(|| failed("Expired or missing OAuth state."))?;
        let code = callback.code.as_ref().map(|code| code.expose_secret()).filter(|code| code.len() <= LONGEST);
        if callback.posted && waiting.client_nonce.is_some() && callback.client_nonce.is_none() {
            waiting.code = Some(code.ok_or_else(|| failed("No code or id_token received."))?.to_owned());
            self.keep_login(mount, Awaited::Oidc, &callback.state, &waiting, ends).await?;
            return Ok(None);
        }
        if let Some(nonce) = &waiting.client_nonce {
            let shown = callback.client_nonce.as_ref().map_or("", |shown| shown.expose_secret());
            if !bool::from(shown.as_bytes().ct_eq(nonce.as_bytes())) {
                return Err(Error::invalid("invalid client_nonce"));
            }
        }
        let code = code.map(str::to_owned).or(waiting.code).ok_or_else(|| failed("No code or id_token received."))?;
        let name = waiting.role;
        let role = self.role_and_basis::<JwtRole>(&RoleKey::new(mount, &name)).await?;
        let (role, basis) = role.filter(|(role, _)| role.is_oidc()).ok_or_else(|| failed("Role could not be found"))?;
        if !crate::cidr::permits(&role.token.bound_cidrs, visitor.source) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let provider = self.provider(&config).await?;
        let client = self.oidc_client(mount, &config).await?;
        let grant = exchange::Grant { code, redirect_uri: waiting.redirect_uri, verifier: waiting.verifier };
        let trust = crate::fetch::Trust::in_pem(&config.oidc_discovery_ca_pem)?;
        let tokens = exchange::tokens(&provider, &client, &trust, &grant).await?;
        let wrong = |why: String| failed(&format!("Token verification failed: {why}"));
        let verified = self.verified(&config, tokens.id_token.expose_secret()).await;
        let mut claims = verified.map_err(|error| match error {
            Error::Invalid(why) => wrong(why.into_owned()),
            other => other,
        })?;
        let expected = Expected { client_id: &client.id, nonce: &waiting.nonce };
        id_token::holds(&claims, &expected, &role, self.now().timestamp()).map_err(wrong)?;
        claims.remove("nonce");
        exchange::add_user_info(&provider, &tokens, &trust, &mut claims).await;
        self.give_claimed(visitor, mount, (&name, &role, basis), &claims, "login.oidc").await.map(Some)
    }

    /// The settings of a method that sends browsers to a provider.
    async fn oidc_config(&self, mount: &Mount, absent: &'static str) -> Result<JwtConfig> {
        let config = self.jwt_config(mount).await?.ok_or_else(|| Error::invalid(absent))?;
        if config.sends_browsers() { Ok(config) } else { Err(Error::invalid(NOT_CONFIGURED)) }
    }

    /// What the provider says of itself, as of the last minutes.
    async fn provider(&self, config: &JwtConfig) -> Result<Provider> {
        let keys = self.key_sets().of(&config.source(), None, self.now()).await?;
        keys.provider.clone().ok_or_else(|| Error::invalid(NOT_CONFIGURED))
    }
}

/// Whether a browser may be sent back there: to what is on the list, or to a program on its own machine at any port (RFC 8252, 7.3).
fn may_return(wanted: &str, allowed: &[String]) -> bool {
    let without_port = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        let own = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        (own && url.set_port(None).is_ok()).then_some(url)
    };
    match without_port(wanted) {
        Some(wanted) => allowed.iter().any(|allowed| without_port(allowed).as_ref() == Some(&wanted)),
        None => allowed.iter().any(|allowed| allowed == wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::may_return;

    #[test]
    fn a_browser_comes_back_to_what_is_allowed_and_on_its_own_machine_to_any_port() {
        let allowed = [
            "https://app.example/back".to_owned(),
            "http://localhost:8250/oidc/callback".to_owned(),
            "http://[::1]/back".to_owned(),
        ];
        for (wanted, may) in [
            ("https://app.example/back", true),
            ("https://app.example/back?a=b", false),
            ("https://app.example/back/", false),
            ("https://app.example:8443/back", false),
            ("https://app.example.evil.example/back", false),
            ("http://localhost:8250/oidc/callback", true),
            ("http://localhost:51234/oidc/callback", true),
            ("http://localhost/oidc/callback", true),
            ("https://localhost:8250/oidc/callback", false),
            ("http://localhost:8250/elsewhere", false),
            ("http://127.0.0.1:8250/oidc/callback", false),
            ("http://localhost@evil.example/oidc/callback", false),
            ("http://[::1]:9/back", true),
            ("", false),
        ] {
            assert_eq!(may_return(wanted, &allowed), may, "{wanted}");
        }
    }
}

//! Logging in.

use super::{KubernetesConfig, KubernetesRole, review};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::fetch::{Fetch, Trust};
use crate::identity::Claim;
use crate::login::{Admitted, Login, Visitor};
use crate::mount::Mount;
use crate::roles::RoleKey;
use crate::token::Warning;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
/// Longer ones are not passed on.
const LONGEST: usize = 64 << 10;

/// What a service account brings.
#[derive(Clone, Debug)]
pub struct KubernetesLogin {
    /// The role.
    pub role: String,
    /// Its token.
    pub jwt: SecretString,
}

impl Core {
    /// Gives a token to a service account that its cluster vouches for. A refusal is counted.
    pub async fn login_kubernetes(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: KubernetesLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_kubernetes(visitor, mount, login).await;
        self.counted(visitor, given).await
    }

    async fn try_kubernetes(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        KubernetesLogin { role: name, jwt }: KubernetesLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let Some((role, basis)) = self.role_and_basis::<KubernetesRole>(&RoleKey::new(mount, &name)).await? else {
            return Err(Error::invalid(format!("invalid role name {name:?}")));
        };
        if !crate::cidr::permits(&role.token.bound_cidrs, visitor.source) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let Some(config) = self.kubernetes_config(mount).await? else {
            return Err(Error::invalid("could not load backend configuration"));
        };
        let account = self.reviewed(mount, &config, &role, &jwt).await?;
        let review::ServiceAccount { namespace, name: account, uid } = account;
        if let Some(why) = role.refuses(&namespace, &account) {
            return Err(Error::Forbidden(why.into()));
        }
        let known_as = if role.names_by_name() { format!("{namespace}/{account}") } else { uid.clone() };
        let metadata = BTreeMap::from([
            ("service_account_name".to_owned(), account.clone()),
            ("service_account_namespace".to_owned(), namespace.clone()),
            ("service_account_secret_name".to_owned(), String::new()),
            ("service_account_uid".to_owned(), uid),
        ]);
        let claim = Claim { name: known_as, metadata, ..Claim::default() };
        let login = Login::new(visitor, (mount, role.token), "login.kubernetes", claim)
            .called(&format!("{namespace}-{account}"))
            .marked([("role", &name)])
            .recorded([("role", &name), ("service_account", &format!("{namespace}/{account}"))])
            .resting_on(basis);
        self.give(visitor, login).await
    }

    /// Asks the API server. What it refuses is told to nobody but the operator.
    async fn reviewed(
        &self,
        mount: &Mount,
        config: &KubernetesConfig,
        role: &KubernetesRole,
        jwt: &SecretString,
    ) -> Result<review::ServiceAccount> {
        let refused = |why: &str| {
            tracing::info!(mount = %mount.path, why, "a login by Kubernetes was refused");
            Error::Forbidden("permission denied".into())
        };
        let text = jwt.expose_secret();
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("what was brought is no token"));
        }
        let reviewer = self.reviewer(mount, config).await?;
        let reviewer = reviewer.as_ref().unwrap_or(jwt);
        let url = format!("{}{REVIEWS}", config.kubernetes_host);
        let question = review::question(text, &role.audience);
        let trust = Trust::in_pem(&config.kubernetes_ca_cert)?;
        let asked =
            Fetch.send(&trust, |client| client.post(&url).bearer_auth(reviewer.expose_secret()).json(&question));
        match asked.await {
            Ok((200 | 201, body)) => review::verdict(&body, &role.audience).map_err(|why| refused(&why)),
            Ok((401 | 403, _)) => Err(refused("the API server does not let itself be asked: see token_reviewer_jwt")),
            Ok((status, _)) => {
                Err(Error::Unavailable(format!("the Kubernetes API server answers {status}; try again").into()))
            }
            Err(error) => {
                tracing::warn!(mount = %mount.path, %error, "the Kubernetes API server cannot be asked");
                Err(Error::Unavailable("the Kubernetes API server cannot be asked now; try again".into()))
            }
        }
    }
}

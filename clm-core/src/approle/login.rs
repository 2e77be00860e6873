//! Logging in.
//!
//! A RoleID that does not exist and a SecretID that does not fit take the same steps: one look for the role, one MAC, one HMAC, one look
//! for the SecretID.

use super::{AppRole, SecretId};
use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Login, Visitor};
use crate::mount::Mount;
use crate::store::{app_role_secret_ids, app_roles};
use crate::token::Warning;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a program brings.
#[derive(Clone, Debug)]
pub struct AppRoleLogin {
    /// What it says it is.
    pub role_id: String,
    /// What shows that; none: the role may not ask for it.
    pub secret_id: Option<SecretString>,
}

const REFUSED: &str = "invalid role or secret ID";

impl Core {
    /// Gives a token for a RoleID and a SecretID; the use of the SecretID, the token and the record are one transaction. A refusal
    /// is counted, and told without saying what was wrong.
    pub async fn login_app_role(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: AppRoleLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_login(visitor, mount, login).await;
        self.counted(visitor, given).await
    }

    async fn try_login(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: AppRoleLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let role = self.role_by_id(mount, &login.role_id).await?;
        let secret = match (&role, login.secret_id) {
            (Some(role), _) if !role.bind_secret_id => {
                self.check_address(cidr::permits(&role.secret_id_bound_cidrs, visitor.source), visitor)?;
                None
            }
            (_, None) => return Err(Error::invalid("missing secret_id")),
            (role, Some(text)) => {
                let secret = self.fitting_secret(mount.organization_id, role.as_ref(), &text).await?;
                let Some(secret) = secret else { return Err(Error::invalid(REFUSED)) };
                Some(secret)
            }
        };
        let Some(role) = role.filter(|role| role.enabled) else { return Err(Error::invalid(REFUSED)) };
        if let Some(secret) = &secret {
            self.check_secret(secret).await?;
            self.check_address(secret.permits(&role, visitor.source), visitor)?;
        }
        self.give_app_role(visitor, mount, role, secret).await
    }

    async fn role_by_id(&self, mount: &Mount, role_id: &str) -> Result<Option<AppRole>> {
        match self.store().app_role_by_role_id(mount.organization_id, mount.id, role_id).await? {
            Some(role) => self.checked_role(Some(role)).await,
            None => {
                // As long as for a role that exists.
                let nobody = AppRole { role_id: role_id.to_owned(), ..AppRole::new(mount, "nobody") };
                self.row_mac(app_roles::bound_bytes(&nobody)).await?;
                Ok(None)
            }
        }
    }

    async fn fitting_secret(
        &self,
        organization_id: Uuid,
        role: Option<&AppRole>,
        text: &SecretString,
    ) -> Result<Option<SecretId>> {
        let role_id = role.map_or(Uuid::nil(), |role| role.id);
        let hash = self.secret_hash(role_id, text.expose_secret()).await?;
        let now = self.now();
        let found = self.store().secret_id(organization_id, hash).await?;
        Ok(found.filter(|secret| secret.app_role_id == role_id && !secret.has_ended(now)))
    }

    fn check_address(&self, permitted: bool, visitor: &Visitor) -> Result<()> {
        if permitted {
            return Ok(());
        }
        let source = visitor.source.map_or_else(String::new, |source| source.to_canonical().to_string());
        Err(Error::invalid(format!("source address {source:?} unauthorized by CIDR restrictions on the secret ID")))
    }

    async fn give_app_role(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        role: AppRole,
        secret: Option<SecretId>,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let claim = Claim {
            name: role.role_id.clone(),
            metadata: BTreeMap::from([("role_name".to_owned(), role.name.clone())]),
            ..Claim::default()
        };
        let mut login = Login::new(visitor, (mount, role.token.clone()), "login.approle", claim)
            .called_like_its_method()
            .recorded([("role_name", &role.name)])
            .resting_on(&role)
            .or_refused(REFUSED);
        if let Some(secret) = secret {
            login = login.recorded([("secret_id_accessor", &secret.accessor)]);
            login.secret_id = Some((secret.id, secret.expires_at));
            let narrower = Some(&secret.token_bound_cidrs).filter(|networks| !networks.is_empty());
            login.terms.bound_cidrs = narrower.cloned();
            // What the role says of itself comes before what is written on the SecretID.
            login.terms.meta = secret.metadata.clone().into_iter().chain(login.terms.meta).collect();
            login = login.spending(move |connection| {
                let secret = secret.clone();
                Box::pin(
                    async move { Ok(app_role_secret_ids::spend_use(connection, &secret).await?.into_iter().collect()) },
                )
            });
        }
        self.give(visitor, login).await
    }
}

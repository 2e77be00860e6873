//! Logging in.
//!
//! A RoleID that does not exist and a SecretID that does not fit take the same steps: one look in memory, one for the role, one hash of its row, one
//! HMAC, one look for the SecretID.

use super::{AppRole, KnownLogin, SecretId};
use crate::cidr;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Basis, Login, Visitor};
use crate::mount::Mount;
use crate::store::{LoginRows, app_role_secret_ids, app_roles};
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
        let key = login.key(mount);
        if let Some(key) = &key
            && let Some(given) = self.log_in_again(visitor, mount, key).await?
        {
            return Ok(given);
        }
        let moment = self.cache().logins().moment();
        let role = self.role_by_id(mount, &login.role_id).await?;
        let (secret, seen) = match (&role, login.secret_id) {
            (Some(role), _) if !role.bind_secret_id => {
                self.check_address(cidr::permits(&role.secret_id_bound_cidrs, visitor.source), visitor)?;
                (None, None)
            }
            (_, None) => return Err(Error::invalid("missing secret_id")),
            (role, Some(text)) => {
                let found = self.fitting_secret(mount, role.as_ref(), &text).await?;
                let Some((secret, rows)) = found else { return Err(Error::invalid(REFUSED)) };
                (Some(secret), Some(rows))
            }
        };
        let Some(role) = role.filter(|role| role.enabled) else { return Err(Error::invalid(REFUSED)) };
        if let Some(secret) = &secret {
            self.check_secret(secret).await?;
            self.check_address(secret.permits(&role, visitor.source), visitor)?;
        }
        let known = KnownLogin::of(&role, secret.as_ref(), seen.as_ref());
        let given = self.give(visitor, Login { seen, ..of_app_role(visitor, mount, &role, secret) }).await?;
        if let (Some(key), Some(known), (Admitted::Token(_), _)) = (key, known, &given) {
            self.know_login(key, known, moment);
        }
        Ok(given)
    }

    async fn role_by_id(&self, mount: &Mount, role_id: &str) -> Result<Option<AppRole>> {
        match self.store().app_role_by_role_id(mount.organization_id, mount.id, role_id).await? {
            Some(role) => self.checked_role(Some(role)).await,
            None => {
                // As long as for a role that exists and was met before.
                let nobody = AppRole { role_id: role_id.to_owned(), ..AppRole::new(mount, "nobody") };
                self.pass_for_known_row(&app_roles::bound_bytes(&nobody));
                Ok(None)
            }
        }
    }

    /// The SecretID, if it is one of the role's, and whom it lets in.
    async fn fitting_secret(
        &self,
        mount: &Mount,
        role: Option<&AppRole>,
        text: &SecretString,
    ) -> Result<Option<(SecretId, LoginRows)>> {
        let hash = self.secret_hash(role.map_or(Uuid::nil(), |role| role.id), text.expose_secret()).await?;
        let now = self.now();
        let who = role.map(|role| Ok::<_, Error>((role.id, claim(role), role.token.token_policies()?))).transpose()?;
        let comer = who.as_ref().map(|(role_id, claim, policies)| (*role_id, claim.comer(mount, policies)));
        let found = self.store().secret_id_and_login_rows(mount.organization_id, hash, comer).await?;
        Ok(found.filter(|(secret, _)| !secret.has_ended(now)))
    }

    fn check_address(&self, permitted: bool, visitor: &Visitor) -> Result<()> {
        if permitted {
            return Ok(());
        }
        let source = visitor.source.map_or_else(String::new, |source| source.to_canonical().to_string());
        Err(Error::invalid(format!("source address {source:?} unauthorized by CIDR restrictions on the secret ID")))
    }
}

/// As what a role's programs are known.
fn claim(role: &AppRole) -> Claim {
    Claim {
        name: role.role_id.clone(),
        metadata: BTreeMap::from([("role_name".to_owned(), role.name.clone())]),
        ..Claim::default()
    }
}

pub(super) fn of_app_role<'l>(
    visitor: &Visitor,
    mount: &'l Mount,
    role: &AppRole,
    secret: Option<SecretId>,
) -> Login<'l> {
    let mut login = Login::new(visitor, (mount, role.token.clone()), "login.approle", claim(role))
        .called_like_its_method()
        .recorded([("role_name", &role.name)])
        .resting_on(role)
        .or_refused(REFUSED);
    let Some(secret) = secret else { return login };
    login = login.recorded([("secret_id_accessor", &secret.accessor)]);
    login.secret_id = Some((secret.id, secret.expires_at));
    let narrower = Some(&secret.token_bound_cidrs).filter(|networks| !networks.is_empty());
    login.terms.bound_cidrs = narrower.cloned();
    // What the role says of itself comes before what is written on the SecretID.
    login.terms.meta = secret.metadata.clone().into_iter().chain(login.terms.meta).collect();
    if secret.num_uses == 0 {
        login.rests_on_now.push(Basis::from(&secret));
        return login;
    }
    login.spending(move |connection| {
        let secret = secret.clone();
        Box::pin(async move { Ok(app_role_secret_ids::spend_use(connection, &secret).await?.into_iter().collect()) })
    })
}

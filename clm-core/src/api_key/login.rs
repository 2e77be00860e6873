//! Logging in with a key.

use super::ApiKey;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Login, TokenSettings, Visitor};
use crate::mount::Mount;
use crate::store::api_keys;
use crate::store::users::User;
use crate::token::Warning;
use secrecy::{ExposeSecret, SecretString};

const REFUSED: &str = "invalid API key";
/// Longer ones do not reach the HSM.
const LONGEST: usize = 256;

impl Core {
    /// Gives a token for a key. A refusal is counted, and told without saying what was wrong.
    pub async fn login_api_key(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        text: SecretString,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_api_key(visitor, mount, text).await;
        self.counted(visitor, given).await
    }

    async fn try_api_key(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        text: SecretString,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let refused = || Error::invalid(REFUSED);
        if text.expose_secret().len() > LONGEST {
            return Err(refused());
        }
        let key_hash = self.api_key_hmac(&text).await?;
        let found = self.store().api_key(mount.organization_id, None, Some(key_hash)).await?;
        let key = self.checked_api_key(found).await?.filter(|key| key.mount_id == mount.id && key.is_good(self.now()));
        let key = key.ok_or_else(refused)?;
        let user = self.user(mount.organization_id, key.user_id).await?;
        let user = user.filter(|user| user.may_log_in() && user.api_access_enabled).ok_or_else(refused)?;
        self.give_api_key(visitor, mount, key, user).await
    }

    async fn give_api_key(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        key: ApiKey,
        user: User,
    ) -> Result<(Admitted, Vec<Warning>)> {
        if mount.config.token_type == "batch" {
            return Err(Error::invalid(
                "API keys give tokens that end with them, which batch tokens cannot: tune the login method's token_type",
            ));
        }
        let now = self.now();
        // No token outlives its key's own end.
        let left = key.expires_at.map_or(0, |end| u64::try_from((end - now).num_seconds()).unwrap_or(0).max(1));
        let settings = TokenSettings {
            policies: key.scopes.clone(),
            explicit_max_ttl: left,
            token_type: "service".to_owned(),
            ..TokenSettings::default()
        };
        let claim = Claim { name: user.username.clone(), user_id: Some(user.id), ..Claim::default() };
        let (username, prefix, source) = (&user.username, &key.key_prefix, visitor.source);
        let login = Login::new(visitor, (mount, settings), "login.api_key", claim)
            .marked([("key_name", &key.key_name), ("key_prefix", prefix), ("username", username)])
            .recorded([("username", username), ("key_prefix", prefix)])
            .resting_on(&user)
            .spending(move |connection| {
                let key = key.clone();
                Box::pin(async move { api_keys::used(connection, &key, now, source).await.map(|()| Vec::new()) })
            })
            .or_refused(REFUSED);
        self.give(visitor, login).await
    }
}

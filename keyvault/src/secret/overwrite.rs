//! Secrets of version 1 of the engine, which keep one version: a write takes the place of what was there. As version 1 of a mount that becomes
//! one of version 2 they need no change.

use super::find::Which;
use super::write::{describe, new_secret, put};
use super::{ATTEMPTS, SecretName, rules};
use crate::store::secret_versions;
use crate::{Error, Result, Vault};
use audit_chain::Caller;
use chrono::SubsecRound;

impl Vault {
    /// Keeps `content` under a name, in place of what was there.
    pub async fn overwrite_secret(&self, caller: &Caller, name: &SecretName, content: &[u8]) -> Result<()> {
        let _turn = self.inner.turns.of(name).await;
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, "secret.write", name);
            if let Some(reason) = rules::refuse_name(name).or_else(|| rules::refuse_length(content.len())) {
                return Err(self.refuse_secret(event, reason).await);
            }
            let found = self.find_secret(caller.organization_id, name, Which::Newest, false).await?;
            if found.current() > 1 {
                let reason = "this mount has become one of version 2: write below data/";
                return Err(self.refuse_secret(event, reason).await);
            }
            let now = self.inner.clock.now().trunc_subsecs(6);
            let is_new = found.secret.is_none();
            let mut secret = found.secret.unwrap_or_else(|| new_secret(caller, name, now));
            (secret.version, secret.written_at) = (1, now);
            if !is_new {
                secret.revision += 1;
            }
            let (mut version, ciphertext) = match self.new_version(caller, &secret, content, now).await {
                // The data key is spent.
                Err(Error::Invalid(reason)) => return Err(self.refuse_secret(event, reason).await),
                other => other?,
            };
            let old = found.versions.into_iter().next();
            let replaces = old.is_some();
            if let Some(old) = old {
                (version.id, version.revision) = (old.id, old.revision + 1);
            }
            self.bind_secret(Some(&mut secret), &mut [&mut version]).await?;
            event.resource_id = Some(secret.id.to_string());
            describe(&mut event, &secret, [&version], version.value_hmac.as_deref());
            let done = self
                .inner
                .audit
                .commit(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        put(&mut *connection, &secret, is_new).await?;
                        if !replaces {
                            secret_versions::insert(connection, &version, &ciphertext).await?;
                        } else if !secret_versions::replace(connection, &version, &ciphertext).await? {
                            return Err(Error::Conflict);
                        }
                        Ok(((), event))
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }
}

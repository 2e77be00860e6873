//! Locking a namespace: until it is unlocked, with the key that locking gave or by a token with the policy `root`, it answers nothing but that.

use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::system_entry::EntryKind;
use crate::token::random_base62;
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// An organization has one lock.
const NAME: &str = "api";
/// Characters of base62: nobody finds it by trying, so that its SHA-256 may be kept.
const KEY: usize = 28;

impl Core {
    /// Locks the namespace of an organization; the key that unlocks it is shown this once.
    pub async fn lock_namespace(&self, caller: &Caller, organization_id: Uuid) -> Result<SecretString> {
        if organization_id == ROOT_ORGANIZATION {
            return Err(Error::invalid("the root namespace cannot be locked: seal the service instead"));
        }
        let key = SecretString::from(random_base62(KEY)?.as_str().to_owned());
        let document = json!({ "unlock_key_sha256": digest(&key) });
        let caller = Caller { organization_id, ..caller.clone() };
        self.put_system_entry(&caller, EntryKind::NamespaceLock, NAME, |old| match old {
            Some(_) => Err(Error::invalid("the namespace is locked already")),
            None => Ok(document.clone()),
        })
        .await?;
        self.reload_mounts().await?;
        Ok(key)
    }

    /// Unlocks it. `by_root` needs no key.
    pub async fn unlock_namespace(
        &self,
        caller: &Caller,
        organization_id: Uuid,
        key: Option<&SecretString>,
        by_root: bool,
    ) -> Result<()> {
        let found = self.system_entry(organization_id, EntryKind::NamespaceLock, NAME).await?;
        let lock = found.ok_or_else(|| Error::invalid("the namespace is not locked"))?;
        let kept = lock.document["unlock_key_sha256"].as_str().unwrap_or_default();
        let fits = key.is_some_and(|key| bool::from(digest(key).as_bytes().ct_eq(kept.as_bytes())));
        if !fits && !by_root {
            return Err(Error::invalid(
                "unlock_key is missing or wrong: it was shown when the namespace was locked; a root token needs none",
            ));
        }
        let caller = Caller { organization_id, ..caller.clone() };
        self.delete_system_entry(&caller, EntryKind::NamespaceLock, NAME).await?;
        self.reload_mounts().await
    }
}

fn digest(key: &SecretString) -> String {
    hex::encode(Sha256::digest(key.expose_secret().as_bytes()))
}

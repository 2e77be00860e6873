//! Locking a namespace: until it is unlocked, with the key that locking gave or by a token with the policy `root`, it answers nothing but that.
//!
//! The key's digest is in a row of `system_entries`, that there is a lock also in the organization's own row, under that row's MAC: taking the
//! former away by SQL opens nothing, and changing the latter has the organization refused.

use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::registry::{Entry, OrganizationFields};
use crate::store::{EntryRow, organizations, system_entries};
use crate::system_entry::EntryKind;
use crate::token::random_base62;
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// An organization has one lock.
const NAME: &str = "api";
/// Characters of base62: nobody finds it by trying, so that its SHA-256 may be kept.
const KEY: usize = 28;
/// How often a change is tried anew when somebody else changes the same organization.
const ATTEMPTS: usize = 5;

impl Core {
    /// Whether an organization's row says so, or there is a lock; of before the row did, too.
    pub(crate) async fn namespace_is_locked(&self, organization: &Entry<OrganizationFields>) -> Result<bool> {
        let locks = self.system_entries(organization.id, EntryKind::NamespaceLock);
        Ok(organization.fields.api_locked || !locks.await?.is_empty())
    }

    /// Locks the namespace of an organization; the key that unlocks it is shown this once.
    pub async fn lock_namespace(&self, caller: &Caller, organization_id: Uuid) -> Result<SecretString> {
        if organization_id == ROOT_ORGANIZATION {
            return Err(Error::invalid("the root namespace cannot be locked: seal the service instead"));
        }
        let key = SecretString::from(random_base62(KEY)?.as_str().to_owned());
        for _ in 0..ATTEMPTS {
            match self.lock_once(caller, organization_id, &key).await {
                Err(Error::Conflict(_)) => {}
                other => return other.map(|()| key),
            }
        }
        Err(Error::Conflict("namespace"))
    }

    /// Unlocks it. `by_root` needs no key.
    pub async fn unlock_namespace(
        &self,
        caller: &Caller,
        organization_id: Uuid,
        key: Option<&SecretString>,
        by_root: bool,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            match self.unlock_once(caller, organization_id, key, by_root).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("namespace"))
    }

    async fn lock_once(&self, caller: &Caller, organization_id: Uuid, key: &SecretString) -> Result<()> {
        let (organization, lock) = self.lockable(organization_id).await?;
        if organization.fields.api_locked || lock.is_some() {
            return Err(Error::invalid("the namespace is locked already"));
        }
        let document = json!({ "unlock_key_sha256": digest(key) });
        let lock = self.system_entry_row(organization_id, EntryKind::NamespaceLock, NAME, None, &document).await?;
        let organization = self.marked(organization, true).await?;
        let caller = Caller { organization_id, ..caller.clone() };
        let mut event = self.system_entry_event(&caller, "namespace.lock", "create", &lock);
        add_rows(&mut event, [(system_entries::TABLE, lock.id, lock.revision, lock.row_mac), organization.row()]);
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                system_entries::put(connection, &lock).await?;
                organizations::put(connection, &organization).await.map(|()| ((), event))
            })
        })
        .await?;
        self.reload_mounts().await
    }

    async fn unlock_once(
        &self,
        caller: &Caller,
        organization_id: Uuid,
        key: Option<&SecretString>,
        by_root: bool,
    ) -> Result<()> {
        let (organization, lock) = self.lockable(organization_id).await?;
        if !organization.fields.api_locked && lock.is_none() {
            return Err(Error::invalid("the namespace is not locked"));
        }
        if !by_root && !fits(key, lock.as_ref()) {
            return Err(Error::invalid(
                "unlock_key is missing or wrong: it was shown when the namespace was locked; a root token needs none",
            ));
        }
        let organization = self.marked(organization, false).await?;
        let caller = Caller { organization_id, ..caller.clone() };
        let which = ("namespace_lock", Some(NAME.to_owned()));
        let mut event = self.event(&caller, "namespace.unlock", "system", which, "delete");
        let gone = lock.as_ref().map(|lock| (system_entries::TABLE, lock.id, lock.revision + 1, [0; 32]));
        add_rows(&mut event, gone.into_iter().chain([organization.row()]));
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                if let Some(lock) = &lock {
                    system_entries::delete(connection, lock).await?;
                }
                organizations::put(connection, &organization).await.map(|()| ((), event))
            })
        })
        .await?;
        self.reload_mounts().await
    }

    /// The organization, and its lock, if there is one; rows that are the service's own.
    async fn lockable(&self, organization_id: Uuid) -> Result<(Entry<OrganizationFields>, Option<EntryRow>)> {
        let (organization, is_ours) = self
            .read_organization(organization_id)
            .await?
            .ok_or_else(|| Error::NotFound("the namespace is not there".into()))?;
        if !is_ours {
            return Err(Error::RowTampered { table: organizations::TABLE, id: organization_id });
        }
        let kind = EntryKind::NamespaceLock.name();
        let lock = self.store().system_entry(organization_id, kind, NAME).await?;
        if let Some(lock) = &lock {
            let which = (system_entries::TABLE, organization_id, lock.id);
            self.check_row(which, lock.bound_bytes(), &lock.row_mac).await?;
        }
        Ok((organization, lock))
    }

    async fn marked(
        &self,
        mut organization: Entry<OrganizationFields>,
        locked: bool,
    ) -> Result<Entry<OrganizationFields>> {
        organization.fields.api_locked = locked;
        self.with_mac(organization).await
    }
}

/// Without the lock's row there is no key that fits.
fn fits(key: Option<&SecretString>, lock: Option<&EntryRow>) -> bool {
    let (Some(key), Some(lock)) = (key, lock) else { return false };
    let document: Value = serde_json::from_str(&lock.document).unwrap_or_default();
    let kept = document["unlock_key_sha256"].as_str().unwrap_or_default();
    bool::from(digest(key).as_bytes().ct_eq(kept.as_bytes()))
}

fn digest(key: &SecretString) -> String {
    hex::encode(Sha256::digest(key.expose_secret().as_bytes()))
}

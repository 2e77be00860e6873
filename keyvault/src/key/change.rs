//! Changing a key: settings, rotation, deletion. Each is optimistic: whoever is faster wins, the other looks again.

use super::create::{change_event, rows};
use super::state::Use;
use super::transition::{Why, transition_rows};
use super::{Key, KeyName, KeySettings, KeyState, LimitChange};
use crate::row_mac::MacDomain;
use crate::store::key_state_changes::{self, StateChangeRow};
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::named_keys;
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, SubsecRound, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// How often a change looks again after somebody else was faster.
pub(super) const ATTEMPTS: usize = 16;

/// What is to be different; `None`: as it is.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the words are Vault's")]
pub struct KeyConfig {
    pub min_decryption_version: Option<i64>,
    pub min_encryption_version: Option<i64>,
    pub deletion_allowed: Option<bool>,
    pub exportable: Option<bool>,
    pub allow_plaintext_backup: Option<bool>,
    pub auto_rotate_seconds: Option<u64>,
    pub limits: LimitChange,
}

impl KeyConfig {
    /// The settings with the changes, and warnings; nothing changes when one of them is refused.
    pub fn apply(&self, mut settings: KeySettings) -> Result<(KeySettings, Vec<String>)> {
        let mut warnings = Vec::new();
        let latest = settings.latest_version;
        if let Some(wanted) = self.min_decryption_version {
            let wanted = match wanted {
                0 => {
                    warnings.push("transit key numbering starts at 1; forcing minimum to 1".to_owned());
                    1
                }
                other => version(other, "min decryption version")?,
            };
            if wanted > latest {
                return Err(Error::Invalid(format!(
                    "cannot set min decryption version of {wanted}, latest key version is {latest}"
                )));
            }
            settings.min_decryption_version = wanted;
        }
        if let Some(wanted) = self.min_encryption_version {
            let wanted = version(wanted, "min encryption version")?;
            if wanted > latest {
                return Err(Error::Invalid(format!(
                    "cannot set min encryption version of {wanted}, latest key version is {latest}"
                )));
            }
            settings.min_encryption_version = wanted;
        }
        let (encryption, decryption) = (settings.min_encryption_version, settings.min_decryption_version);
        if encryption != 0 && encryption < decryption {
            return Err(Error::Invalid(format!(
                "cannot set min encryption/decryption values; min encryption version of {encryption} must be greater than or equal to min decryption version of {decryption}"
            )));
        }
        if decryption < settings.min_available_version {
            return Err(Error::Invalid("min decryption version should not be less then min available version".into()));
        }
        settings.deletion_allowed = self.deletion_allowed.unwrap_or(settings.deletion_allowed);
        // One way: what was promised to be exportable cannot be taken back, and asking to is silently ignored.
        settings.exportable |= self.exportable.unwrap_or(false);
        settings.allow_plaintext_backup |= self.allow_plaintext_backup.unwrap_or(false);
        settings.auto_rotate_seconds = self.auto_rotate_seconds.unwrap_or(settings.auto_rotate_seconds);
        settings.limits = self.limits.apply(settings.limits)?;
        Ok((settings, warnings))
    }
}

fn version(value: i64, what: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Invalid(format!("{what} cannot be {value}")))
}

/// A change of a key: its row, those of its versions, and the record, in one transaction.
pub(super) struct KeyWrite {
    pub(super) key: Key,
    pub(super) key_mac: Vec<u8>,
    pub(super) new: Vec<KeyVersionRow>,
    pub(super) changed: Vec<KeyVersionRow>,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    pub(super) transitions: Vec<StateChangeRow>,
    pub(super) event: Event,
}

impl KeyWrite {
    /// Of the key's own row alone.
    pub(super) fn of(key: Key, key_mac: Vec<u8>, event: Event) -> Self {
        Self { key, key_mac, new: Vec::new(), changed: Vec::new(), deleted_at: None, transitions: Vec::new(), event }
    }
}

impl Vault {
    /// Changes settings.
    pub async fn configure_key(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        config: KeyConfig,
    ) -> Result<(Arc<Key>, Vec<String>)> {
        for _ in 0..ATTEMPTS {
            let (mut key, _) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound(format!("no existing key named {name} could be found")))?;
            let (settings, warnings) = config.apply(key.settings)?;
            if settings != key.settings {
                key.settings = settings;
                key.revision += 1;
                let key_mac = self.key_mac(&key, false).await?;
                let mut event =
                    change_event(caller, self.inner.clock.now(), "key.configure", &key, settings.latest_version);
                event.data.insert("rows".into(), rows(&key, &key_mac, &[]));
                match self.write(KeyWrite::of(key, key_mac, event)).await {
                    Err(Error::Conflict) => continue,
                    other => other?,
                }
            }
            return Ok((self.present(caller, mount_id, name).await?, warnings));
        }
        Err(Error::Conflict)
    }

    /// Makes a new version, which new work uses.
    pub async fn rotate_key(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<Arc<Key>> {
        self.rotate_version(caller, mount_id, name, None).await
    }

    /// The same, only if the newest version is `expected`; else [`Error::Conflict`].
    pub(super) async fn rotate_version(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        expected: Option<u32>,
    ) -> Result<Arc<Key>> {
        for _ in 0..ATTEMPTS {
            let (mut key, versions) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound("key not found".into()))?;
            self.check_open(caller, &key, "key.rotate", Use::Protect).await?;
            if key.settings.imported && !key.settings.imported_may_rotate {
                return Err(Error::Invalid(format!("imported key {name} does not allow rotation within Vault")));
            }
            // From now on it is this service's.
            key.settings.imported = false;
            if expected.is_some_and(|expected| expected != key.settings.latest_version) {
                return Err(Error::Conflict);
            }
            let on_token = versions.last().is_some_and(|version| version.storage == "token");
            let number = key.settings.latest_version + 1;
            let mut version = self.generate_version(&key, number, on_token).await?;
            let token_object = version.hsm_key_id;
            key.settings.latest_version = number;
            key.revision += 1;
            let bound = self.bind(&key, &version).await;
            let (key_mac, version_mac) = self.written(token_object, bound).await?;
            version.row_mac = version_mac;
            let mut event = change_event(caller, self.inner.clock.now(), "key.rotate", &key, number);
            event.data.insert("rows".into(), rows(&key, &key_mac, &[&version]));
            let write = KeyWrite { new: vec![version], ..KeyWrite::of(key, key_mac, event) };
            let changed = self.write(write).await;
            match self.written(token_object, changed).await {
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
                Ok(()) => return self.present(caller, mount_id, name).await,
            }
        }
        Err(Error::Conflict)
    }

    /// Deletes a key for good, if its settings allow that: its blobs are gone when this returns; objects on the token follow.
    pub async fn delete_key(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<()> {
        let refused = |why: &str| Error::Invalid(format!("error deleting policy {name}: {why}"));
        match self.destroy(caller, mount_id, name, "deleted", |key| key.settings.deletion_allowed).await {
            Err(Error::NotFound(_)) => Err(refused("could not delete key; not found")),
            Ok(None) => Err(refused("deletion is not allowed for this key")),
            Ok(Some(objects)) => {
                self.discard_all(objects).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a key for good, whatever its settings say: its mount is no more.
    pub(crate) async fn destroy_key(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<()> {
        let objects = self.destroy(caller, mount_id, name, "its mount was disabled", |_| true).await?;
        self.discard_all(objects.unwrap_or_default()).await;
        Ok(())
    }

    async fn discard_all(&self, objects: Vec<Uuid>) {
        for object in objects {
            self.discard(Some(object)).await;
        }
    }

    /// Rows alone; gives the objects on the token that nothing needs any more. `None`: it may not be. The key as a whole is destroyed, for that reason,
    /// and its versions with it.
    pub(super) async fn destroy(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        reason: &str,
        may: impl Fn(&Key) -> bool + Send,
    ) -> Result<Option<Vec<Uuid>>> {
        for _ in 0..ATTEMPTS {
            let (mut key, mut versions) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound("key not found".into()))?;
            if !may(&key) {
                return Ok(None);
            }
            key.revision += 1;
            let now = self.inner.clock.now().trunc_subsecs(6);
            let from = [(None, key.settings.state)];
            let why = Why { reason, at: now };
            let transitions = self.transitions(caller, &mut key, &from, KeyState::Destroyed, why).await?;
            key.settings.state = KeyState::Destroyed;
            let key_mac = self.key_mac(&key, true).await?;
            self.destroy_versions(&mut versions).await?;
            let mut event = change_event(caller, now, "key.delete", &key, key.settings.latest_version);
            if let Some(due) = key.settings.destroy_at {
                event.data.insert("destroy_at".into(), Value::Text(due.to_rfc3339().into()));
            }
            let written = rows(&key, &key_mac, &versions.iter().collect::<Vec<_>>());
            event.data.insert("rows".into(), record::joined(vec![written, transition_rows(&transitions)]));
            let objects: Vec<Uuid> = versions.iter().filter_map(|version| version.hsm_key_id).collect();
            let deleted_at = Some(now);
            let write = KeyWrite { changed: versions, deleted_at, transitions, ..KeyWrite::of(key, key_mac, event) };
            match self.write(write).await {
                Err(Error::Conflict) => continue,
                other => other?,
            }
            return Ok(Some(objects));
        }
        Err(Error::Conflict)
    }

    /// Versions without material, ready to be written.
    pub(super) async fn destroy_versions(&self, versions: &mut [KeyVersionRow]) -> Result<()> {
        for version in versions.iter_mut() {
            version.blob = None;
            version.hmac_blob = None;
            version.key_state = "destroyed".into();
            version.revision += 1;
        }
        let bytes: Vec<Vec<u8>> = versions.iter().map(KeyVersionRow::row_bytes).collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let macs = self.macs(self.deployment().await?.mac_key(), MacDomain::SecureRow, &bytes).await?;
        for (version, mac) in versions.iter_mut().zip(macs) {
            version.row_mac = mac.to_vec();
        }
        Ok(())
    }

    pub(super) async fn key_mac(&self, key: &Key, deleted: bool) -> Result<Vec<u8>> {
        Ok(self.mac(MacDomain::SecureRow, &key.row_bytes(deleted)).await?.to_vec())
    }

    /// Rows and record in one transaction.
    pub(super) async fn write(
        &self,
        KeyWrite { key, key_mac, new, changed, deleted_at, transitions, event }: KeyWrite,
    ) -> Result<()> {
        let organization_id = key.organization_id;
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if !named_keys::update(&mut *connection, &key, &key_mac, deleted_at).await? {
                        return Err(Error::Conflict);
                    }
                    for version in &new {
                        key_versions::insert(&mut *connection, version).await?;
                    }
                    for version in &changed {
                        if !key_versions::update(&mut *connection, version).await? {
                            return Err(Error::Conflict);
                        }
                    }
                    key_state_changes::insert(connection, &transitions).await?;
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)?;
        self.inner.cache.clear();
        Ok(())
    }

    pub(super) async fn present(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<Arc<Key>> {
        self.key(caller.organization_id, mount_id, name).await?.ok_or(Error::Conflict)
    }
}

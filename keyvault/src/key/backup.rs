//! Backups: a key's settings and wrapped versions, with a MAC by the token's key over all of it. Nothing in one is in the clear, and none is worth
//! anything without the token and the organization's key that made it.

use super::backup_document::{Document, document, moment, version_row};
use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::{Copied, Derivation, Key, KeyAlgorithm, KeyName, KeySettings, KeyState};
use crate::row_mac::MacDomain;
use crate::store::key_usage::{self, KeyUsageRow};
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::{closed_mounts, key_aliases, named_keys, read_as_of_now};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Value};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;
use uuid::Uuid;

const MAC_BYTES: usize = 32;

/// A key that is about to take a name.
struct Restored {
    key: Key,
    key_mac: Vec<u8>,
    versions: Vec<KeyVersionRow>,
    usage: Vec<KeyUsageRow>,
}

impl Vault {
    /// A text that [`Self::restore_key`] takes.
    pub async fn back_up_key(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<String> {
        for _ in 0..ATTEMPTS {
            match self.try_back_up(caller, mount_id, name).await {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    async fn try_back_up(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<String> {
        let (mut key, versions) = self
            .read_key(caller.organization_id, mount_id, name)
            .await?
            .ok_or_else(|| Error::NotFound(format!("key \"{name}\" not found")))?;
        let refused = |why: &str| Err(Error::Disallowed(why.into()));
        if !key.settings.exportable {
            return refused("exporting is disallowed on the policy");
        }
        if !key.settings.allow_plaintext_backup {
            return refused("plaintext backup is disallowed on the policy");
        }
        if versions.iter().any(|version| version.storage == "token" && version.key_state != "destroyed") {
            let why = "the key is an object on the token (storage = token), which nobody can back up but the token's own tool";
            return Err(Error::Invalid(why.into()));
        }
        let at = self.inner.clock.now().trunc_subsecs(6);
        key.settings.backup = Some(Copied { at, version: key.settings.latest_version });
        key.revision += 1;
        let document = serde_json::to_vec(&document(&key, &versions)).map_err(unwritable)?;
        let mac = self.mac(MacDomain::Backup, &document).await?;
        let mut event = change_event(caller, at, "key.backup", &key, key.settings.latest_version);
        event.result_sha256 = Some(
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &document).as_ref().try_into().map_err(unwritable)?,
        );
        let key_mac = self.key_mac(&key, false).await?;
        event.data.insert("rows".into(), rows(&key, &key_mac, &[]));
        self.write(KeyWrite::of(key, key_mac, event)).await?;
        Ok(BASE64_STANDARD.encode([&mac[..], &document].concat()))
    }

    /// Makes the key of a backup again, under another name if one is given. `force`: in place of the one that has the name, which is destroyed.
    pub async fn restore_key(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: Option<&KeyName>,
        backup: &str,
        force: bool,
    ) -> Result<()> {
        let document = self.read_backup(caller, backup).await?;
        let unreadable = || Error::Invalid("the backup names no key that this program knows".into());
        let name = match name {
            Some(name) => name.clone(),
            None => KeyName::parse(&document.name).ok_or_else(unreadable)?,
        };
        for _ in 0..ATTEMPTS {
            let old = self.read_key(caller.organization_id, mount_id, &name).await?;
            if old.is_some() && !force {
                return Err(Error::Disallowed(format!("key '{name}' already exists")));
            }
            let restored = self.restored(&document, mount_id, &name).await?.ok_or_else(unreadable)?;
            match self.write_restored(caller, &document.name, restored, old).await {
                Err(Error::Conflict | Error::Exists) => {}
                other => {
                    self.inner.cache.clear();
                    return other;
                }
            }
        }
        Err(Error::Conflict)
    }

    /// What a text holds, if this deployment made it for the caller's organization.
    async fn read_backup(&self, caller: &Caller, text: &str) -> Result<Document> {
        let foreign = || {
            Error::Invalid(
                "the backup is none that this deployment made for this organization, or it was changed".into(),
            )
        };
        if text.is_empty() {
            return Err(Error::Invalid("'backup' must be supplied".into()));
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| Error::Invalid("the backup is no base64".into()))?;
        let (mac, document) = bytes.split_first_chunk::<MAC_BYTES>().ok_or_else(foreign)?;
        let made = self.mac(MacDomain::Backup, document).await?;
        if !bool::from(made.ct_eq(mac)) {
            return Err(foreign());
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| foreign())?;
        if document.organization_id != caller.organization_id {
            return Err(foreign());
        }
        Ok(document)
    }

    /// The rows of a backup's key; `None`: something of it is none that this program knows.
    async fn restored(&self, document: &Document, mount_id: Uuid, name: &KeyName) -> Result<Option<Restored>> {
        let algorithm = KeyAlgorithm::parse(&document.algorithm, document.key_size);
        let derivation = Derivation::parse(document.kdf.as_deref(), document.convergent);
        let state = document.key_state.as_deref().map_or(Some(KeyState::Active), KeyState::parse);
        let now = self.inner.clock.now().trunc_subsecs(6);
        // A plan goes with the key; whoever restores one that is over has the shortest wait to cancel it.
        let soonest = now + TimeDelta::seconds(i64::try_from(self.inner.destruction.shortest).unwrap_or(i64::MAX));
        let planned = |at: DateTime<Utc>| at.max(soonest);
        let copied = |at| Copied { at, version: document.latest_version };
        let (Some(algorithm), Some(derivation), Some(state)) = (algorithm, derivation, state) else { return Ok(None) };
        let (activated, made, destroyed) =
            (moment(document.activated_at), moment(document.made_at), moment(document.destroy_at));
        let (Some(activated), Some(made), Some(destroyed)) = (activated, made, destroyed) else { return Ok(None) };
        let key = Key {
            id: Uuid::now_v7(),
            organization_id: document.organization_id,
            mount_id,
            name: name.clone(),
            algorithm,
            derivation,
            settings: KeySettings {
                latest_version: document.latest_version,
                min_decryption_version: document.min_decryption_version,
                min_encryption_version: document.min_encryption_version,
                min_available_version: document.min_available_version,
                deletion_allowed: document.deletion_allowed,
                exportable: true,
                allow_plaintext_backup: true,
                auto_rotate_seconds: document.auto_rotate_seconds,
                imported: document.imported,
                imported_may_rotate: document.imported_may_rotate,
                state,
                limits: document.limits.unwrap_or_default(),
                activated_at: activated,
                backup: made.map(copied),
                restoration: Some(copied(now)),
                soft_deleted: document.soft_deleted,
                destroy_at: destroyed.map(planned),
                ..KeySettings::new()
            },
            revision: 1,
            versions: BTreeMap::new(),
        };
        let (mut versions, mut usage) = (Vec::new(), Vec::new());
        let mut transaction = read_as_of_now(&self.inner.pool, key.organization_id).await?;
        for version in &document.versions {
            let Some(row) = version_row(&key, version) else { return Ok(None) };
            // It counts on from where the row stands that it was copied from.
            if let Some(count) = key_usage::of_version(&mut transaction, version.id).await? {
                let read = (key_usage::TABLE, count.id, count.row_bytes(), count.row_mac.as_slice());
                self.check_rows(key.organization_id, &[read]).await?;
                usage.push(KeyUsageRow {
                    id: Uuid::now_v7(),
                    version_id: row.id,
                    revision: 1,
                    row_mac: Vec::new(),
                    ..count
                });
            }
            versions.push(row);
        }
        transaction.rollback().await?;
        let mut bytes = vec![key.row_bytes(false)];
        bytes.extend(versions.iter().map(KeyVersionRow::row_bytes));
        bytes.extend(usage.iter().map(KeyUsageRow::row_bytes));
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let macs = self.macs(self.deployment().await?.mac_key(), MacDomain::SecureRow, &bytes).await?;
        let mut macs = macs.into_iter().map(|mac| mac.to_vec());
        let key_mac = macs.next().unwrap_or_default();
        let of_versions = versions.iter_mut().map(|version| &mut version.row_mac);
        let of_usage = usage.iter_mut().map(|usage| &mut usage.row_mac);
        of_versions.chain(of_usage).zip(macs).for_each(|(row_mac, mac)| *row_mac = mac);
        Ok(Some(Restored { key, key_mac, versions, usage }))
    }

    async fn write_restored(
        &self,
        caller: &Caller,
        from: &str,
        restored: Restored,
        old: Option<(Key, Vec<KeyVersionRow>)>,
    ) -> Result<()> {
        let now = self.inner.clock.now();
        let Restored { key, key_mac, versions, usage } = restored;
        let mut event = change_event(caller, now, "key.restore", &key, key.settings.latest_version);
        event.data.insert("backup_of".into(), Value::Text(from.to_owned().into()));
        let mut written = vec![rows(&key, &key_mac, &versions.iter().collect::<Vec<_>>())];
        written.push(crate::record::rows(
            usage.iter().map(|row| (key_usage::TABLE, row.id, row.revision, row.row_mac.as_slice())),
        ));
        let mut replaced = None;
        let mut objects = Vec::new();
        if let Some((mut old, mut old_versions)) = old {
            old.revision += 1;
            let old_mac = self.mac(MacDomain::SecureRow, &old.row_bytes(true)).await?.to_vec();
            self.destroy_versions(&mut old_versions).await?;
            event.data.insert("replaced".into(), Value::Text(old.id.to_string().into()));
            written.push(rows(&old, &old_mac, &old_versions.iter().collect::<Vec<_>>()));
            objects.extend(old_versions.iter().filter_map(|version| version.hsm_key_id));
            replaced = Some((old, old_mac, old_versions));
        }
        event.data.insert("rows".into(), crate::record::joined(written));
        let most = self.max_keys(key.organization_id);
        self.inner
            .audit
            .commit(key.organization_id, move |connection| {
                Box::pin(async move {
                    if !closed_mounts::is_open(&mut *connection, key.mount_id).await? {
                        return Err(Error::NotFound("the mount was disabled meanwhile".into()));
                    }
                    if let Some((old, old_mac, old_versions)) = &replaced {
                        if !named_keys::update(&mut *connection, old, old_mac, Some(now)).await? {
                            return Err(Error::Conflict);
                        }
                        for version in old_versions {
                            if !key_versions::update(&mut *connection, version).await? {
                                return Err(Error::Conflict);
                            }
                        }
                    }
                    if key_aliases::is_taken(&mut *connection, key.organization_id, key.mount_id, &key.name).await? {
                        return Err(Error::Invalid(format!("{} is an alias of another key", key.name)));
                    }
                    if !named_keys::insert(&mut *connection, &key, &key_mac, now).await? {
                        return Err(Error::Exists);
                    }
                    crate::quota::expect_room(&mut *connection, key.organization_id, most).await?;
                    for version in &versions {
                        key_versions::insert(&mut *connection, version).await?;
                    }
                    for row in &usage {
                        if !key_usage::put(&mut *connection, row).await? {
                            return Err(Error::Conflict);
                        }
                    }
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)?;
        for object in objects {
            self.discard(Some(object)).await;
        }
        Ok(())
    }
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Hsm(hsm_bridge::Error::Internal(format!("a backup cannot be written: {error}")))
}

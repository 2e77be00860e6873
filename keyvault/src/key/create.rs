//! Making a key and its versions.

use super::{Derivation, Key, KeyAlgorithm, KeyLimits, KeyName, KeySettings, KeyState};
use crate::integrity::KEY_LABEL;
use crate::row_mac::MacDomain;
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::{closed_mounts, key_aliases, named_keys};
use crate::{Error, Result, Vault, quota, record};
use audit_chain::{Caller, Event, Value};
use audit_log::AuditError;
use chrono::{DateTime, SubsecRound, Utc};
use hsm_bridge::{ContextKdf, KeyRef, KeyType, Purpose};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of the HMAC key beside each version: as many as HMAC-SHA-512 has, because tokens take no key shorter than the hash.
pub(super) const HMAC_KEY_BYTES: u16 = 64;

/// What a new key is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewKey {
    /// Algorithm and size.
    pub algorithm: KeyAlgorithm,
    /// Whether each context is to have a key of its own.
    pub derivation: Derivation,
    /// Its private half may be exported (wrapped, or in the clear where policy allows).
    pub exportable: bool,
    /// Backups of it may hold it.
    pub allow_plaintext_backup: bool,
    /// Seconds between rotations; 0: never by itself.
    pub auto_rotate_seconds: u64,
    /// It does nothing until it is made active.
    pub pre_activation: bool,
    /// Of each version.
    pub limits: KeyLimits,
    /// Keep it as an object on the token, where nobody can extract it, even with PIN and database.
    pub on_token: bool,
}

impl NewKey {
    /// A wrapped key that is used as it is, is not exportable and rotates only when asked.
    pub fn of(algorithm: KeyAlgorithm) -> Self {
        Self {
            algorithm,
            derivation: Derivation::None,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_seconds: 0,
            pre_activation: false,
            limits: KeyLimits::default(),
            on_token: false,
        }
    }
}

impl NewKey {
    pub(super) fn settings(self) -> KeySettings {
        KeySettings {
            exportable: self.exportable,
            allow_plaintext_backup: self.allow_plaintext_backup,
            auto_rotate_seconds: self.auto_rotate_seconds,
            state: if self.pre_activation { KeyState::PreActivation } else { KeyState::Active },
            limits: self.limits,
            ..KeySettings::new()
        }
    }
}

impl Vault {
    /// Makes a key, or gives the one of that name that is there (`false`), whatever was asked.
    pub async fn create_key(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        new: NewKey,
    ) -> Result<(Arc<Key>, bool)> {
        let organization_id = caller.organization_id;
        if let Some(key) = self.key(organization_id, mount_id, name).await? {
            return Ok((key, false));
        }
        self.check_offered(&new).await?;
        let key = Key {
            id: Uuid::now_v7(),
            organization_id,
            mount_id,
            name: name.clone(),
            algorithm: new.algorithm,
            derivation: new.derivation,
            settings: new.settings(),
            revision: 1,
            versions: BTreeMap::new(),
        };
        let mut version = self.generate_version(&key, 1, new.on_token).await?;
        let token_object = version.hsm_key_id;
        let bound = self.bind(&key, &version).await;
        let (key_mac, version_mac) = self.written(token_object, bound).await?;
        version.row_mac = version_mac;
        let now = self.inner.clock.now();
        let mut event = change_event(caller, now, "key.create", &key, 1);
        event.data.insert("type".into(), Value::Text(new.algorithm.name().into()));
        if let Some(kdf) = new.derivation.kdf() {
            event.data.insert("kdf".into(), Value::Text(kdf.into()));
        }
        event.data.insert("storage".into(), Value::Text(version.storage.clone().into()));
        if new.pre_activation {
            event.data.insert("state".into(), Value::Text(KeyState::PreActivation.word().into()));
        }
        event.data.insert("rows".into(), rows(&key, &key_mac, &[&version]));
        let inserted = self.insert(key, key_mac, version, event).await;
        let created = match self.written(token_object, inserted).await {
            Ok(()) => true,
            // Somebody else was faster: theirs is the key.
            Err(Error::Exists) => false,
            Err(error) => return Err(error),
        };
        self.inner.cache.clear();
        let key = self.key(organization_id, mount_id, name).await?.ok_or(Error::Conflict)?;
        Ok((key, created))
    }

    /// Rows and record of a new key in one transaction; `Exists`: the name is taken.
    pub(super) async fn insert(&self, key: Key, key_mac: Vec<u8>, version: KeyVersionRow, event: Event) -> Result<()> {
        let now = event.timestamp;
        let most = self.max_keys(key.organization_id);
        self.inner
            .audit
            .commit(key.organization_id, move |connection| {
                Box::pin(async move {
                    if !closed_mounts::is_open(&mut *connection, key.mount_id).await? {
                        return Err(Error::NotFound("the mount was disabled meanwhile".into()));
                    }
                    if key_aliases::is_taken(&mut *connection, key.organization_id, key.mount_id, &key.name).await? {
                        return Err(Error::Invalid(format!("{} is an alias of another key", key.name)));
                    }
                    if !named_keys::insert(&mut *connection, &key, &key_mac, now).await? {
                        return Err(Error::Exists);
                    }
                    quota::expect_room(&mut *connection, key.organization_id, most).await?;
                    key_versions::insert(connection, &version).await?;
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)
    }

    /// Whether the token can do what such a key is for; asymmetric ones say so when they are made.
    pub(super) async fn check_offered(&self, new: &NewKey) -> Result<()> {
        let name = new.algorithm.name();
        if new.derivation != Derivation::None && !new.algorithm.supports_derivation() {
            let mut text = format!("key derivation and convergent encryption not supported for keys of type {name}");
            if new.algorithm == KeyAlgorithm::Ed25519 {
                text += ": no PKCS#11 mechanism derives such a pair, and nothing is done in software instead";
            }
            return Err(Error::Invalid(text));
        }
        let Some(needed) = new.algorithm.mechanism() else { return Ok(()) };
        let offered = self.inner.bridge.capabilities().await?;
        let missing = if !offered.mechanisms.iter().any(|offered| offered == needed) {
            needed
        } else if let Some(function) = new.derivation.function()
            && !offered.derivation.contains(&function.0)
        {
            function.mechanism()
        } else if new.algorithm == KeyAlgorithm::ChaCha20Poly1305
            && new.derivation.function().is_some_and(|function| function.0 != ContextKdf::HkdfSha256)
        {
            "CKM_HKDF_DERIVE"
        } else if new.algorithm.is_ecdh() && offered.agreement.is_empty() {
            needed
        } else if new.algorithm == KeyAlgorithm::X25519 && !offered.x25519 {
            "CKM_ECDH1_DERIVE on X25519"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(format!("keys of type {name} so made need {missing}, which this token does not offer")))
    }

    /// A new version's material, made in the token; its row still lacks the MAC.
    pub(super) async fn generate_version(&self, key: &Key, version: u32, on_token: bool) -> Result<KeyVersionRow> {
        let key_type = key.key_type();
        let bridge = &self.inner.bridge;
        // Where the token cannot wrap a type, the key stays on it (Ed25519 on SoftHSM, ML-DSA and ML-KEM on kryoptic).
        let on_token = on_token || key_type.may_not_be_wrapped() && !bridge.capabilities().await?.wraps(key_type);
        // Its HMAC key first, because an object on the token would have to be removed again if this failed.
        let mut row = self.version_row(key, version, if on_token { "token" } else { "wrapped" }).await?;
        let public = if on_token {
            let label = format!("{KEY_LABEL}{}", row.id);
            let (made, public) = bridge.generate_token_key(row.id, &label, key_type, key.purpose()).await?;
            row.hsm_key_id = Some(made.id);
            row.hsm_token_id = Some(self.deployment().await?.token_id());
            public
        } else {
            let organization_key = self.organization_key(key.organization_id).await?;
            row.encryption_key_id = Some(organization_key.id);
            let wrapped_by = KeyRef::Wrapped(organization_key);
            let generated = bridge.generate_wrapped_key(key_type, key.purpose(), &wrapped_by).await?;
            row.blob = Some(generated.blob);
            generated.public
        };
        if !key.algorithm.is_symmetric() {
            row.public_key = public.ok_or_else(|| Error::Operator("the token gave no public key".into()))?.spki_der;
        }
        Ok(row)
    }

    /// A version's row, without material but with the HMAC key beside it; none is beside keys of type hmac, which are one.
    pub(super) async fn version_row(&self, key: &Key, version: u32, storage: &str) -> Result<KeyVersionRow> {
        let version = i32::try_from(version).map_err(|_| Error::Invalid("too many versions".into()))?;
        let mut row = empty_version(key, version, storage, self.inner.clock.now().trunc_subsecs(6));
        if key.algorithm.key_size().is_none() {
            let organization_key = self.organization_key(key.organization_id).await?;
            row.encryption_key_id = Some(organization_key.id);
            let (hmac, wrapped_by) = (KeyType::Hmac(HMAC_KEY_BYTES), KeyRef::Wrapped(organization_key));
            row.hmac_blob = Some(self.inner.bridge.generate_wrapped_key(hmac, Purpose::Mac, &wrapped_by).await?.blob);
        }
        Ok(row)
    }

    /// MACs of a key's row and of one of its versions.
    pub(super) async fn bind(&self, key: &Key, version: &KeyVersionRow) -> Result<(Vec<u8>, Vec<u8>)> {
        let deployment = self.deployment().await?;
        let (key_bytes, version_bytes) = (key.row_bytes(false), version.row_bytes());
        let macs = self.macs(deployment.mac_key(), MacDomain::SecureRow, &[&key_bytes, &version_bytes]).await?;
        Ok((macs[0].to_vec(), macs[1].to_vec()))
    }

    /// Passes on whether a row was written. The object that was made for it goes if it was not; if nobody knows, it stays: it may be the key.
    pub(super) async fn written<T>(&self, token_object: Option<Uuid>, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && !matches!(error, Error::Audit(AuditError::Uncertain(_)))
        {
            self.discard(token_object).await;
        }
        outcome
    }

    /// An object whose row was not written.
    pub(super) async fn discard(&self, token_object: Option<Uuid>) {
        if let Some(id) = token_object
            && let Err(error) = self.inner.bridge.destroy_token_key(id).await
        {
            tracing::warn!(%id, %error, "an object without a row stays on the token");
        }
    }
}

/// A version's row, without material.
pub(super) fn empty_version(key: &Key, version: i32, storage: &str, now: DateTime<Utc>) -> KeyVersionRow {
    KeyVersionRow {
        id: Uuid::now_v7(),
        organization_id: key.organization_id,
        named_key_id: key.id,
        version,
        algorithm: key.algorithm,
        storage: storage.into(),
        blob: None,
        hmac_blob: None,
        encryption_key_id: None,
        is_exportable: key.settings.exportable,
        hsm_key_id: None,
        hsm_token_id: None,
        public_key: Vec::new(),
        certificate_chain: None,
        key_state: "active".into(),
        revision: 1,
        row_mac: Vec::new(),
        created_at: now,
        activated_at: Some(now),
        deleted_at: None,
    }
}

/// The event of a change of a key.
pub(super) fn change_event(
    caller: &Caller,
    now: DateTime<Utc>,
    event_type: &'static str,
    key: &Key,
    version: u32,
) -> Event {
    let category = if event_type == "key.rotate" { "key_rotation" } else { "key_access" };
    let mut event = record::event(caller, now, category, event_type);
    event.resource_id = Some(key.id.to_string());
    event.data.insert("key".into(), Value::Text(key.name.to_string().into()));
    event.data.insert("version".into(), Value::Integer(version.into()));
    event
}

/// Which rows a change of a key wrote.
pub(super) fn rows(key: &Key, key_mac: &[u8], versions: &[&KeyVersionRow]) -> Value {
    let named = ("named_keys", key.id, key.revision, key_mac);
    let versions =
        versions.iter().map(|version| (version.table(), version.id, version.revision, version.row_mac.as_slice()));
    record::rows(std::iter::once(named).chain(versions))
}

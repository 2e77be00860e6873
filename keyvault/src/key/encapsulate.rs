//! ML-KEM (FIPS 203): a secret that this side and the holder of a key pair share, which becomes a key of its own and never leaves the token but wrapped.

use super::create::{change_event, rows};
use super::sign::{choose, readable};
use super::state::Use;
use super::{Derivation, Key, KeyAlgorithm, KeyName, KeySettings, KeyVersion};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event, Value};
use hsm_bridge::{Error as HsmError, KeyRef, PublicKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// What the shared secret becomes: an AES-256-GCM key.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    /// Its name, in the mount of the key that it is shared by.
    pub name: KeyName,
    /// It may be exported.
    pub exportable: bool,
}

impl Vault {
    /// A new secret for the holder of `key`: what they decapsulate, and the key that it is here. `version` 0: the newest.
    pub async fn encapsulate(
        &self,
        caller: &Caller,
        key: &Key,
        version: i64,
        secret: SharedSecret,
    ) -> Result<(Vec<u8>, Arc<Key>)> {
        self.check_kem(key)?;
        self.check_open(caller, key, "key.encapsulate", Use::Protect).await?;
        let version = choose(key, version, "encapsulation", self.inner.clock.now()).map_err(Error::Invalid)?;
        self.check_free(key, &secret.name).await?;
        let wrapped_by = KeyRef::Wrapped(self.organization_key(caller.organization_id).await?);
        let public = PublicKey { spki_der: version.public_key.clone() };
        self.spend(key, version, 1, 0).await?;
        let made = self.inner.bridge.encapsulate(key.algorithm.key_type(), public, &wrapped_by).await;
        let made = made.map_err(refused)?;
        let shared = self.shared(caller, key, secret)?;
        let mut event = self.shared_event(caller, &shared, "key.encapsulate", key, version);
        event.result_sha256 = Some(Sha256::digest(&made.ciphertext).into());
        Ok((made.ciphertext, self.keep(shared, made.blob, event).await?))
    }

    /// The secret that somebody encapsulated for `key`, as a key. `version` 0: the newest.
    pub async fn decapsulate(
        &self,
        caller: &Caller,
        key: &Key,
        version: i64,
        ciphertext: Vec<u8>,
        secret: SharedSecret,
    ) -> Result<Arc<Key>> {
        self.check_kem(key)?;
        self.check_open(caller, key, "key.decapsulate", Use::Process).await?;
        let number = if version == 0 { i64::from(key.settings.latest_version) } else { version };
        let number = u32::try_from(number).map_err(|_| Error::Invalid("no such key version".into()))?;
        let version = readable(key, number, "encapsulated secret", self.inner.clock.now()).map_err(Error::Invalid)?;
        let private = version.private("decapsulation").map_err(Error::Invalid)?;
        let length = key.algorithm.encapsulated_bytes().unwrap_or_default();
        if ciphertext.len() != length {
            let name = key.algorithm.name();
            return Err(Error::Invalid(format!("ciphertext of {} bytes where {name} has {length}", ciphertext.len())));
        }
        self.check_free(key, &secret.name).await?;
        let wrapped_by = KeyRef::Wrapped(self.organization_key(caller.organization_id).await?);
        let hash = Sha256::digest(&ciphertext).into();
        let blob = self.inner.bridge.decapsulate(private, ciphertext, &wrapped_by).await.map_err(refused)?;
        let shared = self.shared(caller, key, secret)?;
        let mut event = self.shared_event(caller, &shared, "key.decapsulate", key, version);
        event.result_sha256 = Some(hash);
        self.keep(shared, blob, event).await
    }

    fn check_kem(&self, key: &Key) -> Result<()> {
        if key.algorithm.is_ml_kem() {
            return Ok(());
        }
        Err(Error::Invalid(format!("key type {} does not support encapsulation", key.algorithm.name())))
    }

    /// What is there stays as it is: nobody's key is replaced by a secret that somebody sent.
    async fn check_free(&self, key: &Key, name: &KeyName) -> Result<()> {
        match self.key(key.organization_id, key.mount_id, name).await? {
            None => Ok(()),
            Some(_) => Err(taken(name)),
        }
    }

    fn shared(&self, caller: &Caller, by: &Key, secret: SharedSecret) -> Result<Key> {
        Ok(Key {
            id: Uuid::now_v7(),
            organization_id: caller.organization_id,
            mount_id: by.mount_id,
            name: secret.name,
            algorithm: KeyAlgorithm::Aes256Gcm96,
            derivation: Derivation::None,
            settings: KeySettings { exportable: secret.exportable, ..KeySettings::new() },
            revision: 1,
            versions: BTreeMap::new(),
        })
    }

    fn shared_event(
        &self,
        caller: &Caller,
        shared: &Key,
        event_type: &'static str,
        by: &Key,
        version: &KeyVersion,
    ) -> Event {
        let mut event = change_event(caller, self.inner.clock.now(), event_type, shared, 1);
        event.data.insert("shared_by".into(), Value::Text(by.name.to_string().into()));
        event.data.insert("shared_by_version".into(), Value::Integer(version.version.into()));
        event.data.insert("type".into(), Value::Text(shared.algorithm.name().into()));
        event
    }

    async fn keep(&self, shared: Key, blob: Vec<u8>, mut event: Event) -> Result<Arc<Key>> {
        let (organization_id, mount_id, name) = (shared.organization_id, shared.mount_id, shared.name.clone());
        let mut version = self.version_row(&shared, 1, "wrapped").await?;
        version.encryption_key_id = Some(self.organization_key(organization_id).await?.id);
        version.blob = Some(blob);
        let (key_mac, version_mac) = self.bind(&shared, &version).await?;
        version.row_mac = version_mac;
        event.data.insert("rows".into(), rows(&shared, &key_mac, &[&version]));
        let inserted = self.insert(shared, key_mac, version, event).await;
        self.inner.cache.clear();
        inserted.map_err(|error| match error {
            Error::Exists => taken(&name),
            other => other,
        })?;
        self.key(organization_id, mount_id, &name).await?.ok_or(Error::Conflict)
    }
}

fn taken(name: &KeyName) -> Error {
    Error::Invalid(format!("key {name} already exists: name one that does not, for the shared secret"))
}

/// A key that is none, or a token without the mechanism: the caller's mistake, not the service's.
fn refused(error: HsmError) -> Error {
    match error {
        HsmError::Refused { function, reason } => Error::Invalid(format!("{function}: {reason}")),
        HsmError::Unsupported(what) => Error::Invalid(format!("this token does not offer {what}")),
        other => other.into(),
    }
}

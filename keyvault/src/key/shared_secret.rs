//! A secret that this side and another share becomes a key of this one, in the mount of the key that it is shared by.

use super::create::{change_event, rows};
use super::{Derivation, Key, KeyAlgorithm, KeyName, KeySettings, KeyVersion};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event, Value};
use hsm_bridge::Error as HsmError;
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
    /// What is there stays as it is: nobody's key is replaced by a secret that somebody sent.
    pub(super) async fn check_free(&self, key: &Key, name: &KeyName) -> Result<()> {
        match self.key(key.organization_id, key.mount_id, name).await? {
            None => Ok(()),
            Some(_) => Err(taken(name)),
        }
    }

    pub(super) fn shared(&self, caller: &Caller, by: &Key, secret: SharedSecret) -> Result<Key> {
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

    pub(super) fn shared_event(
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

    pub(super) async fn keep(&self, shared: Key, blob: Vec<u8>, mut event: Event) -> Result<Arc<Key>> {
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
pub(super) fn refused(error: HsmError) -> Error {
    match error {
        HsmError::Refused { function, reason } => Error::Invalid(format!("{function}: {reason}")),
        HsmError::Unsupported(what) => Error::Invalid(format!("this token does not offer {what}")),
        other => other.into(),
    }
}

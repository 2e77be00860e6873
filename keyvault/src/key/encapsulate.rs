//! ML-KEM (FIPS 203): a secret that this side and the holder of a key pair share, which becomes a key of its own and never leaves the token but wrapped.

use super::Key;
use super::shared_secret::{SharedSecret, refused};
use super::sign::{choose, readable};
use super::state::Use;
use crate::{Error, Result, Vault};
use audit_chain::Caller;
use hsm_bridge::{KeyRef, PublicKey};
use sha2::{Digest, Sha256};
use std::sync::Arc;

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
}

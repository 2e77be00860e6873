//! Secrets that two sides share, as keys of this one.

use super::{Context, Result};
use keyvault::key::{AgreementRequest, Key, SharedSecret};
use std::sync::Arc;

impl Context {
    /// The key that a key and somebody else's agree on.
    pub(crate) async fn agree(&self, key: &Key, request: AgreementRequest, secret: SharedSecret) -> Result<Arc<Key>> {
        let agreed = self.services.vault.agree(&self.caller, key, request, secret).await;
        self.refusals("key.agree", &key.name, agreed).await
    }

    /// A new secret for the holder of a key: what they decapsulate, and the key that it is here.
    pub(crate) async fn encapsulate(
        &self,
        key: &Key,
        version: i64,
        secret: SharedSecret,
    ) -> Result<(Vec<u8>, Arc<Key>)> {
        let made = self.services.vault.encapsulate(&self.caller, key, version, secret).await;
        self.refusals("key.encapsulate", &key.name, made).await
    }

    /// The secret that somebody encapsulated for a key, as a key.
    pub(crate) async fn decapsulate(
        &self,
        key: &Key,
        version: i64,
        ciphertext: Vec<u8>,
        secret: SharedSecret,
    ) -> Result<Arc<Key>> {
        let made = self.services.vault.decapsulate(&self.caller, key, version, ciphertext, secret).await;
        self.refusals("key.decapsulate", &key.name, made).await
    }
}

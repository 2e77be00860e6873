//! What needs no key: random bytes of the token, and digests.

use super::Hash;
use crate::{Result, Vault, record};
use audit_chain::{Caller, Value};
use zeroize::Zeroizing;

impl Vault {
    /// Bytes of the token's generator.
    pub async fn random(&self, caller: &Caller, bytes: u32) -> Result<Zeroizing<Vec<u8>>> {
        let random = Zeroizing::new(self.inner.bridge.random(bytes).await?);
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", "random.generate");
        event.data.insert("bytes".into(), Value::Integer(bytes.into()));
        self.inner.audit.append(event).await?;
        Ok(random)
    }

    /// A digest, made in software: no secret of ours is in it.
    pub async fn hash(&self, caller: &Caller, hash: Hash, data: &[u8]) -> Result<Vec<u8>> {
        let event = record::event(caller, self.inner.clock.now(), "key_access", "data.hash");
        self.inner.audit.append(event).await?;
        Ok(hash.digest(data))
    }
}

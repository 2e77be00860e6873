//! Data keys: new keys for callers, from the token's generator, encrypted by a named key.

use super::Key;
use super::encrypt::{EncryptItem, Encrypted};
use super::sign::settle;
use super::state::Use;
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Severity, Value};
use zeroize::Zeroizing;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct DataKeyRequest {
    /// Bytes of the new key.
    pub bytes: u32,
    /// Whether it is answered in the clear as well (docs/KEY-HIERARCHY.md, exceptions).
    pub in_clear: bool,
    /// Nothing is answered in the clear, whatever is asked.
    pub fips: bool,
    /// How it is encrypted; its plaintext is the new key.
    pub item: EncryptItem,
}

/// A new key.
#[derive(Clone, Debug)]
pub struct DataKey {
    /// If it was asked for in the clear.
    pub plaintext: Option<Zeroizing<Vec<u8>>>,
    /// Encrypted.
    pub encrypted: Encrypted,
}

impl Vault {
    /// A new key of so many bytes.
    pub async fn data_key(&self, caller: &Caller, key: &Key, request: DataKeyRequest) -> Result<DataKey> {
        let mut event = self.begin(caller, key, "key.datakey", 1, Use::Protect).await?;
        event.data.insert("bytes".into(), Value::Integer(request.bytes.into()));
        event.data.insert("in_clear".into(), Value::Bool(request.in_clear));
        if request.in_clear {
            event.severity = Severity::Warning;
        }
        if request.in_clear && request.fips {
            let reason = "fips: data keys are not answered in the clear; ask for datakey/wrapped".to_owned();
            return Err(self.refuse(event, reason).await);
        }
        self.check_encrypts(key, &event, "encryption").await?;
        let drawn = self.inner.bridge.random(request.bytes).await.map_err(Error::from);
        let plaintext = Zeroizing::new(self.or_failed(&event, drawn).await?);
        let item = EncryptItem { plaintext: plaintext.to_vec(), ..request.item };
        let results = self.encrypt_items(key, vec![Ok(item)]).await;
        let mut results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|encrypted| encrypted.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        let encrypted = results.pop().unwrap_or_else(|| Err("nothing was encrypted".into())).map_err(Error::Invalid)?;
        Ok(DataKey { plaintext: request.in_clear.then_some(plaintext), encrypted })
    }
}

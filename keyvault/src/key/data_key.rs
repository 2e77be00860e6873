//! Data keys: new keys for callers, from the token's generator, and new pairs, made in the token, encrypted by a named key.

use super::encrypt::{EncryptItem, Encrypted};
use super::sign::{choose, settle};
use super::state::Use;
use super::{ExportFormat, Key, KeyAlgorithm, material};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event, Severity, Value};
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

/// What pair is wanted.
#[derive(Clone, Debug)]
pub struct DataKeyPairRequest {
    /// What it is.
    pub algorithm: KeyAlgorithm,
    /// Whether the private half is answered in the clear as well (docs/KEY-HIERARCHY.md, exceptions).
    pub in_clear: bool,
    /// No pair is made: its private half would leave the token.
    pub fips: bool,
    /// How the private half is encrypted; its plaintext is that half.
    pub item: EncryptItem,
}

/// A new pair.
#[derive(Clone, Debug)]
pub struct DataKeyPair {
    /// SubjectPublicKeyInfo, PEM.
    pub public: String,
    /// PKCS#8, DER, if it was asked for in the clear.
    pub private: Option<Zeroizing<Vec<u8>>>,
    /// The same, encrypted.
    pub encrypted: Encrypted,
}

impl Vault {
    /// A new pair, made in the token. Its private half is in this process from where it has left the token until the token has encrypted it.
    pub async fn data_key_pair(&self, caller: &Caller, key: &Key, request: DataKeyPairRequest) -> Result<DataKeyPair> {
        let mut event = self.begin(caller, key, "key.datakeypair", 1, Use::Protect).await?;
        event.data.insert("key_type".into(), Value::Text(request.algorithm.name().into()));
        event.data.insert("in_clear".into(), Value::Bool(request.in_clear));
        if request.in_clear {
            event.severity = Severity::Warning;
        }
        if request.fips {
            let reason = "fips: no data key pairs are made, whose private half leaves the token; make a key in transit, whose private half stays there";
            return Err(self.refuse(event, reason.into()).await);
        }
        self.check_encrypts(key, &event, "encryption").await?;
        // Making an RSA pair takes long: what no version encrypts is refused before.
        if let Err(reason) = choose(key, request.item.version, "encryption", self.inner.clock.now()) {
            return Err(self.refuse(event, reason).await);
        }
        let made = self.leaving_pair(key.organization_id, request.algorithm).await;
        let pair = self.or_failed(&event, made).await?;
        let item = EncryptItem { plaintext: pair.private.clone(), ..request.item };
        let encrypted = self.encrypt_made(caller, key, event, item).await?;
        let public = material::public(request.algorithm, &pair.public, ExportFormat::Pem)?;
        Ok(DataKeyPair { public, private: request.in_clear.then_some(pair.private), encrypted })
    }

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
        let item = EncryptItem { plaintext: plaintext.clone(), ..request.item };
        let encrypted = self.encrypt_made(caller, key, event, item).await?;
        Ok(DataKey { plaintext: request.in_clear.then_some(plaintext), encrypted })
    }
    /// Encrypts a key that was just made, on record.
    async fn encrypt_made(&self, caller: &Caller, key: &Key, mut event: Event, item: EncryptItem) -> Result<Encrypted> {
        let results = self.encrypt_items(key, vec![Ok(item)]).await;
        let mut results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|encrypted| encrypted.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        results.pop().unwrap_or_else(|| Err("nothing was encrypted".into())).map_err(Error::Invalid)
    }
}

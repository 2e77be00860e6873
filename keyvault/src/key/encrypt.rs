//! Encrypting and decrypting in the HSM; each call leaves one record before it answers.

use super::sign::settle;
use super::state::Use;
use super::{Key, rsa};
use crate::{Result, Vault, record};
use audit_chain::{Caller, Event, Value};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What is to be encrypted.
#[derive(Clone, Debug, Default)]
pub struct EncryptItem {
    /// Plaintext: wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Version; 0: the newest.
    pub version: i64,
    /// Whose derived key encrypts; other keys do not look at it.
    pub context: Vec<u8>,
    /// Authenticated, not encrypted.
    pub associated_data: Vec<u8>,
}

/// A ciphertext.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// Version that encrypted.
    pub version: u32,
    /// IV ‖ ciphertext ‖ tag of AES-GCM, or what RSA-OAEP gives.
    pub ciphertext: Vec<u8>,
}

/// What is to be decrypted.
#[derive(Clone, Debug)]
pub struct DecryptItem {
    /// Version that the ciphertext names.
    pub version: u32,
    /// As in [`Encrypted`].
    pub ciphertext: Vec<u8>,
    /// As in [`EncryptItem`].
    pub context: Vec<u8>,
    /// As in [`EncryptItem`].
    pub associated_data: Vec<u8>,
}

/// In the order of what was asked: the result, or why there is none.
pub type Results<T> = Vec<Result<T, String>>;

impl AsRef<[u8]> for Encrypted {
    fn as_ref(&self) -> &[u8] {
        &self.ciphertext
    }
}

impl Vault {
    /// Encrypts. An item that does not fit refuses only itself.
    pub async fn encrypt(&self, caller: &Caller, key: &Key, items: Results<EncryptItem>) -> Result<Results<Encrypted>> {
        let mut event = self.begin(caller, key, "key.encrypt", items.len(), Use::Protect).await?;
        self.check_encrypts(key, &event, "encryption").await?;
        let results = self.encrypt_items(key, items).await;
        let results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|encrypted| encrypted.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    /// Decrypts; `fips`: by the token alone. The record holds the SHA-256 of the ciphertexts that were opened: one of a plaintext could be guessed
    /// back.
    pub async fn decrypt(
        &self,
        caller: &Caller,
        key: &Key,
        items: Results<DecryptItem>,
        fips: bool,
    ) -> Result<Results<Vec<u8>>> {
        let mut event = self.begin(caller, key, "key.decrypt", items.len(), Use::Process).await?;
        self.check_encrypts(key, &event, "decryption").await?;
        let results = self.decrypt_items(&mut event, key, &items, fips).await;
        let results = self.or_failed(&event, results).await?;
        let opened: Results<&[u8]> = items
            .iter()
            .zip(&results)
            .map(|(item, result)| match (item, result) {
                (Ok(item), Ok(_)) => Ok(item.ciphertext.as_slice()),
                (_, Err(reason)) | (Err(reason), _) => Err(reason.clone()),
            })
            .collect();
        settle(&mut event, &opened);
        let done = |(item, result): (&Result<DecryptItem, String>, &Result<Vec<u8>, String>)| {
            result.as_ref().ok().and(item.as_ref().ok()).map(|item| item.version)
        };
        self.note_used(&mut event, caller, key, Use::Process, items.iter().zip(&results).filter_map(done));
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    /// Decrypts, as `decrypt` does, and encrypts again with the version wanted (0: the newest).
    pub async fn rewrap(
        &self,
        caller: &Caller,
        key: &Key,
        items: Results<(DecryptItem, i64)>,
        fips: bool,
    ) -> Result<Results<Encrypted>> {
        let mut event = self.begin(caller, key, "key.rewrap", items.len(), Use::Protect).await?;
        self.check_encrypts(key, &event, "decryption").await?;
        let sealed: Results<DecryptItem> = items.iter().map(|item| item.clone().map(|(item, _)| item)).collect();
        let versions = sealed.iter().flatten().map(|item| item.version);
        self.note_used(&mut event, caller, key, Use::Process, versions);
        let opened = self.decrypt_items(&mut event, key, &sealed, fips).await;
        let opened = self.or_failed(&event, opened).await?;
        let again = opened
            .into_iter()
            .zip(items)
            .map(|(plaintext, item)| {
                let (item, version) = item?;
                let plaintext = plaintext?;
                Ok(EncryptItem {
                    plaintext: plaintext.into(),
                    version,
                    context: item.context,
                    associated_data: Vec::new(),
                })
            })
            .collect();
        let results = self.encrypt_items(key, again).await;
        let results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|encrypted| encrypted.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    pub(super) async fn check_encrypts(&self, key: &Key, event: &Event, what: &str) -> Result<()> {
        if key.algorithm.supports_encryption() {
            return Ok(());
        }
        let reason = format!("message {what} not supported for key type {}", key.algorithm.name());
        Err(self.refuse(event.clone(), reason).await)
    }

    /// The failure of a whole call is recorded before it is answered.
    pub(super) async fn or_failed<T>(&self, event: &Event, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.inner.audit.append(record::failed(event.clone(), &error.to_string())).await?;
        }
        result
    }

    pub(super) async fn encrypt_items(&self, key: &Key, items: Results<EncryptItem>) -> Result<Results<Encrypted>> {
        if !key.algorithm.is_rsa() {
            return self.seal(key, items).await;
        }
        let lengths: Vec<usize> =
            items.iter().map(|item| item.as_ref().map_or(0, |item| item.plaintext.len())).collect();
        let results = rsa::encrypt_all(key, items, self.inner.clock.now());
        let mut spent: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for (encrypted, length) in
            results.iter().zip(lengths).filter_map(|(result, length)| Some((result.as_ref().ok()?, length)))
        {
            let (uses, bytes) = spent.entry(encrypted.version).or_default();
            (*uses, *bytes) = (*uses + 1, *bytes + length);
        }
        // Software did it, because a public key is no secret; what exceeds a limit is not answered.
        for (version, (uses, bytes)) in spent {
            let Some(version) = key.versions.get(&version) else { continue };
            self.spend(key, version, uses, bytes).await?;
        }
        Ok(results)
    }

    /// Plaintexts. What was done outside the token goes into the event.
    async fn decrypt_items(
        &self,
        event: &mut Event,
        key: &Key,
        items: &Results<DecryptItem>,
        fips: bool,
    ) -> Result<Results<Vec<u8>>> {
        if !key.algorithm.is_rsa() {
            return self.open_sealed(key, items).await;
        }
        let (plaintexts, unpadded_in_worker) = self.rsa_decrypt_all(key, items, fips).await?;
        if unpadded_in_worker {
            event.data.insert("unpadded_in_worker".into(), Value::Bool(true));
        }
        Ok(plaintexts)
    }
}

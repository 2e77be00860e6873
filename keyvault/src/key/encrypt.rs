//! Encrypting and decrypting in the HSM; each call leaves one record before it answers.

use super::sign::{choose, failed, readable, settle};
use super::{Derivation, Key};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event};
use hsm_bridge::{Ciphertext, Context, KeyRef, Plaintext, Sealed};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key";
/// IV and tag.
const SHORTEST: usize = 12 + 16;

/// What is to be encrypted.
#[derive(Clone, Debug, Default)]
pub struct EncryptItem {
    /// Plaintext.
    pub plaintext: Vec<u8>,
    /// Version; 0: the newest.
    pub version: i64,
    /// Whose derived key encrypts; other keys do not look at it.
    pub context: Vec<u8>,
    /// Authenticated, not encrypted.
    pub associated_data: Vec<u8>,
}

/// IV ‖ ciphertext ‖ tag.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// Version that encrypted.
    pub version: u32,
    /// The bytes.
    pub ciphertext: Vec<u8>,
}

/// What is to be decrypted.
#[derive(Clone, Debug)]
pub struct DecryptItem {
    /// Version that the ciphertext names.
    pub version: u32,
    /// IV ‖ ciphertext ‖ tag.
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
        let mut event = self.event(caller, key, "key.encrypt", items.len());
        self.check_encrypts(key, &event, "encryption").await?;
        let results = self.encrypt_items(key, items).await;
        let results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    /// Decrypts. The record holds the SHA-256 of the ciphertexts that were opened: one of a plaintext could be guessed back.
    pub async fn decrypt(&self, caller: &Caller, key: &Key, items: Results<DecryptItem>) -> Result<Results<Vec<u8>>> {
        let mut event = self.event(caller, key, "key.decrypt", items.len());
        self.check_encrypts(key, &event, "decryption").await?;
        let results = self.decrypt_items(key, &items).await;
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
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    /// Decrypts and encrypts again, with the version wanted (0: the newest).
    pub async fn rewrap(
        &self,
        caller: &Caller,
        key: &Key,
        items: Results<(DecryptItem, i64)>,
    ) -> Result<Results<Encrypted>> {
        let mut event = self.event(caller, key, "key.rewrap", items.len());
        self.check_encrypts(key, &event, "decryption").await?;
        let sealed: Results<DecryptItem> = items.iter().map(|item| item.clone().map(|(item, _)| item)).collect();
        let opened = self.decrypt_items(key, &sealed).await;
        let opened = self.or_failed(&event, opened).await?;
        let again = opened
            .into_iter()
            .zip(items)
            .map(|(plaintext, item)| {
                let (item, version) = item?;
                let plaintext = plaintext?;
                Ok(EncryptItem { plaintext, version, context: item.context, associated_data: Vec::new() })
            })
            .collect();
        let results = self.encrypt_items(key, again).await;
        let results = self.or_failed(&event, results).await?;
        settle(&mut event, &results);
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    pub(super) async fn check_encrypts(&self, key: &Key, event: &Event, what: &str) -> Result<()> {
        if key.algorithm.is_aead() {
            return Ok(());
        }
        let reason = format!("message {what} not supported for key type {}", key.algorithm.name());
        Err(self.refuse(event.clone(), reason).await)
    }

    /// The failure of a whole call is recorded before it is answered.
    pub(super) async fn or_failed<T>(&self, event: &Event, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.inner.audit.append(failed(event.clone(), &error.to_string())).await?;
        }
        result
    }

    pub(super) async fn encrypt_items(&self, key: &Key, items: Results<EncryptItem>) -> Result<Results<Encrypted>> {
        let mut results: Results<Encrypted> = Vec::with_capacity(items.len());
        let mut of_version: BTreeMap<u32, Vec<(usize, Plaintext)>> = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let prepared = item.and_then(|item| {
                let version = choose(key, item.version, "encryption")?.version;
                let context = context(key, &item.context, key.derivation.is_convergent())?;
                let plaintext = Plaintext { data: item.plaintext, aad: item.associated_data, context };
                of_version.entry(version).or_default().push((index, plaintext));
                Ok(Encrypted { version, ciphertext: Vec::new() })
            });
            results.push(prepared);
        }
        for (version, items) in of_version {
            let (indices, plaintexts): (Vec<usize>, Vec<Plaintext>) = items.into_iter().unzip();
            let sealed = self.inner.bridge.aes_gcm_encrypt_all(usable(key, version)?, plaintexts).await?;
            for (index, Ciphertext { iv, ciphertext_and_tag }) in indices.into_iter().zip(sealed) {
                results[index] = Ok(Encrypted { version, ciphertext: [&iv[..], &ciphertext_and_tag].concat() });
            }
        }
        Ok(results)
    }

    async fn decrypt_items(&self, key: &Key, items: &Results<DecryptItem>) -> Result<Results<Vec<u8>>> {
        let mut results: Results<Vec<u8>> = Vec::with_capacity(items.len());
        let mut of_version: BTreeMap<u32, Vec<(usize, Sealed)>> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let prepared = item.as_ref().map_err(Clone::clone).and_then(|item| {
                let version = readable(key, item.version, "ciphertext")?.version;
                let context = context(key, &item.context, false)?;
                let (iv, rest) = item
                    .ciphertext
                    .split_first_chunk()
                    .filter(|_| item.ciphertext.len() >= SHORTEST)
                    .ok_or("invalid ciphertext length")?;
                let ciphertext = Ciphertext { iv: *iv, ciphertext_and_tag: rest.to_vec() };
                let sealed = Sealed { ciphertext, aad: item.associated_data.clone(), context };
                of_version.entry(version).or_default().push((index, sealed));
                Ok(Vec::new())
            });
            results.push(prepared);
        }
        for (version, items) in of_version {
            let (indices, sealed): (Vec<usize>, Vec<Sealed>) = items.into_iter().unzip();
            let opened = self.inner.bridge.aes_gcm_decrypt_all(usable(key, version)?, sealed).await?;
            for (index, plaintext) in indices.into_iter().zip(opened) {
                results[index] = plaintext.ok_or_else(|| "cipher: message authentication failed".into());
            }
        }
        Ok(results)
    }
}

fn usable(key: &Key, version: u32) -> Result<&KeyRef> {
    let missing = || Error::Hsm(hsm_bridge::Error::Internal(format!("version {version} went away")));
    key.versions.get(&version).and_then(|version| version.key.as_ref()).ok_or_else(missing)
}

/// What the token derives the keys of a context from: SHA-256 of a label and the context, a label a use.
fn context(key: &Key, context: &[u8], makes_nonce: bool) -> Result<Option<Context>, String> {
    if key.derivation == Derivation::None {
        return Ok(None);
    }
    if context.is_empty() {
        return Err(MISSING_CONTEXT.into());
    }
    let labelled = |label: &[u8]| Sha256::new().chain_update(label).chain_update(context).finalize().into();
    Ok(Some(Context {
        key_type: key.algorithm.key_type(),
        cipher: labelled(b"clm-derive-v1 cipher "),
        nonce: makes_nonce.then(|| labelled(b"clm-derive-v1 nonce ")),
    }))
}

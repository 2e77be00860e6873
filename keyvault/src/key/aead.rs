//! AES-GCM (SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) in the HSM, with a named key or with one that the token derives from it for a context.

use super::encrypt::{DecryptItem, EncryptItem, Encrypted, Results};
use super::sign::{choose, readable};
use super::{Key, KeyAlgorithm, KeyVersion};
use crate::{Error, Result, Vault};
use hsm_bridge::{Ciphertext, Context, ContextDerivation, ContextKdf, KeyRef, Plaintext, Sealed};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key";
/// IV and tag.
const SHORTEST: usize = 12 + 16;

impl Vault {
    /// IV ‖ ciphertext ‖ tag of each item.
    pub(super) async fn seal(&self, key: &Key, items: Results<EncryptItem>) -> Result<Results<Encrypted>> {
        let now = self.inner.clock.now();
        let mut results: Results<Encrypted> = Vec::with_capacity(items.len());
        let mut of_version: BTreeMap<u32, Vec<(usize, Plaintext)>> = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let prepared = item.and_then(|item| {
                let version = choose(key, item.version, "encryption", now)?.version;
                let context = context(key, &item.context, key.derivation.is_convergent())?;
                let plaintext = Plaintext { data: item.plaintext, aad: item.associated_data, context };
                of_version.entry(version).or_default().push((index, plaintext));
                Ok(Encrypted { version, ciphertext: Vec::new() })
            });
            results.push(prepared);
        }
        for (version, items) in of_version {
            let (indices, plaintexts): (Vec<usize>, Vec<Plaintext>) = items.into_iter().unzip();
            let (usable, private) = usable(key, version)?;
            let bytes = plaintexts.iter().map(|plaintext| plaintext.data.len()).sum();
            self.spend(key, usable, plaintexts.len(), bytes).await?;
            let sealed = self.inner.bridge.aead_encrypt_all(private, plaintexts).await?;
            for (index, Ciphertext { iv, ciphertext_and_tag }) in indices.into_iter().zip(sealed) {
                results[index] = Ok(Encrypted { version, ciphertext: [&iv[..], &ciphertext_and_tag].concat() });
            }
        }
        Ok(results)
    }

    /// The plaintext of each item.
    pub(super) async fn open_sealed(&self, key: &Key, items: &Results<DecryptItem>) -> Result<Results<Vec<u8>>> {
        let now = self.inner.clock.now();
        let mut results: Results<Vec<u8>> = Vec::with_capacity(items.len());
        let mut of_version: BTreeMap<u32, Vec<(usize, Sealed)>> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let prepared = item.as_ref().map_err(Clone::clone).and_then(|item| {
                let version = readable(key, item.version, "ciphertext", now)?.version;
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
            let opened = self.inner.bridge.aead_decrypt_all(usable(key, version)?.1, sealed).await?;
            for (index, plaintext) in indices.into_iter().zip(opened) {
                results[index] = plaintext.ok_or_else(|| unauthentic(key).into());
            }
        }
        Ok(results)
    }
}

/// Vault's words.
fn unauthentic(key: &Key) -> &'static str {
    match key.algorithm {
        KeyAlgorithm::ChaCha20Poly1305 => "chacha20poly1305: message authentication failed",
        _ => "cipher: message authentication failed",
    }
}

fn usable(key: &Key, number: u32) -> Result<(&KeyVersion, &KeyRef)> {
    let missing = || Error::Hsm(hsm_bridge::Error::Internal(format!("version {number} went away")));
    let version = key.versions.get(&number).ok_or_else(missing)?;
    Ok((version, version.key.as_ref().ok_or_else(missing)?))
}

/// What the token derives the keys of a context from: for HKDF the context itself, for AES SHA-256 of a label and the context, a label a use.
fn context(key: &Key, context: &[u8], makes_nonce: bool) -> Result<Option<Context>, String> {
    let Some(function) = key.derivation.function() else { return Ok(None) };
    if context.is_empty() {
        return Err(MISSING_CONTEXT.into());
    }
    let labelled = |label: &[u8]| Sha256::new().chain_update(label).chain_update(context).finalize().into();
    let derivation = match function.0 {
        ContextKdf::AesEcbEncryptData => ContextDerivation::AesEcbEncryptData {
            cipher: labelled(b"clm-derive-v1 cipher "),
            nonce: makes_nonce.then(|| labelled(b"clm-derive-v1 nonce ")),
        },
        ContextKdf::HkdfSha256 => ContextDerivation::HkdfSha256 { info: context.to_vec(), makes_nonce },
    };
    Ok(Some(Context { key_type: key.algorithm.key_type(), derivation }))
}

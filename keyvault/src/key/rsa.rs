//! RSA-OAEP (RFC 8017, 7.1) with SHA-256 and an empty label: encrypting in software, since a public key is no secret, decrypting in the HSM.

use super::encrypt::{DecryptItem, EncryptItem, Encrypted, Results};
use super::sign::{choose, readable};
use super::{Key, KeyAlgorithm};
use crate::{Result, Vault};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use chrono::{DateTime, Utc};
use hsm_bridge::{HashAlgorithm, WorkerUnpadding};
use std::collections::BTreeMap;

/// Nothing tells in which way a ciphertext is wrong.
const FAILED: &str = "failed to RSA decrypt the ciphertext: crypto/rsa: decryption error";

/// A ciphertext for each item.
pub(super) fn encrypt_all(key: &Key, items: Results<EncryptItem>, now: DateTime<Utc>) -> Results<Encrypted> {
    let encrypt_item = |(index, item): (usize, Result<EncryptItem, String>)| {
        let item = item?;
        if !item.associated_data.is_empty() {
            let name = key.algorithm.name();
            return Err(format!("'[{index}].associated_data' provided for non-AEAD cipher suite {name}"));
        }
        let version = choose(key, item.version, "encryption", now)?;
        let ciphertext = encrypt(key.algorithm, &version.public_key, &item.plaintext)?;
        Ok(Encrypted { version: version.version, ciphertext })
    };
    items.into_iter().enumerate().map(encrypt_item).collect()
}

impl Vault {
    /// The plaintext of each item, and whether a worker undid a padding (docs/KEY-HIERARCHY.md, exceptions), which it does not with `fips`.
    pub(super) async fn rsa_decrypt_all(
        &self,
        key: &Key,
        items: &Results<DecryptItem>,
        fips: bool,
    ) -> Result<(Results<Vec<u8>>, bool)> {
        let now = self.inner.clock.now();
        let mut results: Results<Vec<u8>> = Vec::with_capacity(items.len());
        let mut of_version: BTreeMap<u32, (Vec<usize>, Vec<Vec<u8>>)> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            results.push(item.as_ref().map_err(Clone::clone).and_then(|item| {
                let version = readable(key, item.version, "ciphertext", now)?;
                if !item.associated_data.is_empty() {
                    let name = key.algorithm.name();
                    return Err(format!("'[{index}].associated_data' provided for non-AEAD cipher suite {name}"));
                }
                if version.key.is_none() {
                    return Err("requested version for decryption does not contain a private part".into());
                }
                if Some(item.ciphertext.len()) != key.algorithm.modulus_bytes() {
                    return Err(FAILED.into());
                }
                let (indices, ciphertexts) = of_version.entry(version.version).or_default();
                indices.push(index);
                ciphertexts.push(item.ciphertext.clone());
                Ok(Vec::new())
            }));
        }
        let unpadding = if fips { WorkerUnpadding::Refused } else { WorkerUnpadding::Allowed };
        let mut in_worker = false;
        for (version, (indices, ciphertexts)) in of_version {
            let Some(private) = key.versions.get(&version).and_then(|version| version.key.as_ref()) else { continue };
            let decrypted =
                self.inner.bridge.rsa_decrypt(private, HashAlgorithm::Sha2_256, ciphertexts, unpadding).await?;
            for (index, decrypted) in indices.into_iter().zip(decrypted) {
                in_worker |= decrypted.unpadded_in_worker;
                results[index] = decrypted.plaintext.ok_or_else(|| FAILED.into());
            }
        }
        Ok((results, in_worker))
    }
}

fn encrypt(algorithm: KeyAlgorithm, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, String> {
    let unusable = || format!("the public key of this {} key cannot be used", algorithm.name());
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| unusable())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| unusable())?;
    let longest = key.max_plaintext_size(&OAEP_SHA256_MGF1SHA256);
    if plaintext.len() > longest {
        return Err(format!("failed to RSA encrypt the plaintext: {} bytes, where {longest} fit", plaintext.len()));
    }
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut ciphertext, None).map_err(|_| unusable())?.len();
    ciphertext.truncate(length);
    Ok(ciphertext)
}

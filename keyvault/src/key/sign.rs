//! Signing in the HSM, verifying in software; each call leaves one record before it answers.

use super::state::Use;
use super::{Hash, Key, KeyAlgorithm, KeyVersion, Marshaling, Padding, SaltLength};
use crate::hierarchy::ecdsa_der;
use crate::{Error, Result, Vault, record, verify};
use audit_chain::{Caller, Event, Outcome, Value, merkle};
use chrono::{DateTime, Utc};
use hsm_bridge::SignMechanism;
use sha2::{Digest, Sha256};

/// What is to be signed, and how.
#[derive(Clone, Debug)]
pub struct SignRequest {
    /// Version; 0: the newest.
    pub version: i64,
    /// Digest; `None`: none, the input is signed as it is (RSASSA-PKCS1-v1_5 only).
    pub hash: Option<Hash>,
    /// The inputs are digests already.
    pub prehashed: bool,
    /// RSA padding.
    pub padding: Padding,
    /// RSASSA-PSS salt.
    pub salt_length: SaltLength,
    /// How signatures are written.
    pub marshaling: Marshaling,
    /// Inputs; an item that could not be read is its error.
    pub inputs: Vec<Result<Vec<u8>, String>>,
}

/// Signatures, in the order of the inputs.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Version that signed.
    pub version: u32,
    /// A signature, or why there is none.
    pub signatures: Vec<Result<Vec<u8>, String>>,
}

/// What is to be verified, and how.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// As in [`SignRequest`].
    pub hash: Option<Hash>,
    /// As in [`SignRequest`].
    pub prehashed: bool,
    /// As in [`SignRequest`].
    pub padding: Padding,
    /// As in [`SignRequest`].
    pub salt_length: SaltLength,
    /// As in [`SignRequest`].
    pub marshaling: Marshaling,
    /// Items; one that could not be read is its error.
    pub items: Vec<Result<VerifyItem, String>>,
}

/// An input and its supposed signature.
#[derive(Clone, Debug)]
pub struct VerifyItem {
    /// Input.
    pub input: Vec<u8>,
    /// Version that the signature names.
    pub version: u32,
    /// Signature.
    pub signature: Vec<u8>,
}

impl Vault {
    /// Signs. A version or algorithm that does not fit refuses the whole call; an input that does not fit, only itself.
    pub async fn sign(&self, caller: &Caller, key: &Key, mut request: SignRequest) -> Result<Signed> {
        let mut event = self.begin(caller, key, "key.sign", request.inputs.len(), Use::Protect).await?;
        if !key.algorithm.supports_signing() {
            return Err(self
                .refuse(event, format!("key type {} does not support signing", key.algorithm.name()))
                .await);
        }
        let version = match choose(key, request.version, "signing", self.inner.clock.now()) {
            Ok(version) => version,
            Err(reason) => return Err(self.refuse(event, reason).await),
        };
        event.data.insert("version".into(), Value::Integer(version.version.into()));
        let ready = version.private("signing").and_then(|private| Ok((private, mechanism(key.algorithm, &request)?)));
        let (private, mechanism) = match ready {
            Ok(ready) => ready,
            Err(reason) => return Err(self.refuse(event, reason).await),
        };
        let inputs = std::mem::take(&mut request.inputs);
        let bytes = inputs.iter().flatten().map(Vec::len).sum();
        let mut results: Vec<Result<Vec<u8>, String>> = Vec::with_capacity(inputs.len());
        let mut prepared = Vec::with_capacity(inputs.len());
        for input in inputs {
            let item = input.and_then(|input| prepare(key.algorithm, &request, input));
            results.push(item.map(|data| {
                prepared.push(data);
                Vec::new()
            }));
        }
        let signatures = if prepared.is_empty() {
            Vec::new()
        } else {
            let spent = self.spend(key, version, prepared.len(), bytes).await;
            self.or_failed(&event, spent).await?;
            let signatures = self.inner.bridge.sign(private, mechanism, prepared).await.map_err(Error::from);
            self.or_failed(&event, signatures).await?
        };
        let ecdsa = key.algorithm.order_bytes().is_some();
        let mut signatures = signatures.into_iter();
        for slot in results.iter_mut().flatten() {
            let raw = signatures
                .next()
                .ok_or_else(|| Error::Hsm(hsm_bridge::Error::Internal("fewer signatures than inputs".into())))?;
            *slot = if ecdsa && request.marshaling == Marshaling::Asn1 { ecdsa_der(&raw)? } else { raw };
        }
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|_| version.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        Ok(Signed { version: version.version, signatures: results })
    }

    /// Verifies in software: public keys are no secret.
    pub async fn verify(
        &self,
        caller: &Caller,
        key: &Key,
        request: VerifyRequest,
    ) -> Result<Vec<Result<bool, String>>> {
        let mut event = self.begin(caller, key, "key.verify", request.items.len(), Use::Process).await?;
        if !key.algorithm.supports_signing() {
            let reason = format!("key type {} does not support verification", key.algorithm.name());
            return Err(self.refuse(event, reason).await);
        }
        let now = event.timestamp;
        let results: Vec<Result<bool, String>> = request
            .items
            .iter()
            .map(|item| {
                let item = item.as_ref().map_err(Clone::clone)?;
                let version = readable(key, item.version, "signature", now)?;
                verify::signature(key.algorithm, &version.public_key, &request, &item.input, &item.signature)
            })
            .collect();
        if results.iter().any(Result::is_err) {
            event.outcome = if results.iter().any(Result::is_ok) { Outcome::Partial } else { Outcome::Failure };
        }
        let valid = results.iter().filter(|result| matches!(result, Ok(true))).count();
        event.data.insert("valid".into(), Value::Integer(i64::try_from(valid).unwrap_or(i64::MAX)));
        let versions = request.items.iter().flatten().map(|item| item.version);
        self.note_used(&mut event, caller, key, Use::Process, versions);
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    pub(super) fn event(&self, caller: &Caller, key: &Key, event_type: &'static str, count: usize) -> Event {
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", event_type);
        event.resource_id = Some(key.id.to_string());
        event.data.insert("key".into(), Value::Text(key.name.to_string().into()));
        event.data.insert("count".into(), Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        event
    }

    pub(super) async fn refuse(&self, event: Event, reason: String) -> Error {
        match self.inner.audit.append(record::failed(event, &reason)).await {
            Ok(()) => Error::Invalid(reason),
            Err(error) => Error::Audit(error),
        }
    }
}

/// Outcome and hash of the results: of one, its SHA-256; of a batch, the Merkle root over those that were made.
pub(super) fn settle<T: AsRef<[u8]>>(event: &mut Event, results: &[Result<T, String>]) {
    let made: Vec<&T> = results.iter().flatten().collect();
    event.result_sha256 = match made.as_slice() {
        [] => None,
        [one] if results.len() == 1 => Some(Sha256::digest(one).into()),
        many => Some(merkle::root(many)),
    };
    event.outcome = match (made.len(), results.len()) {
        (made, all) if made == all => Outcome::Success,
        (0, _) => Outcome::Failure,
        _ => Outcome::Partial,
    };
    if results.len() == 1
        && let Some(Err(reason)) = results.first()
    {
        event.error_message = Some(reason.clone());
    }
}

pub(super) fn choose<'k>(
    key: &'k Key,
    wanted: i64,
    what_for: &str,
    now: DateTime<Utc>,
) -> Result<&'k KeyVersion, String> {
    let settings = key.settings;
    let number = match wanted {
        0 => settings.latest_version,
        ..0 => return Err(format!("requested version for {what_for} is negative")),
        other => match u32::try_from(other) {
            Ok(version) if version <= settings.latest_version => version,
            _ => return Err(format!("requested version for {what_for} is higher than the latest key version")),
        },
    };
    if number < settings.min_encryption_version {
        return Err(format!("requested version for {what_for} is less than the minimum encryption key version"));
    }
    if number < settings.min_decryption_version {
        return Err("no such key version".into());
    }
    key.version_for(number, Use::Protect, now)
}

pub(super) fn readable<'k>(
    key: &'k Key,
    number: u32,
    what: &str,
    now: DateTime<Utc>,
) -> Result<&'k KeyVersion, String> {
    if number > key.settings.latest_version {
        return Err(format!("invalid {what}: version is too new"));
    }
    if number < key.settings.min_decryption_version {
        return Err("ciphertext or signature version is disallowed by policy (too old)".into());
    }
    key.version_for(number, Use::Process, now)
}

pub(super) fn mechanism(algorithm: KeyAlgorithm, request: &SignRequest) -> Result<SignMechanism, String> {
    let Some(modulus) = algorithm.modulus_bytes() else {
        return Ok(match algorithm {
            KeyAlgorithm::Ed25519 => SignMechanism::Ed25519,
            _ if algorithm.is_ml_dsa() => SignMechanism::MlDsa,
            _ => SignMechanism::Ecdsa,
        });
    };
    match (request.padding, request.hash) {
        (Padding::Pkcs1v15, hash) => Ok(SignMechanism::RsaPkcs1(hash.map(|hash| hash.0))),
        (Padding::Pss, None) => {
            Err("hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15".into())
        }
        (Padding::Pss, Some(hash)) => {
            let maximum = modulus - 2 - hash.length();
            let salt = match request.salt_length {
                SaltLength::Auto => maximum,
                SaltLength::Hash => hash.length(),
                SaltLength::Bytes(bytes) => bytes as usize,
            };
            if salt > maximum {
                return Err(format!("requested salt length {salt} is invalid"));
            }
            let salt_length = u16::try_from(salt).map_err(|_| format!("requested salt length {salt} is invalid"))?;
            Ok(SignMechanism::RsaPss { hash: hash.0, salt_length })
        }
    }
}

/// From an input to what the token signs.
pub(super) fn prepare(algorithm: KeyAlgorithm, request: &SignRequest, input: Vec<u8>) -> Result<Vec<u8>, String> {
    if algorithm.signs_messages() {
        return Ok(input);
    }
    let Some(hash) = request.hash else {
        let longest = algorithm.modulus_bytes().unwrap_or_default().saturating_sub(11);
        return if input.len() <= longest {
            Ok(input)
        } else {
            Err("input is too long to be signed without a hash".into())
        };
    };
    let mut digest = if request.prehashed { input } else { hash.digest(&input) };
    match algorithm.order_bytes() {
        // FIPS 186-5, 6.4.1: the leftmost bits, as many as the order has; for P-521 no hash is longer than the order.
        Some(order) => digest.truncate(order),
        None if digest.len() != hash.length() => return Err("crypto/rsa: input must be hashed with given hash".into()),
        None => {}
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use crate::key::{KeyConfig, KeySettings};
    use proptest::prelude::*;

    fn settings(latest: u32) -> KeySettings {
        KeySettings { latest_version: latest, ..KeySettings::new() }
    }

    proptest! {
        #[test]
        fn settings_stay_consistent_whatever_is_asked(latest in 1u32..9, asked in prop::collection::vec((-1i64..10, -1i64..10, any::<bool>()), 0..12)) {
            let mut current = settings(latest);
            for (decryption, encryption, deletion) in asked {
                let config = KeyConfig {
                    min_decryption_version: Some(decryption),
                    min_encryption_version: Some(encryption),
                    deletion_allowed: Some(deletion),
                    exportable: Some(deletion),
                    ..KeyConfig::default()
                };
                let before = current;
                if let Ok((after, _)) = config.apply(current) {
                    prop_assert!(before.exportable <= after.exportable, "exportable is one way");
                    current = after;
                }
                prop_assert!((1..=latest).contains(&current.min_decryption_version));
                prop_assert!(current.min_encryption_version <= latest);
                prop_assert!(current.min_encryption_version == 0 || current.min_encryption_version >= current.min_decryption_version);
            }
        }
    }

    #[test]
    fn refusals_say_what_the_reference_says() {
        let refused = |config: KeyConfig| config.apply(settings(4)).expect_err("must be refused").to_string();
        assert_eq!(
            refused(KeyConfig { min_decryption_version: Some(5), ..KeyConfig::default() }),
            "cannot set min decryption version of 5, latest key version is 4"
        );
        assert_eq!(
            refused(KeyConfig {
                min_decryption_version: Some(3),
                min_encryption_version: Some(2),
                ..KeyConfig::default()
            }),
            "cannot set min encryption/decryption values; min encryption version of 2 must be greater than or equal to min decryption version of 3"
        );
    }
}

//! HMAC (FIPS 198-1) in the HSM, with the HMAC key of a version; each call leaves one record before it answers.

use super::encrypt::Results;
use super::sign::settle;
use super::state::Use;
use super::{Hash, Key, KeyVersion, VerifyItem};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Outcome, Value};
use chrono::{DateTime, Utc};
use hsm_bridge::{KeyRef, KeyType};
use subtle::ConstantTimeEq;

impl Vault {
    /// HMAC of each input. `version` 0: the newest; one that does not fit refuses the whole call. Gives the version as well.
    pub async fn hmac(
        &self,
        caller: &Caller,
        key: &Key,
        version: i64,
        hash: Hash,
        inputs: Results<Vec<u8>>,
    ) -> Result<(u32, Results<Vec<u8>>)> {
        let mut event = self.begin(caller, key, "key.hmac", inputs.len(), Use::Protect).await?;
        let version =
            match chosen(key, version, event.timestamp).and_then(|version| Ok((version, hmac_key(version, hash)?))) {
                Ok(version) => version,
                Err(reason) => return Err(self.refuse(event, reason).await),
            };
        event.data.insert("version".into(), Value::Integer(version.0.version.into()));
        let given: Vec<Vec<u8>> = inputs.iter().flatten().cloned().collect();
        if !given.is_empty() {
            let spent = self.spend(key, version.0, given.len(), given.iter().map(Vec::len).sum()).await;
            self.or_failed(&event, spent).await?;
        }
        let macs = self.hmacs(version.1, hash, given).await;
        let mut macs = self.or_failed(&event, macs).await?.into_iter();
        let results: Results<Vec<u8>> =
            inputs.into_iter().map(|input| input.map(|_| macs.next().unwrap_or_default())).collect();
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|_| version.0.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        Ok((version.0.version, results))
    }

    /// Makes each HMAC again in the HSM and compares in constant time.
    pub async fn verify_hmac(
        &self,
        caller: &Caller,
        key: &Key,
        hash: Hash,
        items: Results<VerifyItem>,
    ) -> Result<Results<bool>> {
        let mut event = self.begin(caller, key, "key.verify", items.len(), Use::Process).await?;
        let versions: Vec<u32> = items.iter().flatten().map(|item| item.version).collect();
        self.note_used(&mut event, caller, key, Use::Process, versions);
        let now = event.timestamp;
        let mut results: Results<bool> = Vec::with_capacity(items.len());
        for item in items {
            let checked = item.and_then(|item| {
                let hmac_key = hmac_key(readable(key, item.version, now)?, hash)?;
                Ok((hmac_key, item))
            });
            results.push(match checked {
                Err(reason) => Err(reason),
                Ok((hmac_key, item)) => {
                    let made = self.hmacs(hmac_key, hash, vec![item.input]).await;
                    let made = self.or_failed(&event, made).await?.pop().unwrap_or_default();
                    Ok(!made.is_empty() && bool::from(made.ct_eq(&item.signature)))
                }
            });
        }
        if results.iter().any(Result::is_err) {
            event.outcome = if results.iter().any(Result::is_ok) { Outcome::Partial } else { Outcome::Failure };
        }
        let valid = results.iter().filter(|result| matches!(result, Ok(true))).count();
        event.data.insert("valid".into(), Value::Integer(i64::try_from(valid).unwrap_or(i64::MAX)));
        self.inner.audit.append(event).await?;
        Ok(results)
    }

    async fn hmacs(&self, key: &KeyRef, hash: Hash, inputs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.bridge.hmac(key, hash.0, inputs).await.map_err(Error::from)
    }
}

pub(super) fn no_hmac_key(version: u32) -> String {
    format!("version {version} was made without an HMAC key: rotate the key")
}

/// Tokens take no HMAC key shorter than the hash.
fn hmac_key(version: &KeyVersion, hash: Hash) -> Result<&KeyRef, String> {
    let key = version.hmac_key.as_ref().ok_or_else(|| no_hmac_key(version.version))?;
    match key.key_type() {
        KeyType::Hmac(bytes) if usize::from(bytes) < hash.length() => {
            Err(format!("a key of {bytes} bytes is too short for a hash of {} in the HSM", hash.length()))
        }
        _ => Ok(key),
    }
}

fn chosen(key: &Key, wanted: i64, now: DateTime<Utc>) -> Result<&KeyVersion, String> {
    let settings = key.settings;
    let number = if wanted == 0 { Some(settings.latest_version) } else { u32::try_from(wanted).ok() };
    let Some(number) = number.filter(|number| *number <= settings.latest_version) else {
        return Err(format!("key version does not exist; latest key version is {}", settings.latest_version));
    };
    if number < settings.min_encryption_version || number < settings.min_decryption_version {
        return Err("cannot generate HMAC: version is too old (disallowed by policy)".into());
    }
    key.version_for(number, Use::Protect, now)
}

fn readable(key: &Key, number: u32, now: DateTime<Utc>) -> Result<&KeyVersion, String> {
    if number > key.settings.latest_version {
        return Err("invalid HMAC: version is too new".into());
    }
    if number < key.settings.min_decryption_version {
        return Err("cannot verify HMAC: version is too old (disallowed by policy)".into());
    }
    key.version_for(number, Use::Process, now)
}

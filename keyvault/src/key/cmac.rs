//! AES-CMAC (SP 800-38B) in the HSM; each call leaves one record before it answers.

use super::encrypt::Results;
use super::sign::{choose, readable, settle};
use super::state::Use;
use super::{Key, VerifyItem};
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Outcome, Value};
use hsm_bridge::KeyRef;
use subtle::ConstantTimeEq;

/// Bytes of a MAC: the block's, or from its left as many as leave no guess a chance (SP 800-38B, appendix A.2).
pub const CMAC_BYTES: std::ops::RangeInclusive<usize> = 8..=16;

impl Vault {
    /// A MAC of each input, of so many bytes. `version` 0: the newest; one that does not fit refuses the whole call. Gives the version as well.
    pub async fn cmac(
        &self,
        caller: &Caller,
        key: &Key,
        version: i64,
        length: usize,
        inputs: Results<Vec<u8>>,
    ) -> Result<(u32, Results<Vec<u8>>)> {
        let mut event = self.begin(caller, key, "key.cmac", inputs.len(), Use::Protect).await?;
        let chosen = supported(key).and_then(|()| {
            let version = choose(key, version, "CMAC", event.timestamp)?;
            Ok((version, version.private("CMAC")?))
        });
        let (version, private) = match chosen {
            Ok(chosen) => chosen,
            Err(reason) => return Err(self.refuse(event, reason).await),
        };
        event.data.insert("version".into(), Value::Integer(version.version.into()));
        let given: Vec<Vec<u8>> = inputs.iter().flatten().cloned().collect();
        if !given.is_empty() {
            let spent = self.spend(key, version, given.len(), given.iter().map(Vec::len).sum()).await;
            self.or_failed(&event, spent).await?;
        }
        let macs = self.cmacs(private, given).await;
        let mut macs = self.or_failed(&event, macs).await?.into_iter();
        let results: Results<Vec<u8>> = inputs
            .into_iter()
            .map(|input| {
                input.map(|_| {
                    let mut mac = macs.next().unwrap_or_default();
                    mac.truncate(length);
                    mac
                })
            })
            .collect();
        settle(&mut event, &results);
        let made = results.iter().flatten().map(|_| version.version);
        self.note_used(&mut event, caller, key, Use::Protect, made);
        self.inner.audit.append(event).await?;
        Ok((version.version, results))
    }

    /// Makes each MAC again in the HSM and compares in constant time; one of another length than `length` is none.
    pub async fn verify_cmac(
        &self,
        caller: &Caller,
        key: &Key,
        length: usize,
        items: Results<VerifyItem>,
    ) -> Result<Results<bool>> {
        let mut event = self.begin(caller, key, "key.verify", items.len(), Use::Process).await?;
        if let Err(reason) = supported(key) {
            return Err(self.refuse(event, reason).await);
        }
        let versions: Vec<u32> = items.iter().flatten().map(|item| item.version).collect();
        self.note_used(&mut event, caller, key, Use::Process, versions);
        let now = event.timestamp;
        let mut results: Results<bool> = Vec::with_capacity(items.len());
        for item in items {
            let checked = item.and_then(|item| {
                let private = readable(key, item.version, "CMAC", now)?.private("CMAC")?;
                Ok((private, item))
            });
            results.push(match checked {
                Err(reason) => Err(reason),
                Ok((private, item)) => {
                    let made = self.cmacs(private, vec![item.input]).await;
                    let made = self.or_failed(&event, made).await?.pop().unwrap_or_default();
                    let made = made.get(..length).unwrap_or_default();
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

    async fn cmacs(&self, key: &KeyRef, inputs: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.bridge.cmac(key, inputs).await.map_err(Error::from)
    }
}

fn supported(key: &Key) -> Result<(), String> {
    let name = key.algorithm.name();
    if key.algorithm.is_cmac() { Ok(()) } else { Err(format!("key type {name} does not support CMAC")) }
}

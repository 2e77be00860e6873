//! Reading a version.

use super::data_key::Place;
use super::find::{Found, Which};
use super::{SecretName, SecretVersion};
use crate::{Result, Vault};
use audit_chain::{Caller, Value};
use chrono::{DateTime, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A version and what it holds.
#[derive(Debug)]
pub struct ReadSecret {
    /// Which.
    pub version: SecretVersion,
    /// None when it is deleted or destroyed.
    pub content: Option<Zeroizing<Vec<u8>>>,
}

impl Vault {
    /// A version, below 1: the newest. `None`: there is none. `event_type`: what its record is called.
    pub async fn read_secret(
        &self,
        caller: &Caller,
        event_type: &'static str,
        name: &SecretName,
        version: i64,
    ) -> Result<Option<ReadSecret>> {
        let mut event = self.secret_event(caller, event_type, name);
        let these = [i32::try_from(version).unwrap_or(i32::MAX)];
        let which = if version < 1 { Which::Newest } else { Which::These(&these) };
        let found = self.find_secret(caller.organization_id, name, which, true).await?;
        let (Some(secret), [row]) = (&found.secret, found.versions.as_slice()) else {
            self.absent(event).await?;
            return Ok(None);
        };
        event.resource_id = Some(secret.id.to_string());
        event.data.insert("version".into(), Value::Integer(row.version.into()));
        let version = SecretVersion::of(secret, row);
        let content = self.content(caller.organization_id, &found, self.inner.clock.now()).await?;
        match (&content, &row.value_hmac) {
            (Some(_), Some(hmac)) => {
                event.data.insert("value_hmac".into(), Value::Text(hex::encode(hmac).into()));
                self.inner.audit.append(event).await?;
            }
            _ => {
                let reason = if version.destroyed {
                    "the version is destroyed"
                } else if secret.profile.has_expired(self.inner.clock.now()) {
                    "the secret has expired"
                } else {
                    "the version is deleted"
                };
                self.inner.audit.append(crate::record::failed(event, reason)).await?;
            }
        }
        Ok(Some(ReadSecret { version, content }))
    }

    /// What the version holds whose ciphertext was found; `None`: it is deleted or destroyed.
    pub(super) async fn content(
        &self,
        organization_id: Uuid,
        found: &Found,
        now: DateTime<Utc>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let (Some(secret), Some(row), Some(ciphertext)) =
            (&found.secret, found.versions.last(), found.ciphertext.as_deref())
        else {
            return Ok(None);
        };
        if row.destroyed_at.is_some()
            || row.deleted_at.is_some_and(|deleted| deleted <= now)
            || secret.profile.has_expired(now)
        {
            return Ok(None);
        }
        let place = Place { organization_id, name: &secret.name, secret_id: secret.id, version: row.version };
        let content = self.open_version(row.encryption_key_id, place, row.id, ciphertext).await?;
        Ok(Some(Zeroizing::new(content)))
    }
}

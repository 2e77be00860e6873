//! Settings of one secret, and what is said of its versions.

use super::find::{Found, Which};
use super::write::{describe, new_secret, put};
use super::{ATTEMPTS, ProfileChange, SecretName, SecretProfile, SecretSettings, SecretVersion, rules};
use crate::store::secrets::SecretRow;
use crate::{Error, Result, Vault};
use audit_chain::Caller;
use chrono::{DateTime, SubsecRound, Utc};
use std::collections::BTreeMap;

/// Custom metadata: entries, characters of a name and of a value (bytes).
const MOST_ENTRIES: usize = 64;
const LONGEST_NAME: usize = 128;
const LONGEST_TEXT: usize = 512;

/// A secret and its versions, without what they hold.
#[derive(Debug)]
pub struct SecretMetadata {
    /// The newest; 0: none yet.
    pub current_version: i32,
    /// The first that was not dropped for newer ones; 0: none was dropped.
    pub oldest_version: i32,
    /// Its own.
    pub settings: SecretSettings,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a version or a setting was last written.
    pub written_at: DateTime<Utc>,
    /// By people, for people.
    pub custom_metadata: BTreeMap<String, String>,
    /// What else it is.
    pub profile: SecretProfile,
    /// By number.
    pub versions: Vec<SecretVersion>,
}

/// What is to be different; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct MetadataChange {
    /// Versions to keep; 0: the mount's number.
    pub max_versions: Option<i64>,
    /// Whether a write must say which version it follows.
    pub cas_required: Option<bool>,
    /// Seconds; 0: the mount's; below: never.
    pub delete_version_after: Option<i64>,
    /// Custom metadata.
    pub custom_metadata: Option<CustomMetadataChange>,
    /// What else it is.
    pub profile: ProfileChange,
}

/// How custom metadata change.
#[derive(Clone, Debug)]
pub enum CustomMetadataChange {
    /// These are set, those with `None` taken away, the others stay.
    Merge(BTreeMap<String, Option<String>>),
    /// These and no other.
    Replace(BTreeMap<String, String>),
}

impl MetadataChange {
    /// Why it cannot be.
    fn refusal(&self) -> Option<String> {
        let versions = self.max_versions.and_then(rules::refuse_max_versions);
        versions.or_else(|| match self.custom_metadata.as_ref()? {
            CustomMetadataChange::Replace(texts) => {
                texts.iter().find_map(|(name, text)| refuse_entry(name, Some(text)))
            }
            CustomMetadataChange::Merge(texts) => {
                texts.iter().find_map(|(name, text)| refuse_entry(name, text.as_ref()))
            }
        })
    }

    fn apply(&self, row: &mut SecretRow, now: DateTime<Utc>) -> Option<String> {
        apply_settings(&mut row.settings, self.max_versions, self.cas_required, self.delete_version_after);
        match &self.custom_metadata {
            None => {}
            Some(CustomMetadataChange::Replace(texts)) => row.custom_metadata.clone_from(texts),
            Some(CustomMetadataChange::Merge(texts)) => {
                for (name, text) in texts {
                    match text {
                        None => drop(row.custom_metadata.remove(name)),
                        Some(text) => drop(row.custom_metadata.insert(name.clone(), text.clone())),
                    }
                }
            }
        }
        let entries = row.custom_metadata.len();
        if entries > MOST_ENTRIES {
            return Some(format!(
                "custom_metadata validation failed: {entries} keys, at most {MOST_ENTRIES} can be stored"
            ));
        }
        self.profile.apply(&mut row.profile, now).err()
    }
}

/// The same for a mount and for a secret.
pub(super) fn apply_settings(
    settings: &mut SecretSettings,
    max_versions: Option<i64>,
    cas_required: Option<bool>,
    delete_version_after: Option<i64>,
) {
    if let Some(number) = max_versions {
        settings.max_versions = i32::try_from(number).unwrap_or(rules::MOST_VERSIONS);
    }
    settings.cas_required = cas_required.unwrap_or(settings.cas_required);
    settings.delete_version_after =
        delete_version_after.map_or(settings.delete_version_after, |seconds| seconds.max(-1));
}

fn refuse_entry(name: &str, text: Option<&String>) -> Option<String> {
    let failed = |why: String| Some(format!("custom_metadata validation failed: {why}"));
    if name.is_empty() || name.len() > LONGEST_NAME {
        return failed(format!("length of key {name:?} is {} but must be 0 < len(key) <= {LONGEST_NAME}", name.len()));
    }
    if name.chars().any(char::is_control) {
        return failed(format!("key {name:?} contains unprintable characters"));
    }
    let text = text?;
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return failed(format!(
            "length of value for key {name:?} is {} but must be 0 < len(value) <= {LONGEST_TEXT}",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return failed(format!("value for key {name:?} contains unprintable characters"));
    }
    None
}

impl Vault {
    /// What is said of a secret.
    pub async fn read_secret_metadata(&self, caller: &Caller, name: &SecretName) -> Result<Option<SecretMetadata>> {
        let mut event = self.secret_event(caller, "secret_metadata.read", name);
        let Found { secret, versions, .. } = self.find_secret(caller.organization_id, name, Which::All, false).await?;
        let Some(secret) = secret else {
            self.absent(event).await?;
            return Ok(None);
        };
        event.resource_id = Some(secret.id.to_string());
        self.inner.audit.append(event).await?;
        let versions = versions.iter().map(|row| SecretVersion::of(&secret, row)).collect();
        Ok(Some(SecretMetadata {
            current_version: secret.version,
            oldest_version: secret.oldest_version,
            settings: secret.settings,
            created_at: secret.created_at,
            written_at: secret.written_at,
            custom_metadata: secret.custom_metadata,
            profile: secret.profile,
            versions,
        }))
    }

    /// Changes them, and gives the settings of the mount; `make`: a secret that is not there is made, without a version. `None`: it is not there.
    pub async fn write_secret_metadata(
        &self,
        caller: &Caller,
        name: &SecretName,
        change: &MetadataChange,
        make: bool,
    ) -> Result<Option<SecretSettings>> {
        let _turn = self.inner.turns.of(name).await;
        for _ in 0..ATTEMPTS {
            let event_type = if make { "secret_metadata.write" } else { "secret_metadata.patch" };
            let mut event = self.secret_event(caller, event_type, name);
            if let Some(reason) = change.refusal().or_else(|| rules::refuse_name(name).filter(|_| make)) {
                return Err(self.refuse_secret(event, reason).await);
            }
            let found = self.find_secret(caller.organization_id, name, Which::None, false).await?;
            let now = self.inner.clock.now().trunc_subsecs(6);
            let (is_new, mount) = (found.secret.is_none(), found.mount_settings());
            let mut secret = match found.secret {
                Some(secret) => SecretRow { revision: secret.revision + 1, written_at: now, ..secret },
                None if make => new_secret(caller, name, now),
                None => {
                    self.absent(event).await?;
                    return Ok(None);
                }
            };
            if let Some(reason) = change.apply(&mut secret, now) {
                return Err(self.refuse_secret(event, reason).await);
            }
            self.bind_secret(Some(&mut secret), &mut []).await?;
            event.resource_id = Some(secret.id.to_string());
            describe(&mut event, &secret, [], None);
            let done = self
                .inner
                .audit
                .commit(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        put(connection, &secret, is_new).await?;
                        Ok(((), event))
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other.map(|()| Some(mount)),
            }
        }
        Err(Error::Conflict)
    }
}

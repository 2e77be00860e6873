//! Trimming: versions that are needed no more are destroyed for good.

use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::transition::{Why, transition_rows};
use super::{Key, KeyName, KeySettings, KeyState};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::SubsecRound;
use std::sync::Arc;
use uuid::Uuid;

impl KeySettings {
    /// With that oldest version, or why not.
    fn trimmed(mut self, wanted: i64) -> Result<Self> {
        let refused = |why: &str| Err(Error::Invalid(why.into()));
        let Some(wanted) = u32::try_from(wanted).ok().filter(|wanted| *wanted > 0) else {
            return refused("minimum available version should be positive");
        };
        if wanted < self.min_available_version {
            return refused("minimum available version cannot be decremented");
        }
        if self.min_encryption_version == 0 {
            return refused("minimum available version cannot be set when minimum encryption version is not set");
        }
        if wanted > self.min_encryption_version {
            return refused("minimum available version cannot be greater than minimum encryption version");
        }
        if wanted > self.min_decryption_version {
            return refused("minimum available version cannot be greater than minimum decryption version");
        }
        self.min_available_version = wanted;
        Ok(self)
    }
}

impl Vault {
    /// Destroys the versions before `min_available_version`: their blobs are gone when this returns; objects on the token follow.
    pub async fn trim_key(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        min_available_version: i64,
    ) -> Result<Arc<Key>> {
        for _ in 0..ATTEMPTS {
            let (mut key, versions) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound("invalid key name".into()))?;
            let before = key.settings;
            key.settings = before.trimmed(min_available_version)?;
            if key.settings == before {
                return self.present(caller, mount_id, name).await;
            }
            key.revision += 1;
            let gone = |version: i32| i64::from(version) < min_available_version;
            let mut trimmed: Vec<_> = versions.into_iter().filter(|version| gone(version.version)).collect();
            trimmed.retain(|version| version.key_state != "destroyed");
            let from: Vec<_> = trimmed.iter().filter_map(|row| Some((Some(row.number()?), row.state()?))).collect();
            let now = self.inner.clock.now().trunc_subsecs(6);
            let reason = format!("trimmed: min_available_version is {min_available_version}");
            let why = Why { reason: &reason, at: now };
            let transitions = self.transitions(caller, &mut key, &from, KeyState::Destroyed, why).await?;
            self.destroy_versions(&mut trimmed).await?;
            let key_mac = self.key_mac(&key, false).await?;
            let mut event = change_event(caller, now, "key.trim", &key, key.settings.latest_version);
            event.data.insert("min_available_version".into(), Value::Integer(min_available_version));
            let written = rows(&key, &key_mac, &trimmed.iter().collect::<Vec<_>>());
            event.data.insert("rows".into(), record::joined(vec![written, transition_rows(&transitions)]));
            let objects: Vec<Uuid> = trimmed.iter().filter_map(|version| version.hsm_key_id).collect();
            let write = KeyWrite { changed: trimmed, transitions, ..KeyWrite::of(key, key_mac, event) };
            match self.write(write).await {
                Err(Error::Conflict) => continue,
                other => other?,
            }
            for object in objects {
                self.discard(Some(object)).await;
            }
            return self.present(caller, mount_id, name).await;
        }
        Err(Error::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(min_available: u32, min_decryption: u32, min_encryption: u32) -> KeySettings {
        KeySettings {
            latest_version: 9,
            min_decryption_version: min_decryption,
            min_encryption_version: min_encryption,
            min_available_version: min_available,
            ..KeySettings::new()
        }
    }

    #[test]
    fn only_versions_that_nothing_can_use_are_trimmed() {
        for (available, decryption, encryption, wanted, refused) in [
            (0, 1, 0, 0, "should be positive"),
            (0, 1, 0, -1, "should be positive"),
            (0, 1, 0, 1, "when minimum encryption version is not set"),
            (0, 2, 3, 3, "greater than minimum decryption version"),
            (0, 2, 3, 4, "greater than minimum encryption version"),
            (2, 3, 3, 1, "cannot be decremented"),
        ] {
            let text = settings(available, decryption, encryption).trimmed(wanted).expect_err("refused").to_string();
            assert!(text.ends_with(refused), "{text}");
        }
        assert_eq!(settings(0, 2, 3).trimmed(2).expect("fits").min_available_version, 2);
        assert_eq!(settings(2, 3, 3).trimmed(2).expect("the same is fine").min_available_version, 2);
    }
}

//! Destruction that waits, and deletion that can be undone.

use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::{Key, KeyName};
use crate::store::{key_versions, named_keys, read_as_of_now};
use crate::vault::system;
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event, Value};
use chrono::{SecondsFormat, SubsecRound, TimeDelta};
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

const DAY: u64 = 24 * 60 * 60;
/// Keys in one step.
const STEP: i64 = 100;

/// How long a key waits for its destruction, seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DestructionWaits {
    /// No shorter wait is taken. Default: 7 days.
    pub shortest: u64,
    /// No longer one is taken, and this one unless another is asked for. Default: 30 days.
    pub longest: u64,
}

impl Default for DestructionWaits {
    fn default() -> Self {
        Self { shortest: 7 * DAY, longest: 30 * DAY }
    }
}

impl DestructionWaits {
    pub(crate) fn check(self) -> Result<()> {
        if (1..=self.longest).contains(&self.shortest) && self.longest <= 3650 * DAY {
            return Ok(());
        }
        let text = "keys.destruction: `shortest` must be 1 second or more, `longest` no less than it and no more than ten years";
        Err(Error::Operator(text.into()))
    }

    fn of(self, asked: Option<u64>) -> Result<TimeDelta> {
        let seconds = asked.unwrap_or(self.longest);
        if !(self.shortest..=self.longest).contains(&seconds) {
            return Err(Error::Invalid(format!(
                "waiting_period must be between {} and {} seconds here",
                self.shortest, self.longest
            )));
        }
        Ok(TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }
}

impl Vault {
    /// From now on the key does nothing, and after the waiting period (seconds; `None`: the longest) it is destroyed.
    pub async fn schedule_destruction(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        waiting_period: Option<u64>,
    ) -> Result<Arc<Key>> {
        let wait = self.inner.destruction.of(waiting_period)?;
        self.amend(caller, mount_id, name, "key.schedule_destruction", |key, event| {
            if !key.settings.deletion_allowed {
                return Err(Error::Invalid("deletion is not allowed for this key".into()));
            }
            if let Some(at) = key.settings.destroy_at {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                return Err(Error::Invalid(format!("key {} is to be destroyed at {at} already", key.name)));
            }
            let at = event.timestamp.trunc_subsecs(6) + wait;
            key.settings.destroy_at = Some(at);
            event.data.insert("destroy_at".into(), Value::Text(at.to_rfc3339().into()));
            Ok(true)
        })
        .await
    }

    /// The key is kept and works again.
    pub async fn cancel_destruction(&self, caller: &Caller, mount_id: Uuid, name: &KeyName) -> Result<Arc<Key>> {
        self.amend(caller, mount_id, name, "key.cancel_destruction", |key, _| match key.settings.destroy_at.take() {
            Some(_) => Ok(true),
            None => Err(Error::Invalid(format!("key {} is not scheduled for destruction", key.name))),
        })
        .await
    }

    /// The key does nothing until that is taken back; in that state already: nothing is done.
    pub async fn soft_delete(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        deleted: bool,
    ) -> Result<Arc<Key>> {
        let event_type = if deleted { "key.soft_delete" } else { "key.soft_delete_restore" };
        self.amend(caller, mount_id, name, event_type, |key, _| {
            let before = std::mem::replace(&mut key.settings.soft_deleted, deleted);
            Ok(before != deleted)
        })
        .await
    }

    /// A change of the key's own row alone. `change` says whether there is one.
    pub(super) async fn amend(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        event_type: &'static str,
        change: impl Fn(&mut Key, &mut Event) -> Result<bool> + Send,
    ) -> Result<Arc<Key>> {
        for _ in 0..ATTEMPTS {
            let (mut key, _) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound("key not found".into()))?;
            let mut event = change_event(caller, self.inner.clock.now(), event_type, &key, key.settings.latest_version);
            if !change(&mut key, &mut event)? {
                event.data.insert("unchanged".into(), Value::Bool(true));
                self.inner.audit.append(event).await?;
                return Ok(Arc::new(key));
            }
            key.revision += 1;
            let key_mac = self.key_mac(&key, false).await?;
            event.data.insert("rows".into(), rows(&key, &key_mac, &[]));
            match self.write(KeyWrite::of(key, key_mac, event)).await {
                Err(Error::Conflict) => continue,
                other => other?,
            }
            return self.present(caller, mount_id, name).await;
        }
        Err(Error::Conflict)
    }

    /// Destroys an organization's keys whose waiting period is over; how many. Their objects on the token are for
    /// [`Self::remove_objects_of_destroyed`]. A key that cannot be destroyed now does not keep the others: the last such error comes back.
    pub async fn destroy_due_keys(&self, organization_id: Uuid) -> Result<u64> {
        let now = self.inner.clock.now();
        let (mut destroyed, mut failed, mut after) = (0, None, Uuid::nil());
        loop {
            let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
            let due = named_keys::due_for_destruction(&mut transaction, organization_id, now, after, STEP).await?;
            transaction.rollback().await?;
            let Some(last) = due.last() else { break };
            after = last.id;
            for key in due {
                let Some(name) = KeyName::parse(&key.name) else { continue };
                let is_due = |key: &Key| key.settings.destroy_at.is_some_and(|at| at <= now);
                match self
                    .destroy(&system(organization_id), key.mount_id, &name, "its waiting period is over", is_due)
                    .await
                {
                    Ok(Some(_)) => destroyed += 1,
                    // Cancelled, deleted, or another key's name meanwhile.
                    Ok(None) | Err(Error::NotFound(_) | Error::Conflict) => {}
                    Err(error) => {
                        tracing::warn!(key = %name, %error, "a key could not be destroyed when it was due; tried again");
                        failed = Some(error);
                    }
                }
            }
        }
        failed.map_or(Ok(destroyed), Err)
    }

    /// Rids the token of what keys that were destroyed when due have left there. Done twice it does no harm.
    pub async fn remove_objects_of_destroyed(&self, organization_id: Uuid) -> Result<()> {
        let token_id = self.deployment().await?.token_id();
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let keys = named_keys::with_objects_to_remove(&mut transaction, organization_id, STEP).await?;
        let versions = key_versions::on_token_of_keys(&mut transaction, organization_id, token_id, &keys).await?;
        transaction.rollback().await?;
        for version in versions.iter().filter(|version| version.key_state == "destroyed") {
            let Some(object) = version.hsm_key_id else { continue };
            // Whoever writes "destroyed" behind the service's back must not have the token's only copy destroyed.
            let row = (version.table(), version.id, version.row_bytes(), version.row_mac.as_slice());
            self.check_rows(organization_id, &[row]).await?;
            self.inner.bridge.destroy_token_key(object).await?;
        }
        if !keys.is_empty() {
            let mut transaction = crate::store::write_for(&self.inner.pool, organization_id).await?;
            named_keys::objects_are_removed(&mut transaction, &keys, self.inner.clock.now()).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_within_what_the_operator_allows() {
        let waits = DestructionWaits::default();
        assert_eq!(waits.of(None).expect("fits"), TimeDelta::days(30));
        assert_eq!(waits.of(Some(7 * DAY)).expect("fits"), TimeDelta::days(7));
        assert!(waits.of(Some(7 * DAY - 1)).is_err() && waits.of(Some(30 * DAY + 1)).is_err());
        assert!(waits.check().is_ok());
        assert!(DestructionWaits { shortest: 0, longest: 1 }.check().is_err());
        assert!(DestructionWaits { shortest: 2, longest: 1 }.check().is_err());
    }
}

//! Deleting versions, bringing them back, destroying them, and deleting whole secrets.

use super::find::Which;
use super::write::describe;
use super::{ATTEMPTS, SecretName, rules};
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::secrets;
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::{DateTime, SubsecRound, Utc};

/// What is to become of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionChange {
    /// Not shown any more; can come back.
    Delete,
    /// Without its ciphertext, for good.
    Destroy,
    /// Shown again.
    Undelete,
}

impl VersionChange {
    /// What its record is called.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Delete => "secret.delete",
            Self::Destroy => "secret.destroy",
            Self::Undelete => "secret.undelete",
        }
    }

    /// Changes one; `false`: it is that already.
    pub(super) fn apply(self, row: &mut SecretVersionRow, now: DateTime<Utc>) -> bool {
        let is_destroyed = row.destroyed_at.is_some();
        match self {
            Self::Delete if is_destroyed || row.deleted_at.is_some_and(|deleted| deleted <= now) => return false,
            Self::Delete => row.deleted_at = Some(now),
            Self::Destroy if is_destroyed => return false,
            Self::Destroy => row.destroy(now),
            Self::Undelete if is_destroyed || row.deleted_at.is_none() => return false,
            Self::Undelete => row.deleted_at = None,
        }
        row.revision += 1;
        true
    }
}

impl Vault {
    /// Changes versions of a secret, those that there are; `None`: the newest. A record is written also when there was nothing to do.
    pub async fn change_versions(
        &self,
        caller: &Caller,
        name: &SecretName,
        change: VersionChange,
        versions: Option<&[i64]>,
    ) -> Result<()> {
        let _turn = self.inner.turns.of(name).await;
        let these: Option<Vec<i32>> =
            versions.map(|versions| versions.iter().filter_map(|version| i32::try_from(*version).ok()).collect());
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, change.event_type(), name);
            if versions.is_some_and(|versions| versions.len() > rules::MOST_VERSIONS as usize) {
                let reason = format!("at most {} versions at once", rules::MOST_VERSIONS);
                return Err(self.refuse_secret(event, reason).await);
            }
            let which = these.as_deref().map_or(Which::Newest, Which::These);
            let found = self.find_secret(caller.organization_id, name, which, false).await?;
            let Some(secret) = &found.secret else { return self.absent(event).await };
            let now = self.inner.clock.now().trunc_subsecs(6);
            event.resource_id = Some(secret.id.to_string());
            let mut changed = found.versions;
            changed.retain_mut(|row| change.apply(row, now));
            self.bind_secret(None, &mut changed.iter_mut().collect::<Vec<_>>()).await?;
            let numbers = changed.iter().map(|row| Value::Integer(row.version.into())).collect();
            event.data.insert("versions".into(), Value::List(numbers));
            let rows = changed.iter().map(|row| (secret_versions::TABLE, row.id, row.revision, row.row_mac.as_slice()));
            event.data.insert("rows".into(), record::rows(rows));
            let done = self
                .inner
                .audit
                .commit(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        if secret_versions::update_states(connection, &changed).await? {
                            return Ok(((), event));
                        }
                        Err(Error::Conflict)
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    /// Deletes a secret with all its versions, whose ciphertexts are gone when this returns. A record is written whether or not it was there.
    pub async fn delete_secret(&self, caller: &Caller, event_type: &'static str, name: &SecretName) -> Result<()> {
        let _turn = self.inner.turns.of(name).await;
        for _ in 0..ATTEMPTS {
            let mut event = self.secret_event(caller, event_type, name);
            let found = self.find_secret(caller.organization_id, name, Which::All, false).await?;
            let Some(mut secret) = found.secret else { return self.absent(event).await };
            let now = self.inner.clock.now().trunc_subsecs(6);
            secret.revision += 1;
            secret.deleted_at = Some(now);
            let mut destroyed = found.versions;
            destroyed.retain_mut(|row| VersionChange::Destroy.apply(row, now));
            self.bind_secret(Some(&mut secret), &mut destroyed.iter_mut().collect::<Vec<_>>()).await?;
            event.resource_id = Some(secret.id.to_string());
            describe(&mut event, &secret, &destroyed, None);
            let done = self
                .inner
                .audit
                .commit(caller.organization_id, move |connection| {
                    Box::pin(async move {
                        if secrets::update(&mut *connection, &secret).await?
                            && secret_versions::update_states(connection, &destroyed).await?
                        {
                            return Ok(((), event));
                        }
                        Err(Error::Conflict)
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }
}

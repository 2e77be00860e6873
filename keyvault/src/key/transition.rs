//! From one state to the next: by whom, when and why is kept with the key.

use super::change::{ATTEMPTS, KeyWrite};
use super::create::{change_event, rows};
use super::{Key, KeyName, KeyState};
use crate::row_mac::MacDomain;
use crate::store::key_state_changes::{self, StateChangeRow};
use crate::store::key_versions::KeyVersionRow;
use crate::store::read_as_of_now;
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::{DateTime, SubsecRound, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Characters of a reason.
const REASON: usize = 1024;

/// What is to become of a key or of one version.
#[derive(Clone, Debug)]
pub struct StateRequest {
    /// `None`: the key as a whole.
    pub version: Option<u32>,
    /// The state wanted.
    pub to: KeyState,
    /// Why, in words for people.
    pub reason: String,
}

/// One transition.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// `None`: of the key as a whole.
    pub version: Option<u32>,
    /// State before.
    pub from: KeyState,
    /// State after.
    pub to: KeyState,
    /// Why.
    pub reason: String,
    /// Display name of the token that asked.
    pub changed_by: String,
    /// The token's accessor.
    pub accessor: Option<String>,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// Why a transition is made, and when.
#[derive(Clone, Copy)]
pub(super) struct Why<'w> {
    pub(super) reason: &'w str,
    pub(super) at: DateTime<Utc>,
}

/// States of a key and how they came about.
#[derive(Clone, Debug)]
pub struct KeyStates {
    /// The key.
    pub key: Key,
    /// State of each version, destroyed ones too.
    pub versions: BTreeMap<u32, KeyState>,
    /// All transitions, the oldest first.
    pub changes: Vec<StateChange>,
}

impl Vault {
    /// States and transitions of a key; `None`: there is none of that name.
    pub async fn key_states(&self, organization_id: Uuid, mount_id: Uuid, name: &KeyName) -> Result<Option<KeyStates>> {
        let Some((key, rows)) = self.read_key(organization_id, mount_id, name).await? else { return Ok(None) };
        self.states(key, &rows).await.map(Some)
    }

    /// The same of the last key of that name that was deleted: records outlive their key (SP 800-57 part 1, 8.4).
    pub async fn deleted_key_states(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &KeyName,
    ) -> Result<Option<KeyStates>> {
        let read = self.read_deleted_key(organization_id, mount_id, name).await?;
        let Some((mut key, rows)) = read else { return Ok(None) };
        // Of one that was deleted before such transitions were kept, the state is the one before.
        key.settings.state = KeyState::Destroyed;
        self.states(key, &rows).await.map(Some)
    }

    async fn states(&self, key: Key, rows: &[KeyVersionRow]) -> Result<KeyStates> {
        let organization_id = key.organization_id;
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let changes = key_state_changes::of_key(&mut transaction, key.id, key.settings.state_changes).await?;
        transaction.rollback().await?;
        let read: Vec<_> = changes
            .iter()
            .map(|row| (key_state_changes::TABLE, row.id, row.row_bytes(), row.row_mac.as_slice()))
            .collect();
        self.check_rows(organization_id, &read).await?;
        // One that was taken away leaves a hole that no single row's MAC shows.
        if !changes.iter().map(|row| row.position).eq(1..=key.settings.state_changes) {
            return Err(self.refuse_row(organization_id, "named_keys", key.id).await);
        }
        let tampered = |id| Error::RowTampered { table: key_state_changes::TABLE, id };
        let change = |row: StateChangeRow| {
            Ok(StateChange {
                version: row.version,
                from: KeyState::parse(&row.from_state).ok_or_else(|| tampered(row.id))?,
                to: KeyState::parse(&row.to_state).ok_or_else(|| tampered(row.id))?,
                reason: row.reason,
                changed_by: row.changed_by,
                accessor: row.accessor,
                changed_at: row.changed_at,
            })
        };
        let versions = rows.iter().filter_map(|row| Some((row.number()?, row.state()?)));
        Ok(KeyStates {
            key,
            versions: versions.collect(),
            changes: changes.into_iter().map(change).collect::<Result<_>>()?,
        })
    }

    /// Transitions that one change of a key makes, with their MACs, and counted among the key's: of these versions (`None`: of the key as a whole),
    /// from these states, to another.
    pub(super) async fn transitions(
        &self,
        caller: &Caller,
        key: &mut Key,
        from: &[(Option<u32>, KeyState)],
        to: KeyState,
        why: Why<'_>,
    ) -> Result<Vec<StateChangeRow>> {
        let mut rows: Vec<StateChangeRow> = Vec::with_capacity(from.len());
        for (version, from) in from {
            key.settings.state_changes += 1;
            rows.push(StateChangeRow {
                id: Uuid::now_v7(),
                organization_id: key.organization_id,
                named_key_id: key.id,
                position: key.settings.state_changes,
                version: *version,
                from_state: from.word().into(),
                to_state: to.word().into(),
                reason: why.reason.to_owned(),
                changed_by: caller.display_name.to_string(),
                accessor: (!caller.accessor.is_empty()).then(|| caller.accessor.to_string()),
                user_id: caller.user_id,
                changed_at: why.at,
                row_mac: Vec::new(),
            });
        }
        let bytes: Vec<Vec<u8>> = rows.iter().map(StateChangeRow::row_bytes).collect();
        let macs = self.macs_of(MacDomain::SecureRow, &bytes).await?;
        for (row, mac) in rows.iter_mut().zip(macs) {
            row.row_mac = mac.to_vec();
        }
        Ok(rows)
    }

    /// Records that somebody asked what a transition would stop.
    pub async fn note_dry_run(&self, caller: &Caller, key: &Key, request: &StateRequest) -> Result<()> {
        let number = request.version.unwrap_or(key.settings.latest_version);
        let mut event = change_event(caller, self.inner.clock.now(), "key.state", key, number);
        event.data.insert("dry_run".into(), Value::Bool(true));
        event.data.insert("to".into(), Value::Text(request.to.word().into()));
        Ok(self.inner.audit.append(event).await?)
    }

    /// Brings a key or one version into another state. In that state already: nothing is done.
    pub async fn set_key_state(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        name: &KeyName,
        request: StateRequest,
    ) -> Result<Arc<Key>> {
        let StateRequest { version, to, reason } = request;
        for _ in 0..ATTEMPTS {
            let (mut key, mut versions) = self
                .read_key(caller.organization_id, mount_id, name)
                .await?
                .ok_or_else(|| Error::NotFound("key not found".into()))?;
            let row = match version {
                None => None,
                Some(number) => {
                    let at = versions.iter().position(|row| row.number() == Some(number));
                    Some(versions.swap_remove(at.ok_or_else(|| Error::Invalid("no such key version".into()))?))
                }
            };
            let from = match &row {
                None => key.settings.state,
                Some(row) => row.state().ok_or(Error::Conflict)?,
            };
            if from == to {
                return self.present(caller, mount_id, name).await;
            }
            check(&key, version, from, to, &reason)?;
            let now = self.inner.clock.now().trunc_subsecs(6);
            let why = Why { reason: reason.trim(), at: now };
            let transitions = self.transitions(caller, &mut key, &[(version, from)], to, why).await?;
            let mut changed = Vec::new();
            let mut object = None;
            match row {
                None => {
                    if from == KeyState::PreActivation && to == KeyState::Active {
                        key.settings.activated_at = Some(now);
                    }
                    key.settings.state = to;
                }
                Some(row) if to == KeyState::Destroyed => {
                    object = row.hsm_key_id;
                    changed.push(row);
                    self.destroy_versions(&mut changed).await?;
                }
                Some(mut row) => {
                    row.key_state = to.word().into();
                    row.revision += 1;
                    row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
                    changed.push(row);
                }
            }
            key.revision += 1;
            let key_mac = self.key_mac(&key, false).await?;
            let number = version.unwrap_or(key.settings.latest_version);
            let mut event = change_event(caller, now, "key.state", &key, number);
            let whole = if version.is_some() { "version" } else { "key" };
            for (field, text) in [("of", whole), ("from", from.word()), ("to", to.word())] {
                event.data.insert(field.into(), Value::Text(text.into()));
            }
            event.data.insert("reason".into(), Value::Text(reason.trim().to_owned().into()));
            let written = rows(&key, &key_mac, &changed.iter().collect::<Vec<_>>());
            event.data.insert("rows".into(), record::joined(vec![written, transition_rows(&transitions)]));
            let write = KeyWrite { changed, transitions, ..KeyWrite::of(key, key_mac, event) };
            match self.write(write).await {
                Err(Error::Conflict) => continue,
                other => other?,
            }
            self.discard(object).await;
            return self.present(caller, mount_id, name).await;
        }
        Err(Error::Conflict)
    }
}

/// Which rows of transitions a change of a key wrote.
pub(super) fn transition_rows(transitions: &[StateChangeRow]) -> Value {
    record::rows(transitions.iter().map(|row| (key_state_changes::TABLE, row.id, 1, row.row_mac.as_slice())))
}

/// Whether that transition may be made, or why not.
fn check(key: &Key, version: Option<u32>, from: KeyState, to: KeyState, reason: &str) -> Result<()> {
    let refused = |why: String| Err(Error::Invalid(why));
    let of = version.map_or_else(|| format!("key {}", key.name), |number| format!("version {number}"));
    if !from.next().contains(&to) {
        let next: Vec<&str> = from.next().iter().map(|state| state.word()).collect();
        let then = if next.is_empty() { "nothing more".to_owned() } else { next.join(", ") };
        return refused(format!("{of} is {from} and cannot become {to}; it can become {then}"));
    }
    if reason.trim().is_empty() || reason.chars().count() > REASON {
        return refused(format!("give a reason of 1 to {REASON} characters: it is kept with the transition"));
    }
    if to == KeyState::Destroyed && version.is_none() {
        return refused("a whole key is destroyed by deleting it, or by schedule-destruction".into());
    }
    if to == KeyState::Destroyed && !key.settings.deletion_allowed {
        return refused("a version is destroyed only where deletion_allowed is set for the key".into());
    }
    Ok(())
}

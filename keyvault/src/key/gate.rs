//! Whether a key may be used, as its states and its coming destruction have it. Every use of a key begins here.

use super::state::Use;
use super::{Key, KeyState, KeyVersion};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Event, Severity, Value};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Why a key as a whole may not be used.
enum Closed {
    /// It is to be destroyed then: whoever still uses it must be told of.
    Doomed(DateTime<Utc>),
    SoftDeleted,
    State(KeyState),
}

impl KeyVersion {
    /// Whether the version's state allows that use, or why not; [`Key::open`] looks at periods as well.
    pub(super) fn open_to(&self, wanted: Use) -> Result<(), String> {
        if self.state.allows(wanted) {
            return Ok(());
        }
        Err(format!("version {} of the key is {} and {}", self.version, self.state, self.state.does()))
    }
}

impl Key {
    /// A version for that use, or why there is none.
    pub(super) fn version_for(&self, number: u32, wanted: Use, now: DateTime<Utc>) -> Result<&KeyVersion, String> {
        let version = self.versions.get(&number).ok_or("no such key version")?;
        self.open(version, wanted, now)?;
        Ok(version)
    }

    /// A word of warning for each of these versions that is compromised.
    pub fn warnings(&self, versions: impl IntoIterator<Item = u32>) -> Vec<String> {
        self.compromised(versions)
            .map(|version| {
                format!(
                    "version {version} of key {} is compromised: others may know or have made what it protects",
                    self.name
                )
            })
            .collect()
    }

    pub(super) fn compromised(&self, versions: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u32> {
        let named: BTreeSet<u32> = versions.into_iter().collect();
        let is_compromised = |number: &u32| {
            let state = self.versions.get(number).map(|version| version.state);
            [state, Some(self.settings.state)].contains(&Some(KeyState::Compromised)) && state.is_some()
        };
        named.into_iter().filter(is_compromised)
    }

    fn closed_to(&self, wanted: Use) -> Option<Closed> {
        let settings = &self.settings;
        match settings.destroy_at {
            Some(at) => Some(Closed::Doomed(at)),
            None if settings.soft_deleted => Some(Closed::SoftDeleted),
            None if !settings.state.allows(wanted) => Some(Closed::State(settings.state)),
            None => None,
        }
    }
}

impl Vault {
    /// The event of a use of a key, if the key as a whole is open to it; if not, that is recorded, and [`Error::Refused`].
    pub(super) async fn begin(
        &self,
        caller: &Caller,
        key: &Key,
        event_type: &'static str,
        count: usize,
        wanted: Use,
    ) -> Result<Event> {
        let event = self.event(caller, key, event_type, count);
        match key.closed_to(wanted) {
            None => Ok(event),
            // Boxed: it is rare, and its size would be every caller's.
            Some(closed) => Err(Box::pin(self.refuse_closed(event, key, closed)).await),
        }
    }

    /// As [`Self::begin`], for what makes its event later.
    pub(super) async fn check_open(
        &self,
        caller: &Caller,
        key: &Key,
        event_type: &'static str,
        wanted: Use,
    ) -> Result<()> {
        self.begin(caller, key, event_type, 1, wanted).await.map(drop)
    }

    async fn refuse_closed(&self, mut event: Event, key: &Key, closed: Closed) -> Error {
        let name = &key.name;
        let reason = match closed {
            Closed::Doomed(at) => {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                self.inner.doomed_uses.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    key = %name,
                    destroy_at = at,
                    alarm = "doomed_key",
                    "somebody wants to use a key that is to be destroyed; refused"
                );
                event.severity = Severity::Critical;
                event.data.insert("destroy_at".into(), Value::Text(at.clone().into()));
                format!("refusing to use key {name}: it is to be destroyed at {at}; cancel-destruction keeps it")
            }
            Closed::SoftDeleted => "refusing to use soft-deleted key".to_owned(),
            Closed::State(state) => format!("key {name} is {state} and {}", state.does()),
        };
        match self.inner.audit.append(record::failed(event, &reason)).await {
            Ok(()) => Error::Refused(reason),
            Err(error) => Error::Audit(error),
        }
    }
}

//! Who uses which version, and when last. Kept in memory and written now and then: no use writes a row of its own, and what was not written when a
//! server is killed is in the audit log alone.

use super::state::Use;
use super::{Key, KeyName, KeyState};
use crate::store::key_callers::{self, CallerRow};
use crate::store::{read_as_of_now, write_for};
use crate::vault::Inner;
use crate::{Error, Result, Vault};
use audit_chain::{Caller, Event, Severity, Value};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use uuid::Uuid;

const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Named callers of a version; who came before them is counted together.
const KEPT: i64 = 32;
/// Callers of versions that are remembered between two writings; further ones are counted together.
const REMEMBERED: usize = 20_000;

/// What was done since the last writing.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<HashMap<Whose, Done>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Whose {
    organization_id: Uuid,
    named_key_id: Uuid,
    version: u32,
    /// Empty: all that are not named.
    accessor: Arc<str>,
}

#[derive(Clone, Debug, Default)]
struct Done {
    display_name: Arc<str>,
    protected: u64,
    processed: u64,
    protected_at: Option<DateTime<Utc>>,
    processed_at: Option<DateTime<Utc>>,
}

impl Done {
    fn add(&mut self, other: &Self) {
        self.protected += other.protected;
        self.processed += other.processed;
        self.protected_at = self.protected_at.max(other.protected_at);
        self.processed_at = self.processed_at.max(other.processed_at);
    }
}

impl Callers {
    fn add(&self, mut whose: Whose, done: &Done) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= REMEMBERED && !notes.contains_key(&whose) {
            whose.accessor = "".into();
        }
        let named = !whose.accessor.is_empty();
        let note = notes.entry(whose).or_default();
        note.add(done);
        if named {
            note.display_name = Arc::clone(&done.display_name);
        }
    }

    fn take(&self) -> HashMap<Whose, Done> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one caller did with a version.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// The token's accessor; empty: all whose names are not kept.
    pub accessor: String,
    /// The token's display name.
    pub display_name: String,
    /// Inputs encrypted, signed, or of which a MAC was made.
    pub protected: i64,
    /// Inputs decrypted or verified.
    pub processed: i64,
    /// When last.
    pub protected_at: Option<DateTime<Utc>>,
    /// When last.
    pub processed_at: Option<DateTime<Utc>>,
}

/// What is known of the use of a key.
#[derive(Clone, Debug)]
pub struct KeyUses {
    /// The key.
    pub key: Key,
    /// State of each version.
    pub states: BTreeMap<u32, KeyState>,
    /// By version, those who came last first.
    pub callers: BTreeMap<u32, Vec<KeyCaller>>,
    /// Names that stand for it.
    pub aliases: Vec<String>,
}

impl KeyUses {
    /// Whether a version protects now and would not if it (`whole`: the key as a whole) came into that state, and the same of processing.
    pub fn stops(&self, version: u32, whole: bool, to: KeyState) -> (bool, bool) {
        let (key, version) =
            (self.key.settings.state, self.states.get(&version).copied().unwrap_or(KeyState::Destroyed));
        stops((key, version), if whole { (to, version) } else { (key, to) })
    }
}

/// Of key and version both must allow what is done.
fn stops(before: (KeyState, KeyState), after: (KeyState, KeyState)) -> (bool, bool) {
    let works = |(key, version): (KeyState, KeyState), wanted| key.allows(wanted) && version.allows(wanted);
    let stops = |wanted| works(before, wanted) && !works(after, wanted);
    (stops(Use::Protect), stops(Use::Process))
}

impl Vault {
    /// Notes that these versions were used, each as often as it is named, and says in the record which of them are compromised.
    pub(super) fn note_used(
        &self,
        event: &mut Event,
        caller: &Caller,
        key: &Key,
        wanted: Use,
        versions: impl IntoIterator<Item = u32>,
    ) {
        let mut used: BTreeMap<u32, u64> = BTreeMap::new();
        for version in versions.into_iter().filter(|version| key.versions.contains_key(version)) {
            *used.entry(version).or_default() += 1;
        }
        let compromised: Vec<Value> =
            key.compromised(used.keys().copied()).map(|version| Value::Integer(version.into())).collect();
        if !compromised.is_empty() {
            event.severity = Severity::Warning;
            event.data.insert("compromised_versions".into(), Value::List(compromised));
        }
        for (version, count) in used {
            let (count, at) = (count, Some(event.timestamp));
            let (display_name, none) = (Arc::clone(&caller.display_name), Done::default());
            let done = match wanted {
                Use::Protect => Done { display_name, protected: count, protected_at: at, ..none },
                Use::Process => Done { display_name, processed: count, processed_at: at, ..none },
            };
            let whose = Whose {
                organization_id: key.organization_id,
                named_key_id: key.id,
                version,
                accessor: Arc::clone(&caller.accessor),
            };
            self.inner.callers.add(whose, &done);
        }
    }

    /// Who used a key; what this server knows is written first.
    pub async fn key_uses(&self, organization_id: Uuid, mount_id: Uuid, name: &KeyName) -> Result<Option<KeyUses>> {
        let Some(states) = self.key_states(organization_id, mount_id, name).await? else { return Ok(None) };
        self.flush_callers().await?;
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let rows = key_callers::of_key(&mut transaction, states.key.id).await?;
        transaction.rollback().await?;
        let mut callers: BTreeMap<u32, Vec<KeyCaller>> = BTreeMap::new();
        for row in rows {
            callers.entry(u32::try_from(row.version).unwrap_or_default()).or_default().push(KeyCaller {
                accessor: row.accessor,
                display_name: row.display_name,
                protected: row.protected,
                processed: row.processed,
                protected_at: row.protected_at,
                processed_at: row.processed_at,
            });
        }
        let aliases = self.aliases(organization_id, mount_id, Some(&states.key)).await?;
        Ok(Some(KeyUses { key: states.key, states: states.versions, callers, aliases }))
    }

    /// Writes what was noted since the last time; what could not be written is kept for the next.
    pub(crate) async fn flush_callers(&self) -> Result<()> {
        let mut of_organization: BTreeMap<Uuid, Vec<(Whose, Done)>> = BTreeMap::new();
        for (whose, done) in self.inner.callers.take() {
            of_organization.entry(whose.organization_id).or_default().push((whose, done));
        }
        let mut failed = None;
        for (organization_id, mut notes) in of_organization {
            // In one order, so that two servers that write the same rows wait for each other and for nobody else.
            notes.sort_by(|(one, _), (other, _)| {
                let place = |whose: &Whose| (whose.named_key_id, whose.version, Arc::clone(&whose.accessor));
                place(one).cmp(&place(other))
            });
            if let Err(error) = self.write_callers(organization_id, &notes).await {
                notes.into_iter().for_each(|(whose, done)| self.inner.callers.add(whose, &done));
                failed = Some(Error::from(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn write_callers(&self, organization_id: Uuid, notes: &[(Whose, Done)]) -> Result<(), sqlx::Error> {
        let mut transaction = write_for(&self.inner.pool, organization_id).await?;
        let mut versions: Vec<(Uuid, i32)> = Vec::new();
        for (whose, done) in notes {
            let row = row(whose, done);
            key_callers::add(&mut transaction, organization_id, &row).await?;
            versions.push((row.named_key_id, row.version));
        }
        versions.dedup();
        for (named_key_id, version) in versions {
            for older in key_callers::take_older(&mut transaction, named_key_id, version, KEPT).await? {
                let together = CallerRow { accessor: String::new(), display_name: String::new(), ..older };
                key_callers::add(&mut transaction, organization_id, &together).await?;
            }
        }
        transaction.commit().await
    }
}

fn row(whose: &Whose, done: &Done) -> CallerRow {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    CallerRow {
        named_key_id: whose.named_key_id,
        version: i32::try_from(whose.version).unwrap_or(i32::MAX),
        accessor: whose.accessor.to_string(),
        display_name: done.display_name.to_string(),
        protected: count(done.protected),
        processed: count(done.processed),
        protected_at: done.protected_at,
        processed_at: done.processed_at,
    }
}

/// Writes now and then for as long as there is a vault.
pub(crate) async fn keep_flushed(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = (Vault { inner }).flush_callers().await {
            tracing::debug!(%error, "who used which key could not be written; tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(version: u32, accessor: &str) -> Whose {
        Whose { organization_id: Uuid::nil(), named_key_id: Uuid::nil(), version, accessor: accessor.into() }
    }

    #[test]
    fn of_more_callers_than_are_remembered_the_rest_is_counted_together() {
        let callers = Callers::default();
        let once = Done { protected: 1, ..Done::default() };
        for caller in 0..REMEMBERED + 50 {
            callers.add(whose(1, &caller.to_string()), &once);
        }
        callers.add(whose(1, "0"), &once);
        let notes = callers.take();
        assert_eq!(notes.len(), REMEMBERED + 1);
        assert_eq!((notes[&whose(1, "")].protected, notes[&whose(1, "0")].protected), (50, 2));
        assert!(callers.take().is_empty());
    }

    #[test]
    fn what_stops_is_what_worked_before_and_does_not_after() {
        use KeyState::{Active, Deactivated, Destroyed, Suspended};
        assert_eq!(stops((Active, Active), (Active, Suspended)), (true, true));
        assert_eq!(stops((Active, Active), (Deactivated, Active)), (true, false));
        assert_eq!(stops((Active, Deactivated), (Active, Destroyed)), (false, true));
        assert_eq!(stops((Suspended, Active), (Suspended, Destroyed)), (false, false), "nothing worked before");
        assert_eq!(stops((Suspended, Active), (Active, Active)), (false, false));
    }
}

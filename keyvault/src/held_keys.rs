//! Keys under which the service itself encrypts for an organization, as they were read and checked: by their ids, and which one is the newest.

use hsm_bridge::{KeyRef, WrappedKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// One, ready for use.
#[derive(Debug)]
pub(crate) struct HeldKey {
    pub(crate) version: i32,
    pub(crate) key: Arc<WrappedKey>,
}

impl HeldKey {
    pub(crate) fn id(&self) -> Uuid {
        self.key.id
    }

    pub(crate) fn reference(&self) -> KeyRef {
        KeyRef::Wrapped(Arc::clone(&self.key))
    }
}

/// Those that were asked for.
#[derive(Debug, Default)]
pub(crate) struct HeldKeys(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Uuid, Arc<HeldKey>>,
    /// By organization, with the state of the database's notifications: another server may rotate it. Whoever learns that late has written
    /// under the one before, which stays readable.
    newest: HashMap<Uuid, (Uuid, u64)>,
}

impl HeldKeys {
    /// One by its id, or the newest as of that state of the notifications.
    pub(crate) fn find(&self, organization_id: Uuid, id: Option<Uuid>, epoch: u64) -> Option<Arc<HeldKey>> {
        let known = self.known();
        let newest = || known.newest.get(&organization_id).filter(|(_, read_at)| *read_at == epoch).map(|(id, _)| *id);
        known.by_id.get(&id.or_else(newest)?).cloned()
    }

    /// `newest_at`: it is the newest, as of that state.
    pub(crate) fn keep(&self, organization_id: Uuid, key: &Arc<HeldKey>, newest_at: Option<u64>) {
        let mut known = self.known();
        known.by_id.insert(key.id(), Arc::clone(key));
        if let Some(epoch) = newest_at {
            known.newest.insert(organization_id, (key.id(), epoch));
        }
    }

    /// It was rotated: the next to ask looks in the database.
    pub(crate) fn forget_newest(&self, organization_id: Uuid) {
        self.known().newest.remove(&organization_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

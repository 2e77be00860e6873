//! Keys this worker holds: token objects found once, and unwrapped session objects in a bounded cache.

use crate::{Error, Result, TokenKey};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

pub(super) struct Cache {
    token: Mutex<HashMap<TokenKey, Held>>,
    unwrapped: Mutex<LruCache<Uuid, Held>>,
    /// Owns the unwrapped objects: a session object dies with the session that made it.
    owner: Mutex<Owner>,
}

struct Owner {
    session: Session,
    /// Pushed out while another thread still worked with them.
    retired: Vec<Held>,
}

/// A handle, shared between the cache and whoever works with it. Its object is destroyed after the last of them, because a module may
/// give a destroyed object's number to the next one.
#[derive(Clone)]
pub(super) struct Held(Arc<ObjectHandle>);

impl Held {
    fn new(handle: ObjectHandle) -> Self {
        Self(Arc::new(handle))
    }
}

impl std::ops::Deref for Held {
    type Target = ObjectHandle;

    fn deref(&self) -> &ObjectHandle {
        &self.0
    }
}

impl Cache {
    pub(super) fn new(owner: Session, capacity: u32) -> Self {
        let capacity = NonZeroUsize::new(capacity as usize).unwrap_or(NonZeroUsize::MIN);
        Self {
            token: Mutex::default(),
            unwrapped: Mutex::new(LruCache::new(capacity)),
            owner: Mutex::new(Owner { session: owner, retired: Vec::new() }),
        }
    }

    pub(super) fn unwrapped(&self, id: Uuid) -> Result<Option<Held>> {
        Ok(lock(&self.unwrapped)?.get(&id).cloned())
    }

    /// Makes the object with the owning session and keeps it; the one pushed out is destroyed.
    pub(super) fn load(&self, id: Uuid, make: impl FnOnce(&Session) -> Result<ObjectHandle>) -> Result<()> {
        let mut owner = lock(&self.owner)?;
        if lock(&self.unwrapped)?.contains(&id) {
            return Ok(());
        }
        let handle = make(&owner.session)?;
        let pushed_out = lock(&self.unwrapped)?.push(id, Held::new(handle));
        owner.retired.extend(pushed_out.map(|(_, held)| held));
        for held in std::mem::take(&mut owner.retired) {
            // Out of the cache nobody takes it any more: one owner means that it is out of use.
            if Arc::strong_count(&held.0) > 1 {
                owner.retired.push(held);
            } else if let Err(error) = owner.session.destroy_object(*held) {
                tracing::warn!(%error, "an evicted key could not be destroyed; it goes with this worker");
            }
        }
        Ok(())
    }

    pub(super) fn forget_unwrapped(&self, id: Uuid) -> Result<()> {
        lock(&self.unwrapped)?.pop(&id);
        Ok(())
    }

    pub(super) fn token_key(&self, key: TokenKey, find: impl FnOnce() -> Result<ObjectHandle>) -> Result<Held> {
        if let Some(held) = lock(&self.token)?.get(&key) {
            return Ok(held.clone());
        }
        let held = Held::new(find()?);
        lock(&self.token)?.insert(key, held.clone());
        Ok(held)
    }

    pub(super) fn forget_token_key(&self, id: Uuid) -> Result<()> {
        lock(&self.token)?.retain(|key, _| key.id != id);
        Ok(())
    }

    /// Token keys that were there when they were last used, for probes.
    pub(super) fn known_token_keys(&self) -> Result<Vec<(TokenKey, ObjectHandle)>> {
        Ok(lock(&self.token)?.iter().map(|(key, held)| (*key, **held)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::Internal("poisoned cache".into()))
}

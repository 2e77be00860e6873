//! Keys this worker holds: token objects found once, and unwrapped session objects in a bounded cache.

use crate::{Error, Result, TokenKey};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub(super) struct Cache {
    token: Mutex<HashMap<TokenKey, ObjectHandle>>,
    unwrapped: Mutex<LruCache<Uuid, ObjectHandle>>,
    /// Owns the unwrapped objects: a session object dies with the session that made it.
    owner: Mutex<Session>,
}

impl Cache {
    pub(super) fn new(owner: Session, capacity: u32) -> Self {
        let capacity = NonZeroUsize::new(capacity as usize).unwrap_or(NonZeroUsize::MIN);
        Self { token: Mutex::default(), unwrapped: Mutex::new(LruCache::new(capacity)), owner: Mutex::new(owner) }
    }

    pub(super) fn unwrapped(&self, id: Uuid) -> Result<Option<ObjectHandle>> {
        Ok(lock(&self.unwrapped)?.get(&id).copied())
    }

    /// Makes the object with the owning session and keeps it; the one pushed out is destroyed.
    pub(super) fn load(&self, id: Uuid, make: impl FnOnce(&Session) -> Result<ObjectHandle>) -> Result<()> {
        let owner = lock(&self.owner)?;
        if lock(&self.unwrapped)?.contains(&id) {
            return Ok(());
        }
        let handle = make(&owner)?;
        if let Some((evicted, old)) = lock(&self.unwrapped)?.push(id, handle)
            && let Err(error) = owner.destroy_object(old)
        {
            tracing::warn!(%evicted, %error, "an evicted key could not be destroyed; it goes with this worker");
        }
        Ok(())
    }

    pub(super) fn forget_unwrapped(&self, id: Uuid) -> Result<()> {
        lock(&self.unwrapped)?.pop(&id);
        Ok(())
    }

    pub(super) fn token_key(&self, key: TokenKey, find: impl FnOnce() -> Result<ObjectHandle>) -> Result<ObjectHandle> {
        if let Some(handle) = lock(&self.token)?.get(&key) {
            return Ok(*handle);
        }
        let handle = find()?;
        lock(&self.token)?.insert(key, handle);
        Ok(handle)
    }

    pub(super) fn forget_token_key(&self, id: Uuid) -> Result<()> {
        lock(&self.token)?.retain(|key, _| key.id != id);
        Ok(())
    }

    /// Any token key known to be there, for probes.
    pub(super) fn known_token_key(&self) -> Result<Option<TokenKey>> {
        Ok(lock(&self.token)?.keys().next().copied())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::Internal("poisoned cache".into()))
}

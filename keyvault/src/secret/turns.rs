//! Whoever changes a secret waits for those who change it on this server: without that, many at once would refuse each other.

use super::SecretName;
use std::hash::{BuildHasher, RandomState};
use tokio::sync::{Mutex, MutexGuard};

const TURNS: usize = 1_024;

/// One lock for many secrets. It keeps nobody out who comes through another server: revisions do.
#[derive(Debug)]
pub(crate) struct Turns {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { locks: (0..TURNS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    pub(super) async fn of(&self, name: &SecretName) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(name);
        // The remainder is less than 1024.
        self.locks[(hash % TURNS as u64) as usize].lock().await
    }
}

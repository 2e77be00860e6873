//! What was read, kept in memory until a row that it rests on changes.
//!
//! An entry holds for the generation it was made in; a change that concerns all begins a new one. Those that a changed row concerns are forgotten
//! alone. Both also when one is just being read: what was read before something was forgotten is not kept.

use quick_cache::sync::Cache;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// SHA-256 of what an entry is found by: secrets are not kept.
pub(crate) type Key = [u8; 32];

/// Rows that concern an entry, beyond which keys of entries that are kept no more are swept: its own, an entity, some groups.
const ROWS_AN_ENTRY: usize = 8;

pub(crate) struct RowCache<V> {
    entries: Cache<Key, (u64, Arc<V>)>,
    /// Rows, each with the keys of the entries that it concerns: there may be as many of one row as there are entries.
    keys: Mutex<BTreeSet<(Uuid, Key)>>,
    generation: AtomicU64,
    /// Grows whenever something is forgotten alone.
    forgotten: AtomicU64,
    capacity: usize,
}

/// The moment a read began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) generation: u64,
    forgotten: u64,
}

impl<V> RowCache<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Cache::new(capacity),
            keys: Mutex::default(),
            generation: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            capacity,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { generation: self.generation(), forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<V>> {
        let (generation, value) = self.entries.get(key)?;
        (generation == self.generation()).then_some(value)
    }

    /// Keeps what was read of those rows since `moment`, unless it may have changed meanwhile.
    pub(crate) fn insert(&self, key: Key, value: V, rows: impl IntoIterator<Item = Uuid>, moment: Moment) {
        // Held until the entry is there: whoever forgets or sweeps finds both, or neither.
        let mut keys = self.keys();
        if self.forgotten.load(Ordering::SeqCst) != moment.forgotten {
            return;
        }
        if keys.len() > ROWS_AN_ENTRY * self.capacity {
            keys.retain(|(_, key)| self.entries.contains_key(key));
        }
        keys.extend(rows.into_iter().map(|row| (row, key)));
        self.entries.insert(key, (moment.generation, Arc::new(value)));
    }

    /// Takes an entry away.
    pub(crate) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    /// What was read before now holds no more.
    pub(crate) fn invalidate_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // They would never be used again; the memory is.
        self.entries.clear();
        self.keys().clear();
    }

    /// Forgets what a row concerns.
    pub(crate) fn forget(&self, row: Uuid) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.keys();
        let gone: Vec<_> = keys.range((row, Key::default())..=(row, [u8::MAX; 32])).copied().collect();
        for both in gone {
            keys.remove(&both);
            self.entries.remove(&both.1);
        }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<(Uuid, Key)>> {
        self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 32];
    const OTHER: Key = [8; 32];

    #[test]
    fn an_entry_goes_with_each_of_its_rows_and_no_other_goes_with_it() {
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        for gone in [first, second] {
            let cache = RowCache::new(10);
            cache.insert(KEY, "mine", [first, second], cache.moment());
            cache.insert(OTHER, "another's", [Uuid::now_v7()], cache.moment());
            cache.forget(gone);
            assert_eq!((cache.get(&KEY), cache.get(&OTHER).as_deref()), (None, Some(&"another's")));
        }
    }

    #[test]
    fn what_changed_while_it_was_read_is_not_kept() {
        let cache = RowCache::new(10);
        let row = Uuid::now_v7();
        let moment = cache.moment();
        cache.forget(row);
        cache.insert(KEY, 1, [row], moment);
        assert_eq!(cache.get(&KEY), None, "one row");
        let moment = cache.moment();
        cache.invalidate_all();
        cache.insert(KEY, 1, [row], moment);
        assert_eq!(cache.get(&KEY), None, "everything");
        cache.insert(KEY, 1, [row], cache.moment());
        assert_eq!(cache.get(&KEY).as_deref(), Some(&1));
    }

    #[test]
    fn rows_of_entries_that_are_kept_no_more_are_swept() {
        let cache = RowCache::new(10);
        for number in 0..10_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            cache.insert(key, (), [Uuid::now_v7()], cache.moment());
        }
        assert!(cache.keys().len() <= ROWS_AN_ENTRY * 10 + 1, "{} rows are remembered", cache.keys().len());
    }
}

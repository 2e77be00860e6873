//! Authority in memory.
//!
//! An entry holds for the generation it was made in; a change of policies begins a new one. A changed token is forgotten alone. Both
//! also when it is just being read: the reader looks again after it has put its entry in.

use super::Authority;
use crate::access::{Acl, CompiledPolicies, Subject};
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// SHA-256 of a token's text.
pub(crate) type TokenKey = [u8; 32];
/// An organization or an entity, and names of policies.
type PolicyNames = (Uuid, Vec<String>);

/// Different sets of policies kept compiled.
const ACLS: usize = 10_000;
/// Rows that concern a token, beyond which keys of tokens that are kept no more are swept: itself, its entity, some groups.
const KEYS_A_TOKEN: usize = 8;

pub(crate) struct AuthorityCache {
    tokens: Cache<TokenKey, Arc<CachedAuthority>>,
    keys: Mutex<Keys>,
    policies: Cache<PolicyNames, (u64, Arc<CompiledPolicies>)>,
    /// What policies say for one entity; shared by its tokens.
    acls: Cache<PolicyNames, (u64, Arc<Subject>, Arc<Acl>)>,
    generation: AtomicU64,
    /// Grows whenever a single token is forgotten.
    forgotten: AtomicU64,
    capacity: usize,
}

/// Under which keys the tokens are that a row concerns: its own, those of the batch tokens it has made, those of an entity, and of all in a
/// group.
#[derive(Default)]
struct Keys {
    of: HashMap<Uuid, Vec<TokenKey>>,
    count: usize,
}

/// What a token may do, as it was read.
#[derive(Debug)]
pub(crate) struct CachedAuthority {
    pub(crate) authority: Authority,
    /// The token's own end or that of an ancestor, whichever is first.
    pub(crate) ends: Option<DateTime<Utc>>,
    generation: u64,
}

/// The moment a read began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    generation: u64,
    forgotten: u64,
}

impl Keys {
    fn insert(&mut self, row: Uuid, key: TokenKey) {
        let keys = self.of.entry(row).or_default();
        if !keys.contains(&key) {
            keys.push(key);
            self.count += 1;
        }
    }

    fn remove(&mut self, row: Uuid) -> Vec<TokenKey> {
        let keys = self.of.remove(&row).unwrap_or_default();
        self.count -= keys.len();
        keys
    }

    fn retain(&mut self, keep: impl Fn(&TokenKey) -> bool) {
        self.of.retain(|_, keys| {
            keys.retain(&keep);
            !keys.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
    }
}

impl CachedAuthority {
    pub(crate) fn new(authority: Authority, ends: Option<DateTime<Utc>>, moment: Moment) -> Self {
        Self { authority, ends, generation: moment.generation }
    }
}

impl AuthorityCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: Cache::new(capacity),
            keys: Mutex::default(),
            policies: Cache::new(ACLS),
            acls: Cache::new(capacity),
            generation: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            capacity,
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { generation: self.generation.load(Ordering::SeqCst), forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    pub(crate) fn get(&self, key: &TokenKey) -> Option<Arc<CachedAuthority>> {
        let entry = self.tokens.get(key)?;
        (entry.generation == self.generation.load(Ordering::SeqCst)).then_some(entry)
    }

    /// Keeps what was read since `moment`, unless it may have changed meanwhile.
    pub(crate) fn insert(&self, key: TokenKey, authority: Authority, ends: Option<DateTime<Utc>>, moment: Moment) {
        let token = &authority.token;
        let row = if token.batch { token.parent_id } else { Some(token.id) };
        {
            let mut keys = self.keys();
            if keys.count > KEYS_A_TOKEN * self.capacity {
                keys.retain(|key| self.tokens.contains_key(key));
            }
            // Of an entity that became another, both.
            row.into_iter().chain(token.entity_id).for_each(|row| keys.insert(row, key));
            authority.persona.iter().flat_map(|persona| persona.ids()).for_each(|row| keys.insert(row, key));
        }
        self.tokens.insert(key, Arc::new(CachedAuthority::new(authority, ends, moment)));
        if self.forgotten.load(Ordering::SeqCst) != moment.forgotten {
            self.tokens.remove(&key);
        }
    }

    pub(crate) fn policies(&self, organization_id: Uuid, names: &[String]) -> Option<Arc<CompiledPolicies>> {
        let (generation, policies) = self.policies.get(&(organization_id, names.to_vec()))?;
        (generation == self.generation.load(Ordering::SeqCst)).then_some(policies)
    }

    pub(crate) fn insert_policies(
        &self,
        organization_id: Uuid,
        names: &[String],
        policies: &Arc<CompiledPolicies>,
        moment: Moment,
    ) {
        self.policies.insert((organization_id, names.to_vec()), (moment.generation, Arc::clone(policies)));
    }

    /// What policies say for a bearer who is still the same.
    pub(crate) fn acl(&self, entity_id: Uuid, names: &[String], subject: &Subject) -> Option<Arc<Acl>> {
        let (generation, known, acl) = self.acls.get(&(entity_id, names.to_vec()))?;
        (generation == self.generation.load(Ordering::SeqCst) && *known == *subject).then_some(acl)
    }

    pub(crate) fn insert_acl(&self, entity_id: Uuid, names: &[String], known: Subject, acl: &Arc<Acl>, moment: Moment) {
        self.acls.insert((entity_id, names.to_vec()), (moment.generation, Arc::new(known), Arc::clone(acl)));
    }

    /// What was read before now holds no more.
    pub(crate) fn invalidate_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // They would never be used again; the memory is.
        self.tokens.clear();
        self.policies.clear();
        self.acls.clear();
        *self.keys() = Keys::default();
    }

    /// Forgets what a row concerns: a token, an entity or a group.
    pub(crate) fn forget(&self, id: Uuid) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        for key in self.keys().remove(id) {
            self.tokens.remove(&key);
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

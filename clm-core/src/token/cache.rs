//! Authority in memory: what tokens may do, policies compiled, and what logins rest on.

use super::Authority;
use crate::access::{Acl, CompiledPolicies, Subject};
use crate::approle::KnownLogin;
use crate::row_cache::{Key, Moment, RowCache};
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use std::sync::Arc;
use uuid::Uuid;

/// An organization or an entity, and names of policies.
type PolicyNames = (Uuid, Vec<String>);

/// Different sets of policies kept compiled.
const ACLS: usize = 10_000;
/// Logins kept.
const LOGINS: usize = 20_000;

pub(crate) struct AuthorityCache {
    tokens: RowCache<CachedAuthority>,
    policies: Cache<PolicyNames, (u64, Arc<CompiledPolicies>)>,
    /// What policies say for one entity; shared by its tokens.
    acls: Cache<PolicyNames, (u64, Arc<Subject>, Arc<Acl>)>,
    logins: RowCache<KnownLogin>,
}

/// What a token may do, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct CachedAuthority {
    pub(crate) authority: Authority,
    /// The token's own end or that of an ancestor, whichever is first.
    pub(crate) ends: Option<DateTime<Utc>>,
}

impl CachedAuthority {
    /// Rows that it rests on: a token's own, that of who made a batch token, those of an entity, and of all its groups.
    fn rows(&self) -> impl Iterator<Item = Uuid> + use<> {
        let Authority { token, persona, .. } = &self.authority;
        let row = if token.batch { token.parent_id } else { Some(token.id) };
        let of_bearer: Vec<Uuid> = persona.iter().flat_map(|persona| persona.ids()).collect();
        // Of an entity that became another, both.
        row.into_iter().chain(token.entity_id).chain(of_bearer)
    }
}

impl AuthorityCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: RowCache::new(capacity),
            policies: Cache::new(ACLS),
            acls: Cache::new(capacity),
            logins: RowCache::new(LOGINS),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        self.tokens.moment()
    }

    /// By the SHA-256 of the token's text.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<CachedAuthority>> {
        self.tokens.get(key)
    }

    /// Keeps what was read since `moment`, unless it may have changed meanwhile.
    pub(crate) fn insert(&self, key: Key, read: CachedAuthority, moment: Moment) {
        let rows = read.rows();
        self.tokens.insert(key, read, rows, moment);
    }

    pub(crate) fn policies(&self, organization_id: Uuid, names: &[String]) -> Option<Arc<CompiledPolicies>> {
        let (generation, policies) = self.policies.get(&(organization_id, names.to_vec()))?;
        (generation == self.tokens.generation()).then_some(policies)
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
        (generation == self.tokens.generation() && *known == *subject).then_some(acl)
    }

    pub(crate) fn insert_acl(&self, entity_id: Uuid, names: &[String], known: Subject, acl: &Arc<Acl>, moment: Moment) {
        self.acls.insert((entity_id, names.to_vec()), (moment.generation, Arc::new(known), Arc::clone(acl)));
    }

    /// By RoleID and SecretID.
    pub(crate) fn logins(&self) -> &RowCache<KnownLogin> {
        &self.logins
    }

    /// What was read before now holds no more.
    pub(crate) fn invalidate_all(&self) {
        self.tokens.invalidate_all();
        self.policies.clear();
        self.acls.clear();
        self.logins.invalidate_all();
    }

    /// Forgets what a row concerns: a token, an entity, a group, or what somebody logs in with.
    pub(crate) fn forget(&self, id: Uuid) {
        self.tokens.forget(id);
        self.logins.forget(id);
    }
}

//! How much organizations may have, for the other database: its rows are made there, and counted there.

use crate::core::Core;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// As it was read last, with the mounts. Whoever holds it keeps no [`Core`] open.
#[derive(Debug, Default)]
pub struct OrganizationQuotas(ArcSwap<HashMap<Uuid, u32>>);

impl OrganizationQuotas {
    /// Most named keys; `None`: any number.
    pub fn max_keys(&self, organization_id: Uuid) -> Option<u32> {
        self.0.load().get(&organization_id).copied()
    }

    pub(crate) fn store(&self, max_keys: HashMap<Uuid, u32>) {
        self.0.store(Arc::new(max_keys));
    }
}

impl Core {
    /// Says how much organizations may have, now and later.
    pub fn organization_quotas(&self) -> Arc<OrganizationQuotas> {
        Arc::clone(self.quotas())
    }
}

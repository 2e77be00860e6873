//! How much organizations may have, in memory: of keys for the other database, whose rows are made and counted there, of certificates
//! and people for this one.

use crate::core::Core;
use crate::registry::OrganizationFields;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// As it was read last, with the mounts. Whoever holds it keeps no [`Core`] open.
#[derive(Debug, Default)]
pub struct OrganizationQuotas(ArcSwap<HashMap<Uuid, Most>>);

/// `None`: any number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    keys: Option<u32>,
    certificates: Option<u32>,
    users: Option<u32>,
}

impl Most {
    /// What an organization's row says, if it says anything.
    pub(crate) fn of(fields: &OrganizationFields) -> Option<Self> {
        let said = [fields.max_keys, fields.max_certificates, fields.max_users];
        let [keys, certificates, users] = said.map(|most| most.and_then(|most| u32::try_from(most).ok()));
        said.iter().any(Option::is_some).then_some(Self { keys, certificates, users })
    }
}

impl OrganizationQuotas {
    /// Most named keys; `None`: any number.
    pub fn max_keys(&self, organization_id: Uuid) -> Option<u32> {
        self.0.load().get(&organization_id)?.keys
    }

    /// Most certificates in the inventory; `None`: any number.
    pub(crate) fn max_certificates(&self, organization_id: Uuid) -> Option<u32> {
        self.0.load().get(&organization_id)?.certificates
    }

    /// Most people who are not deleted; `None`: any number.
    pub(crate) fn max_users(&self, organization_id: Uuid) -> Option<u32> {
        self.0.load().get(&organization_id)?.users
    }

    pub(crate) fn store(&self, quotas: HashMap<Uuid, Most>) {
        self.0.store(Arc::new(quotas));
    }
}

impl Core {
    /// Says how much organizations may have, now and later.
    pub fn organization_quotas(&self) -> Arc<OrganizationQuotas> {
        Arc::clone(self.quotas())
    }
}

//! How much an organization may have. Who decides that is not the vault; it keeps to it.

use crate::store::named_keys;
use crate::{Error, Result, Vault};
use sqlx::PgConnection;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Says how much an organization may have; asked whenever something is made, so it answers from memory.
pub trait Quotas: fmt::Debug + Send + Sync {
    /// Most named keys; `None`: any number. Those that wait for their destruction count until it.
    fn max_keys(&self, organization_id: Uuid) -> Option<u32>;
}

impl Vault {
    /// From now on organizations have no more than this says; said once.
    pub fn limit_by(&self, quotas: Arc<dyn Quotas>) {
        if self.inner.quotas.set(quotas).is_err() {
            tracing::warn!("quotas were set already");
        }
    }

    pub(crate) fn max_keys(&self, organization_id: Uuid) -> Option<u32> {
        self.inner.quotas.get().and_then(|quotas| quotas.max_keys(organization_id))
    }
}

/// After a key was inserted: refuses one too many, whoever else makes one meanwhile.
pub(crate) async fn expect_room(
    connection: &mut PgConnection,
    organization_id: Uuid,
    max_keys: Option<u32>,
) -> Result<()> {
    let Some(most) = max_keys else { return Ok(()) };
    if named_keys::count_beyond(connection, organization_id, most).await? {
        return Err(Error::Invalid(format!(
            "the organization has as many keys as its quota allows (max_keys = {most}): destroy keys that are not needed, or have the root organization raise max_keys at clm/organizations"
        )));
    }
    Ok(())
}

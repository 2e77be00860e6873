//! Both sides of the house, and what joins them.

use chrono::{DateTime, Utc};
use clm_core::{Core, MacError, OrganizationQuotas, RowMac};
use futures_util::future::BoxFuture;
use keyvault::{HsmError, Quotas, Vault};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Keys and people. A cheap clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// Keys, and the door to the token.
    pub vault: Vault,
    /// Who may do what.
    pub core: Core,
    pub(super) clock: SharedClock,
    /// What did not fit together when this server looked last; below zero: it has not looked.
    pub(super) orphans: Arc<AtomicI64>,
}

impl Services {
    /// Both sides, and what they have in common.
    pub(super) fn new(vault: Vault, core: Core, clock: SharedClock) -> Self {
        Self { vault, core, clock, orphans: Arc::new(AtomicI64::new(-1)) }
    }

    /// How much did not fit together when this server looked last (job `integrity.check`); below zero: it has not looked.
    pub(crate) fn orphans(&self) -> i64 {
        self.orphans.load(Ordering::Relaxed)
    }

    /// Now.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        clm_core::clock::Clock::now(&*self.clock.0)
    }
}

/// One clock for both.
#[derive(Clone, Debug)]
pub(super) struct SharedClock(pub(super) Arc<clm_core::clock::SystemClock>);

impl keyvault::clock::Clock for SharedClock {
    fn now(&self) -> DateTime<Utc> {
        clm_core::clock::Clock::now(&*self.0)
    }
}

/// What `clm_core_db` says of how much organizations may have.
#[derive(Debug)]
pub(super) struct CoreQuotas(pub(super) Arc<OrganizationQuotas>);

impl Quotas for CoreQuotas {
    fn max_keys(&self, organization_id: Uuid) -> Option<u32> {
        self.0.max_keys(organization_id)
    }
}

/// MACs for `clm_core_db`, made by the vault's token.
#[derive(Debug)]
pub(super) struct VaultMac(pub(super) Vault);

impl RowMac for VaultMac {
    fn mac(&self, domain: clm_core::MacDomain, data: Vec<u8>) -> BoxFuture<'_, Result<[u8; 32], MacError>> {
        let domain = match domain {
            clm_core::MacDomain::ApiKey => keyvault::MacDomain::ApiKey,
            clm_core::MacDomain::BackupCode => keyvault::MacDomain::BackupCode,
            clm_core::MacDomain::BatchToken => keyvault::MacDomain::BatchToken,
            clm_core::MacDomain::PendingLogin => keyvault::MacDomain::PendingLogin,
            clm_core::MacDomain::SecretId => keyvault::MacDomain::SecretId,
            clm_core::MacDomain::Token => keyvault::MacDomain::Token,
            clm_core::MacDomain::Row => keyvault::MacDomain::CoreRow,
        };
        Box::pin(async move { self.0.mac(domain, &data).await.map_err(refused) })
    }

    fn seal(
        &self,
        organization_id: Uuid,
        context: String,
        content: Zeroizing<Vec<u8>>,
    ) -> BoxFuture<'_, Result<Vec<u8>, MacError>> {
        Box::pin(async move { self.0.seal_text(organization_id, &context, &content).await.map_err(refused) })
    }

    fn open(
        &self,
        organization_id: Uuid,
        context: String,
        sealed: Vec<u8>,
    ) -> BoxFuture<'_, Result<Zeroizing<Vec<u8>>, MacError>> {
        Box::pin(async move { self.0.open_text(organization_id, &context, &sealed).await.map_err(refused) })
    }
}

fn refused(error: keyvault::Error) -> MacError {
    match error {
        keyvault::Error::Hsm(
            HsmError::Busy | HsmError::Configuration(_) | HsmError::Locked | HsmError::Unavailable(_),
        )
        | keyvault::Error::Database(_) => MacError::Unavailable(error.to_string()),
        other => MacError::Failed(other.to_string()),
    }
}

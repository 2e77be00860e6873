//! What is made through `sys/` and holds for all requests: audit devices, rate limits, headers. In memory, and read again when it changed.

use super::seal::Seal;
use super::{Error, Result, Services};
use crate::audit_device::{AuditDevice, DeviceOptions};
use crate::quota::{QuotaConfiguration, QuotaTable, RateLimit};
use arc_swap::ArcSwap;
use clm_core::{EntryKind, ROOT_ORGANIZATION, SystemEntry};
use hyper::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which web pages may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cors {
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) allowed_headers: Vec<String>,
}

/// As they were read last.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) devices: Vec<Arc<AuditDevice>>,
    pub(crate) quotas: QuotaTable,
    /// Headers that devices are told, and whether only as HMAC.
    pub(crate) audited_headers: BTreeMap<String, bool>,
    pub(crate) cors: Option<Cors>,
    /// Of answers below `ui/`.
    pub(crate) ui_headers: Vec<(HeaderName, Vec<HeaderValue>)>,
}

/// A header of answers below `ui/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UiHeader {
    pub(crate) values: Vec<String>,
}

/// The settings of this server.
#[derive(Debug, Default)]
pub(crate) struct SystemSettings {
    loaded: ArcSwap<Loaded>,
    /// Which change of `clm_core_db` they are of; 0: none was read.
    known: AtomicU64,
    reading: tokio::sync::Mutex<()>,
}

impl SystemSettings {
    /// As they are in memory.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Whether requests must be told to devices; also while that is not known.
    pub(crate) fn may_have_devices(&self, seal: &Seal) -> bool {
        self.is_stale(seal) || !self.loaded.load().devices.is_empty()
    }

    /// Whether requests are counted, or may have to be.
    pub(crate) fn may_have_limits(&self, seal: &Seal) -> bool {
        self.is_stale(seal) || !self.loaded.load().quotas.is_empty()
    }

    /// Something was heard of a change, and not read yet.
    fn is_stale(&self, seal: &Seal) -> bool {
        seal.services().is_ok_and(|services| self.known.load(Ordering::Acquire) != services.core.system_changes())
    }

    /// As they are now, read again if something was heard of a change.
    pub(crate) async fn current(&self, services: &Services) -> Result<arc_swap::Guard<Arc<Loaded>>> {
        if self.known.load(Ordering::Acquire) != services.core.system_changes() {
            // Boxed: it is rare, and its size would be every request's.
            Box::pin(self.read(services)).await?;
        }
        Ok(self.loaded.load())
    }

    /// After the caller's own change: nothing that comes later finds what was before.
    pub(crate) async fn reread(&self, services: &Services) -> Result<()> {
        services.core.note_system_change();
        self.current(services).await.map(drop)
    }

    async fn read(&self, services: &Services) -> Result<()> {
        let _one_at_a_time = self.reading.lock().await;
        let changes = services.core.system_changes();
        if self.known.load(Ordering::Acquire) == changes {
            return Ok(());
        }
        let before = self.loaded.load_full();
        let entries = async |kind| services.core.system_entries(ROOT_ORGANIZATION, kind).await.map_err(Error::from);
        let mut devices = Vec::new();
        for entry in entries(EntryKind::AuditDevice).await? {
            let known = before.devices.iter().find(|known| (known.id, known.revision) == (entry.id, entry.revision));
            devices.push(match known {
                Some(known) => Arc::clone(known),
                None => {
                    let options: DeviceOptions = document(&entry)?;
                    Arc::new(AuditDevice::start(entry.name, entry.id, entry.revision, options, services.vault.clone())?)
                }
            });
        }
        let mut limits = Vec::new();
        for entry in entries(EntryKind::RateLimit).await? {
            limits.push((entry.id, entry.revision, document::<RateLimit>(&entry)?));
        }
        let configuration = entries(EntryKind::QuotaConfiguration).await?.first().map(document::<QuotaConfiguration>);
        let quotas = QuotaTable::new(limits, configuration.transpose()?.unwrap_or_default(), &before.quotas);
        let audited_headers = entries(EntryKind::AuditedHeader).await?;
        let audited_headers =
            audited_headers.into_iter().map(|entry| (entry.name, entry.document["hmac"] == true)).collect();
        let cors = entries(EntryKind::Cors).await?.first().map(document).transpose()?;
        let mut ui_headers = Vec::new();
        for entry in entries(EntryKind::UiHeader).await? {
            let values: Vec<_> = document::<UiHeader>(&entry)?.values.iter().flat_map(|value| value.parse()).collect();
            ui_headers.extend(entry.name.parse().ok().map(|name| (name, values)));
        }
        self.loaded.store(Arc::new(Loaded { devices, quotas, audited_headers, cors, ui_headers }));
        self.known.store(changes, Ordering::Release);
        Ok(())
    }
}

/// What an entry says.
pub(crate) fn document<T: DeserializeOwned>(entry: &SystemEntry) -> Result<T> {
    serde_json::from_value(entry.document.clone())
        .map_err(|_| Error::Internal(format!("the document of system entry {} cannot be read", entry.id)))
}

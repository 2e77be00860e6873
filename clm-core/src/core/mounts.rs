//! Mounts in memory, and knowing when they are not those of the database.

use super::Core;
use crate::error::{Error, Result};
use crate::mount::MountTable;
use crate::organization_quotas::Most;
use crate::store;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mounts of all organizations as they were read last.
#[derive(Debug)]
pub(super) struct KnownMounts {
    table: ArcSwap<MountTable>,
    /// Grows with each change that was heard of.
    changes: AtomicU64,
    /// How many of them the table knows; raised only once it holds them, so that whoever comes while it is being read waits.
    known: AtomicU64,
    reading: tokio::sync::Mutex<()>,
}

impl Default for KnownMounts {
    fn default() -> Self {
        Self {
            table: ArcSwap::default(),
            changes: AtomicU64::new(1),
            known: AtomicU64::new(0),
            reading: tokio::sync::Mutex::new(()),
        }
    }
}

impl Core {
    pub(crate) fn mount_table(&self) -> arc_swap::Guard<Arc<MountTable>> {
        self.0.mounts.table.load()
    }

    /// Returns once the mounts in memory are at least as new as this call. While nothing tells of changes they are read each time.
    pub async fn ensure_mounts(&self) -> Result<()> {
        let wanted =
            if self.is_fresh() { self.0.mounts.changes.load(Ordering::Acquire) } else { self.mounts_changed() };
        self.read_mounts(wanted).await
    }

    pub(crate) async fn reload_mounts(&self) -> Result<()> {
        let wanted = self.mounts_changed();
        self.read_mounts(wanted).await
    }

    /// In the background; requests that come first wait for it.
    pub(super) fn refresh_mounts(&self) {
        let wanted = self.mounts_changed();
        let core = self.clone();
        tokio::spawn(async move {
            if let Err(error) = core.read_mounts(wanted).await {
                tracing::warn!(%error, "the mounts could not be read; the next request tries again");
            }
        });
    }

    fn mounts_changed(&self) -> u64 {
        self.0.mounts.changes.fetch_add(1, Ordering::AcqRel) + 1
    }

    async fn read_mounts(&self, wanted: u64) -> Result<()> {
        let mounts = &self.0.mounts;
        if mounts.known.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let _one_at_a_time = mounts.reading.lock().await;
        // One reading serves everybody who came before it began.
        if mounts.known.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let changes = mounts.changes.load(Ordering::Acquire);
        // Boxed: it is rare, and its size would be every request's.
        let table = Box::pin(self.load_mounts()).await?;
        let moved = !table.has_the_engines_of(&mounts.table.load());
        mounts.table.store(Arc::new(table));
        if moved {
            // What roles permit is compiled for the paths of engines.
            self.cache().invalidate_all();
        }
        mounts.known.store(changes, Ordering::Release);
        Ok(())
    }

    async fn load_mounts(&self) -> Result<MountTable> {
        let (mut table, mut quotas) = (MountTable::default(), HashMap::new());
        for organization_id in self.store().active_organizations().await? {
            let Some((organization, is_ours)) = self.read_organization(organization_id).await? else { continue };
            if !is_ours {
                table = table.refusing(organization_id, organization.code);
                continue;
            }
            let is_locked = self.namespace_is_locked(&organization).await?;
            quotas.extend(Most::of(&organization.fields).map(|most| (organization_id, most)));
            let (mut good, mut refused) = (Vec::new(), Vec::new());
            for row in self.store().mounts(organization_id).await? {
                let which = (store::mounts::TABLE, organization_id, row.mount.id);
                match self.check_row(which, store::mounts::bound_bytes(&row.mount), &row.row_mac).await {
                    Ok(()) => good.push(row.mount),
                    // The others keep working; this one is not there.
                    Err(Error::RowTampered { .. }) => refused.push(row.mount.id),
                    Err(error) => return Err(error),
                }
            }
            table = table.with(organization_id, organization.code, good).without(organization_id, &refused);
            if is_locked {
                table = table.locking(organization_id);
            }
        }
        self.quotas().store(quotas);
        Ok(table.with_namespaces())
    }
}

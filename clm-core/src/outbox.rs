//! Changes made here that the other database has still to follow.
//!
//! The entry is written in the transaction of the change, so that neither is without the other; whoever works it off may be killed at
//! any point, and the next one does it again: following twice must do no harm.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::{self, add_rows};
use crate::store::outbox::{OutboxRow, TABLE};
use crate::store::tokens::REVOKED_MAC;
use audit_chain::Value;
use std::time::Duration;
use uuid::Uuid;

/// An entry whose row was changed behind the service's back is looked at again after this.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the other side is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxKind {
    /// The mount is gone: destroy what was kept in it.
    MountClose,
}

impl OutboxKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MountClose => "mount.close",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        (name == Self::MountClose.name()).then_some(Self::MountClose)
    }
}

/// An entry that this server has taken, for a time.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// Names the change on both sides.
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// What to do.
    pub kind: OutboxKind,
    /// With what: the mount.
    pub resource_id: Uuid,
    revision: i64,
    failures: u32,
}

impl Core {
    /// A new entry, bound by its MAC.
    pub(crate) async fn outbox_row(
        &self,
        organization_id: Uuid,
        kind: OutboxKind,
        resource_id: Uuid,
    ) -> Result<OutboxRow> {
        let mut row = OutboxRow {
            id: Uuid::now_v7(),
            organization_id,
            kind,
            resource_id,
            created_at: self.now(),
            revision: 1,
            row_mac: [0; 32],
        };
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        Ok(row)
    }

    /// Takes an entry that is due for this server, of whichever organization: no other does for `lease`. `None`: nothing is due.
    pub async fn take_entry(&self, server: Uuid, lease: Duration) -> Result<Option<OutboxEntry>> {
        for organization_id in self.store().organizations_with_due_entries().await? {
            let Some((row, failures)) = self.store().lease_entry(organization_id, server, lease).await? else {
                continue;
            };
            match self.check_row((TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac).await {
                Ok(()) => {}
                // The others keep being worked off.
                Err(error @ Error::RowTampered { .. }) => {
                    self.store()
                        .postpone_entry(organization_id, (row.id, server), REFUSED_PAUSE, &error.to_string())
                        .await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let OutboxRow { id, kind, resource_id, revision, .. } = row;
            return Ok(Some(OutboxEntry { id, organization_id, kind, resource_id, revision, failures }));
        }
        Ok(None)
    }

    /// For `lease` more, while the work goes on. `false`: it is another server's by now, or done.
    pub async fn renew_entry(&self, entry: &OutboxEntry, server: Uuid, lease: Duration) -> Result<bool> {
        Ok(self.store().renew_entry(entry.organization_id, (entry.id, server), lease).await?)
    }

    /// The other side has followed: the entry goes, and its end is on record.
    pub async fn finish_entry(&self, entry: &OutboxEntry) -> Result<()> {
        let mut event = record::bare(Uuid::nil(), entry.organization_id, self.now());
        event.event_type = "outbox.done".into();
        event.resource_type = "outbox".into();
        event.resource_id = Some(entry.id.to_string());
        event.action = entry.kind.name().into();
        event.data.insert("resource".into(), Value::Text(entry.resource_id.to_string().into()));
        add_rows(&mut event, [(TABLE, entry.id, entry.revision + 1, REVOKED_MAC)]);
        let id = entry.id;
        let done = self
            .change(entry.organization_id, move |connection| {
                Box::pin(async move { crate::store::outbox::delete(connection, id).await.map(|()| ((), event)) })
            })
            .await;
        match done {
            // Our lease was over, and another server has finished it.
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// It did not work: tried again after a pause that doubles with each failure, if the lease is still this server's.
    pub async fn postpone_entry(&self, entry: &OutboxEntry, server: Uuid, why: &str) -> Result<()> {
        let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(16)).min(LONGEST_PAUSE);
        Ok(self.store().postpone_entry(entry.organization_id, (entry.id, server), pause, why).await?)
    }

    /// Mounts that are gone here and that the other side has still to follow.
    pub async fn closing_mounts(&self, organization_id: Uuid) -> Result<Vec<Uuid>> {
        Ok(self.store().pending_resources(organization_id, OutboxKind::MountClose).await?)
    }

    /// Returns when this server has written an entry, or has since the last call.
    pub async fn entry_written(&self) {
        self.entries_written().notified().await;
    }
}

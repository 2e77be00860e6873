//! Tokens whose time is over: their children die with them, later their rows go.

use super::Core;
use crate::error::{Error, Result};
use crate::record;
use crate::store::tokens;
use audit_chain::{Caller, Value};
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Rows of ended tokens stay this long, for those who ask what became of them.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// Tokens in one transaction.
const BATCH: i64 = 500;
/// So many touched: there may be more.
const FULL: usize = 500;
const BETWEEN_BATCHES: Duration = Duration::from_millis(250);

impl Core {
    pub(super) fn start_sweeping(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(SWEEP_EVERY);
            // The first tick is at once; nothing is pressing then.
            tick.tick().await;
            loop {
                tick.tick().await;
                // Batch by batch with a pause after each, so that many that end at once neither pile up nor hold the log's writer.
                loop {
                    let Some(core) = inner.upgrade().map(Core) else { return };
                    match core.sweep().await {
                        Ok(touched) if touched >= FULL => drop(core),
                        Ok(_) => break,
                        Err(error) => {
                            tracing::warn!(%error, "ended tokens could not be swept; tried again in a minute");
                            break;
                        }
                    }
                    tokio::time::sleep(BETWEEN_BATCHES).await;
                }
            }
        });
    }

    /// Sweeps now, in the background; that it was asked for is on record.
    pub async fn tidy(&self, caller: &Caller, resource: &'static str) -> Result<()> {
        let event = self.event(caller, "tidy.start", "system", (resource, None), "tidy");
        self.audit().append(event).await.map_err(Error::Audit)?;
        let core = self.clone();
        tokio::spawn(async move {
            if let Err(error) = core.sweep().await {
                tracing::warn!(%error, "ended tokens could not be swept; tried again in a minute");
            }
        });
        Ok(())
    }

    /// Revokes what lives below ended tokens and deletes rows that ended a day ago. How many rows were touched.
    pub async fn sweep(&self) -> Result<usize> {
        let mut touched = 0;
        for organization_id in self.store().active_organizations().await? {
            touched += self.revoke_ended(organization_id).await?;
            touched += self.delete_old(organization_id).await?;
            touched += self.sweep_secret_ids(organization_id).await?;
            touched += self.sweep_pending_logins(organization_id).await?;
        }
        Ok(touched)
    }

    async fn revoke_ended(&self, organization_id: Uuid) -> Result<usize> {
        let now = self.now();
        let ended = self.store().ended_tokens(organization_id, now, BATCH).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        let mut event = record::bare(Uuid::nil(), organization_id, now);
        event.event_type = "token.expire".into();
        event.category = "authentication".into();
        event.resource_type = "token".into();
        event.action = "revoke".into();
        let revoked = self
            .change(organization_id, move |connection| {
                Box::pin(async move {
                    let revoked = tokens::revoke_trees(connection, &ended, now).await?;
                    record::add_revoked(&mut event, &revoked);
                    Ok((revoked, event))
                })
            })
            .await?;
        revoked.iter().for_each(|row| self.cache().forget(row.id));
        Ok(revoked.len())
    }

    async fn delete_old(&self, organization_id: Uuid) -> Result<usize> {
        let before = self.now() - KEPT;
        if !self.store().has_revoked_before(organization_id, before).await? {
            return Ok(0);
        }
        let mut event = record::bare(Uuid::nil(), organization_id, self.now());
        event.event_type = "token.sweep".into();
        event.category = "system".into();
        event.resource_type = "token".into();
        event.action = "delete".into();
        self.change(organization_id, move |connection| {
            Box::pin(async move {
                let deleted = tokens::delete_revoked(connection, organization_id, before, BATCH).await?;
                let ids = deleted.iter().map(|id| Value::Text(id.to_string().into())).collect();
                event.data.insert("deleted".into(), Value::List(ids));
                Ok((deleted.len(), event))
            })
        })
        .await
    }
}

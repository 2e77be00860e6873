//! Has the vault follow what `clm_core_db` has changed.

use super::lease::{LEASE, RENEW_EVERY, while_held};
use crate::app::Services;
use crate::app::seal::{Phase, Seal};
use crate::crash::CrashPoint;
use audit_chain::Caller;
use clm_core::{OutboxEntry, OutboxKind};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often entries of other servers, and those that failed, are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Keys destroyed in one step.
const STEP: i64 = 100;
/// Secrets destroyed in one transaction.
const SECRETS: i64 = 25;

pub(super) async fn keep_emptied(seal: Arc<Seal>, services: Services, server: Uuid) {
    loop {
        // Written by this server or not, at the latest after a while.
        drop(tokio::time::timeout(LOOK_EVERY, services.core.entry_written()).await);
        if seal.phase() != Phase::Unsealed {
            continue;
        }
        if let Err(error) = empty(&services, server).await {
            tracing::warn!(%error, "the outbox could not be worked off; tried again");
        }
    }
}

/// Works off what is due. A failure of one entry is written to it and keeps none of the others.
async fn empty(services: &Services, server: Uuid) -> clm_core::Result<()> {
    let core = &services.core;
    while let Some(entry) = core.take_entry(server, LEASE).await? {
        CrashPoint::EntryTaken.reached();
        let renew = || core.renew_entry(&entry, server, LEASE);
        match while_held(RENEW_EVERY, follow(services, &entry), renew).await? {
            Some(Ok(())) => {
                core.finish_entry(&entry).await?;
                CrashPoint::EntryFinished.reached();
            }
            Some(Err(error)) => {
                let why = error.to_string();
                tracing::warn!(entry = %entry.id, reason = why, "clm_secure_db could not follow a change of clm_core_db; tried again");
                core.postpone_entry(&entry, server, &why).await?;
            }
            None => tracing::warn!(entry = %entry.id, "the lease ran out and another server has taken the entry over"),
        }
    }
    Ok(())
}

async fn follow(services: &Services, entry: &OutboxEntry) -> keyvault::Result<()> {
    match entry.kind {
        OutboxKind::MountClose => close_mount(services, entry).await,
    }
}

async fn close_mount(services: &Services, entry: &OutboxEntry) -> keyvault::Result<()> {
    let (vault, mount_id) = (&services.vault, entry.resource_id);
    // The change's id joins the records of both sides.
    let caller = Caller { request_id: entry.id, ..keyvault::system(entry.organization_id) };
    vault.close_mount(&caller, mount_id, entry.id).await?;
    CrashPoint::MountClosed.reached();
    let mut after = String::new();
    while let Some(last) = vault.destroy_keys_of_mount(&caller, mount_id, &after, STEP).await? {
        CrashPoint::KeysDestroyed.reached();
        after = last;
    }
    let mut after = Some(String::new());
    while let Some(last) = after {
        after = vault.destroy_secrets_of_mount(&caller, mount_id, &last, SECRETS).await?;
        CrashPoint::SecretsDestroyed.reached();
    }
    vault.remove_objects_of_mount(entry.organization_id, mount_id).await?;
    CrashPoint::ObjectsRemoved.reached();
    Ok(())
}

//! Has the vault follow what `clm_core_db` has changed.

use crate::app::Services;
use crate::app::seal::{Phase, Seal};
use crate::crash::CrashPoint;
use audit_chain::Caller;
use clm_core::{OutboxEntry, OutboxKind};
use std::sync::Arc;
use std::time::Duration;

/// How often entries of other servers, and those that failed, are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After this another server may take the entry; a step that is cut off is done again.
const LEASE: Duration = Duration::from_secs(300);
/// This server has given up by then.
const PATIENCE: Duration = Duration::from_secs(240);
const _: () = assert!(PATIENCE.as_secs() < LEASE.as_secs());
/// Keys destroyed in one step.
const STEP: i64 = 100;
/// Secrets destroyed in one transaction.
const SECRETS: i64 = 25;

pub(super) async fn keep_emptied(seal: Arc<Seal>, services: Services) {
    loop {
        // Written by this server or not, at the latest after a while.
        drop(tokio::time::timeout(LOOK_EVERY, services.core.entry_written()).await);
        if seal.phase() != Phase::Unsealed {
            continue;
        }
        if let Err(error) = empty(&services).await {
            tracing::warn!(%error, "the outbox could not be worked off; tried again");
        }
    }
}

/// Works off what is due. A failure of one entry is written to it and keeps none of the others.
async fn empty(services: &Services) -> clm_core::Result<()> {
    while let Some(entry) = services.core.take_entry(LEASE).await? {
        CrashPoint::EntryTaken.reached();
        let followed = tokio::time::timeout(PATIENCE, follow(services, &entry)).await;
        let why = match followed {
            Ok(Ok(())) => {
                services.core.finish_entry(&entry).await?;
                CrashPoint::EntryFinished.reached();
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not done after {} s; it goes on", PATIENCE.as_secs()),
        };
        tracing::warn!(entry = %entry.id, reason = why, "clm_secure_db could not follow a change of clm_core_db; tried again");
        services.core.postpone_entry(&entry, &why).await?;
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

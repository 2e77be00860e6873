//! What comes again and again, done by one server of several.

use super::lease::{LEASE, RENEW_EVERY, while_held};
use crate::app::seal::{Phase, Seal};
use crate::app::{self, Services};
use crate::crash::CrashPoint;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// How often it is looked whether a job is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A job: its row in `clm_core_db`, how long from one end to the next start, and what it does.
struct Job {
    name: &'static str,
    every: Duration,
    run: fn(&Services) -> BoxFuture<'_, app::Result<()>>,
}

static JOBS: [Job; 6] = [
    Job {
        name: "cubbyhole.sweep",
        every: Duration::from_secs(10),
        run: |services| Box::pin(app::wrapping::sweep(services)),
    },
    Job {
        name: "integrity.check",
        every: Duration::from_secs(3600),
        run: |services| Box::pin(app::integrity::watch(services)),
    },
    Job {
        name: "data_key.rotate",
        every: Duration::from_secs(10),
        run: |services| Box::pin(app::secrets::re_encrypt(services)),
    },
    Job {
        name: "secret.rotate",
        every: Duration::from_secs(10),
        run: |services| Box::pin(app::named_secrets::rotate_due(services)),
    },
    Job { name: "key.destroy", every: Duration::from_secs(10), run: |services| Box::pin(destroy_keys(services)) },
    Job { name: "key.rotate", every: Duration::from_secs(60), run: |services| Box::pin(rotate_keys(services)) },
];

/// Each by itself: a long one keeps none of the others waiting.
pub(super) fn start(seal: &Arc<Seal>, services: &Services, server: Uuid) {
    for job in &JOBS {
        tokio::spawn(keep_running(job, Arc::clone(seal), services.clone(), server));
    }
}

async fn keep_running(job: &Job, seal: Arc<Seal>, services: Services, server: Uuid) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if seal.phase() == Phase::Unsealed
            && let Err(error) = run_if_due(job, &services, server).await
        {
            tracing::warn!(job = job.name, %error, "a job could not be taken or finished; tried again");
        }
    }
}

async fn run_if_due(job: &Job, services: &Services, server: Uuid) -> clm_core::Result<()> {
    let core = &services.core;
    if !core.take_job(job.name, server, LEASE, job.every).await? {
        return Ok(());
    }
    let renew = || core.renew_job(job.name, server, LEASE);
    let Some(ended) = while_held(RENEW_EVERY, (job.run)(services), renew).await? else {
        tracing::warn!(job = job.name, "the lease ran out and another server has taken the job over");
        return Ok(());
    };
    let failure = ended.err().map(|error| error.to_string());
    if let Some(failure) = &failure {
        tracing::warn!(job = job.name, reason = failure, "a job failed; it comes again");
    }
    core.finish_job(job.name, server, job.every, failure.as_deref()).await
}

async fn destroy_keys(services: &Services) -> app::Result<()> {
    for organization_id in services.core.active_organizations().await? {
        let destroyed = services.vault.destroy_due_keys(organization_id).await;
        if destroyed.as_ref().is_ok_and(|destroyed| *destroyed > 0) {
            CrashPoint::DueKeysDestroyed.reached();
        }
        // Also those of an earlier run that was cut off here.
        services.vault.remove_objects_of_destroyed(organization_id).await?;
        destroyed?;
    }
    Ok(())
}

async fn rotate_keys(services: &Services) -> app::Result<()> {
    for organization_id in services.core.active_organizations().await? {
        services.vault.rotate_due_keys(organization_id).await?;
    }
    Ok(())
}

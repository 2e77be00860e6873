//! What comes again and again, done by one server of several.

use crate::app::seal::{Phase, Seal};
use crate::app::{self, Services};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it is looked whether a job is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After this another server may begin.
const LEASE: Duration = Duration::from_secs(900);
/// This server has given up by then.
const PATIENCE: Duration = Duration::from_secs(840);
const _: () = assert!(PATIENCE.as_secs() < LEASE.as_secs());

/// A job: its row in `clm_core_db`, how long from one end to the next start, and what it does.
struct Job {
    name: &'static str,
    every: Duration,
    run: fn(&Services) -> BoxFuture<'_, app::Result<()>>,
}

const JOBS: [Job; 4] = [
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
    Job { name: "key.rotate", every: Duration::from_secs(60), run: |services| Box::pin(rotate_keys(services)) },
];

pub(super) async fn keep_running(seal: Arc<Seal>, services: Services, server: Uuid) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if seal.phase() != Phase::Unsealed {
            continue;
        }
        for job in &JOBS {
            if let Err(error) = run_if_due(job, &services, server).await {
                tracing::warn!(job = job.name, %error, "a job could not be taken or finished; tried again");
            }
        }
    }
}

async fn run_if_due(job: &Job, services: &Services, server: Uuid) -> clm_core::Result<()> {
    if !services.core.take_job(job.name, server, LEASE, job.every).await? {
        return Ok(());
    }
    let failure = match tokio::time::timeout(PATIENCE, (job.run)(services)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("not done after {} s", PATIENCE.as_secs())),
    };
    if let Some(failure) = &failure {
        tracing::warn!(job = job.name, reason = failure, "a job failed; it comes again");
    }
    services.core.finish_job(job.name, server, job.every, failure.as_deref()).await
}

async fn rotate_keys(services: &Services) -> app::Result<()> {
    for organization_id in services.core.active_organizations().await? {
        services.vault.rotate_due_keys(organization_id).await?;
    }
    Ok(())
}

//! A storm of logins while others sign: ten thousand in a minute, by AppRole, each at its own time whether those before were answered or not.

use super::{SIGNING, Table, plan, shares};
use crate::load::{Answered, Pace, Plan, exchange};
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(super) const NAME: &str = "ACCESS logins";
const A_MINUTE: f64 = 10_000.0;
/// Who log in, or sign at a steady rate, at once, at most.
const CONNECTIONS: usize = 64;
const ROLES: usize = 16;
/// SecretIDs of each role.
const SECRET_IDS: usize = 16;

/// Signing alone reached `rate` a second.
pub(super) async fn measure(service: &mut Service, (window, rate): (Duration, f64), table: &mut Table) -> Result<()> {
    let bodies = prepare(service).await?;
    nobody_signs(service, &bodies, window, table).await?;
    let closed = || plan(service, [service.token.clone()].into());
    // By as many as it takes: one that waits holds no other up.
    let steady = || Ok::<_, anyhow::Error>(Plan { rate: Some(rate / 2.0), connections: CONNECTIONS, ..closed()? });
    // Signing warms up for a fifth of the window; the storm lasts as long as both.
    let beside = || beside(service, Arc::clone(&bodies), window + window / 5);
    table.signing(&format!("{NAME}: {SIGNING} sign"), service, closed()?, window, beside()).await?;
    let nothing = async { Ok(None) };
    table.signing(&format!("{NAME}: none, signing at a steady rate"), service, steady()?, window, nothing).await?;
    table.signing(&format!("{NAME}: signing at a steady rate"), service, steady()?, window, beside()).await?;
    Ok(())
}

/// What a login takes.
async fn nobody_signs(service: &Service, bodies: &Arc<[String]>, window: Duration, table: &mut Table) -> Result<()> {
    let before = service.spent()?;
    let storm = recorded_storm(service, Arc::clone(bodies), window).await?;
    let spent = service.spent()? - before;
    let ms = |seconds: f64| seconds * 1e3 / storm.answers as f64;
    let row = format!(
        "| {NAME}: nobody signs | | | | {} | {}; ms each: server {:.2}, workers {:.2}, PostgreSQL {:.2} | |",
        shares(&spent),
        said(&storm),
        ms(spent.server),
        ms(spent.workers),
        ms(spent.postgres)
    );
    table.text += &format!("{row}\n");
    eprintln!("{row}");
    Ok(())
}

/// The storm, and how it went.
async fn beside(service: &Service, bodies: Arc<[String]>, window: Duration) -> Result<Option<String>> {
    let storm = recorded_storm(service, bodies, window).await?;
    Ok(Some(format!("{}; as many records", said(&storm))))
}

/// The storm, after which there are as many records as answers.
async fn recorded_storm(service: &Service, bodies: Arc<[String]>, window: Duration) -> Result<Answered> {
    let before = recorded(service).await?;
    let storm = storm(service.address()?, bodies, window).await?;
    let records = recorded(service).await? - before;
    ensure!(records == storm.answers, "{} logins were answered, and {records} are on record", storm.answers);
    Ok(storm)
}

fn said(storm: &Answered) -> String {
    let ms = |share| f64::from(storm.percentile(share)) / 1e3;
    let rate = storm.answers as f64 * 60.0 / storm.window.as_secs_f64();
    let (answers, p50, p99) = (storm.answers, ms(0.5), ms(0.99));
    format!("{answers} logins, {rate:.0} a minute of {A_MINUTE:.0}, p50 {p50:.2} ms, p99 {p99:.2} ms")
}

/// Roles, and what logs in with them: each with one of many SecretIDs.
async fn prepare(service: &Service) -> Result<Arc<[String]>> {
    let server = &service.server;
    let enabled = server.put("sys/auth/approle", json!({"type": "approle"})).await?;
    ensure!(enabled.status == 204 || enabled.error().contains("in use"), "{enabled:?}");
    let mut bodies = Vec::with_capacity(ROLES * SECRET_IDS);
    for number in 0..ROLES {
        let path = format!("auth/approle/role/storm-{number}");
        let role = json!({"token_policies": "signs", "token_ttl": "1h", "secret_id_num_uses": 0});
        let written = server.put(&path, role).await?;
        ensure!(written.status == 204, "{written:?}");
        let role_id = server.get(&format!("{path}/role-id")).await?.text("role_id").to_owned();
        for _ in 0..SECRET_IDS {
            let secret = server.put(&format!("{path}/secret-id"), json!({})).await?;
            bodies.push(json!({"role_id": role_id, "secret_id": secret.text("secret_id")}).to_string());
        }
    }
    Ok(bodies.into())
}

/// Records of such logins so far.
async fn recorded(service: &Service) -> Result<u64> {
    let mut connection = PgConnection::connect(&service.site.core.url("clm_auditor")).await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE event_type = 'login.approle'")
        .fetch_one(&mut connection)
        .await?;
    Ok(u64::try_from(count)?)
}

/// Times are from when a login was due, so that one that waits for those before it is not thought quick.
async fn storm(address: String, bodies: Arc<[String]>, window: Duration) -> Result<Answered> {
    let (pace, next) = (Arc::new(Pace::start(A_MINUTE / 60.0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, bodies) = (address.clone(), Arc::clone(&bodies));
        let (pace, next) = (Arc::clone(&pace), Arc::clone(&next));
        connections.spawn(async move {
            let mut stream = TcpStream::connect(address).await.context("connecting")?;
            stream.set_nodelay(true)?;
            let (mut answered, mut buffer) = (Answered::default(), Vec::new());
            loop {
                let due = pace.due().await?;
                if began.elapsed() >= window {
                    return anyhow::Ok(answered);
                }
                // Step by step through the roles, so that neighbours are of different ones.
                let body = &bodies[next.fetch_add(1, Ordering::Relaxed) * (SECRET_IDS + 1) % bodies.len()];
                exchange(&mut stream, &mut buffer, ("PUT", "auth/approle/login"), "", body).await?;
                answered.answers += 1;
                answered.latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        });
    }
    let mut all = Answered { window, ..Answered::default() };
    while let Some(one) = connections.join_next().await {
        let one = one??;
        all.answers += one.answers;
        all.latencies.extend(one.latencies);
    }
    all.latencies.sort_unstable();
    Ok(all)
}

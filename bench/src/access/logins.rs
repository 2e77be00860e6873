//! A storm of logins while others sign: ten thousand in a minute, by AppRole, each at its own time whether those before were answered or not.

use super::{SIGNING, Table, plan};
use crate::load::{Answered, exchange, run};
use crate::postgres;
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub(super) const NAME: &str = "ACCESS logins";
const A_MINUTE: u32 = 10_000;
/// Who log in at once, at most.
const CONNECTIONS: usize = 64;

pub(super) async fn measure(service: &mut Service, window: Duration, table: &mut Table) -> Result<()> {
    let body = prepare(service).await?;
    let before = recorded(service).await?;
    let auditor = service.auditor();
    let heads = postgres::heads(&auditor).await?;
    // Signing warms up for a fifth of the window; the storm lasts as long as both.
    let storm = storm(service.address()?, body, window + window / 5);
    let signing = run(plan(service, [service.token.clone()].into())?, window, || Ok(()));
    let (signed, storm) = tokio::join!(signing, storm);
    let ((signed, (), ()), storm) = (signed?, storm?);
    let records = recorded(service).await? - before;
    ensure!(records == storm.answers, "{} logins were answered, and {records} are on record", storm.answers);
    let ms = |share| f64::from(storm.percentile(share)) / 1e3;
    let rate = storm.answers as f64 * 60.0 / storm.window.as_secs_f64();
    let beside = format!(
        "{} logins, {rate:.0} a minute of {A_MINUTE}, p50 {:.2} ms, p99 {:.2} ms; {records} records",
        storm.answers,
        ms(0.5),
        ms(0.99)
    );
    let (signatures, _) = postgres::records(&auditor, "key.sign", &heads).await?;
    table.add(&format!("{NAME}: {SIGNING} sign"), &signed, signatures, Some(&beside))
}

/// A role, and what logs in with it.
async fn prepare(service: &Service) -> Result<String> {
    let server = &service.server;
    let enabled = server.put("sys/auth/approle", json!({"type": "approle"})).await?;
    ensure!(enabled.status == 204 || enabled.error().contains("in use"), "{enabled:?}");
    let role = json!({"token_policies": "signs", "token_ttl": "1h", "secret_id_num_uses": 0});
    let written = server.put("auth/approle/role/storm", role).await?;
    ensure!(written.status == 204, "{written:?}");
    let role_id = server.get("auth/approle/role/storm/role-id").await?.text("role_id").to_owned();
    let secret = server.put("auth/approle/role/storm/secret-id", json!({})).await?;
    Ok(json!({"role_id": role_id, "secret_id": secret.text("secret_id")}).to_string())
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
async fn storm(address: String, body: String, window: Duration) -> Result<Answered> {
    let due = Arc::new(Mutex::new(tokio::time::interval(Duration::from_mins(1) / A_MINUTE)));
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, body, due) = (address.clone(), body.clone(), Arc::clone(&due));
        connections.spawn(async move {
            let mut stream = TcpStream::connect(address).await.context("connecting")?;
            stream.set_nodelay(true)?;
            let (mut answered, mut buffer) = (Answered::default(), Vec::new());
            loop {
                let due = due.lock().await.tick().await.into_std();
                if began.elapsed() >= window {
                    return anyhow::Ok(answered);
                }
                exchange(&mut stream, &mut buffer, ("PUT", "auth/approle/login"), "", &body).await?;
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

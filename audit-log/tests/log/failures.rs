//! Databases that go away: nothing acknowledged is lost, nothing is doubled, nobody waits for ever.

use crate::proxy::Proxy;
use crate::support::{Site, event, until};
use audit_log::{AuditError, AuditLog, ChangeError};
use futures_util::future::join_all;
use sqlx::Connection;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_killed_under_load_lose_no_acknowledged_record_and_double_none() {
    let site = Site::secure().await;
    site.sql("CREATE TABLE things (id uuid PRIMARY KEY)").await;
    site.sql("GRANT SELECT, INSERT ON things TO clm_secure_app").await;
    let log = site.log();
    let deadline = Instant::now() + Duration::from_secs(4);
    let callers = (0..64).map(|number| {
        let log = log.clone();
        tokio::spawn(async move {
            let (mut acknowledged, mut failed) = (Vec::new(), 0);
            while Instant::now() < deadline {
                let event = event();
                let id = event.id;
                let done = if number % 4 == 0 {
                    log.commit::<_, sqlx::Error, _>(event.organization_id, move |connection| {
                        Box::pin(async move {
                            sqlx::query("INSERT INTO things VALUES ($1)").bind(id).execute(connection).await?;
                            Ok(((), event))
                        })
                    })
                    .await
                    .is_ok()
                } else {
                    log.append(event).await.is_ok()
                };
                if done { acknowledged.push(id) } else { failed += 1 }
            }
            (acknowledged, failed)
        })
    });
    let load = tokio::spawn(join_all(callers.collect::<Vec<_>>()));
    let mut killed = 0;
    while Instant::now() < deadline {
        killed += site.kill_writers().await;
    }
    let outcomes: Vec<_> = load.await.unwrap().into_iter().map(|done| done.unwrap()).collect();
    let acknowledged: BTreeSet<Uuid> = outcomes.iter().flat_map(|(acknowledged, _)| acknowledged.clone()).collect();
    assert!(killed > 0 && !acknowledged.is_empty(), "{killed} killed, {} acknowledged", acknowledged.len());
    // It comes back by itself.
    until("the log writes again", async || log.append(event()).await.is_ok()).await;
    let records = site.records().await;
    let recorded: BTreeSet<Uuid> = records.iter().map(|record| record.event.id).collect();
    assert_eq!(recorded.len(), records.len(), "a record is there twice");
    assert_eq!(acknowledged.difference(&recorded).count(), 0, "an acknowledged record is lost");
    let things: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM things").fetch_all(&mut site.superuser().await).await.unwrap();
    assert!(things.iter().all(|id| recorded.contains(id)), "a change without its record");
    let report = site.report().await;
    assert_eq!(report.breaks, []);
    assert_eq!(report.chains.len(), 1, "one server, one chain, however often its session ends");
}

/// The site's log through a proxy, and the chain already owned.
async fn behind_proxy(site: &Site) -> (Proxy, AuditLog) {
    let socket: String =
        sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(&mut site.superuser().await).await.unwrap();
    let proxy = Proxy::start(std::path::Path::new(&socket));
    let log = AuditLog::start(site.options().socket(proxy.directory()), site.table);
    log.append(event()).await.unwrap();
    // Partitions are looked after on a connection of their own, at the start: not that one's answer is to be lost.
    until("only the writer is connected", async || {
        let connected =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer'";
        sqlx::query_scalar::<_, i64>(connected).fetch_one(&mut site.superuser().await).await.unwrap() == 1
    })
    .await;
    (proxy, log)
}

#[tokio::test]
async fn an_answer_that_got_lost_after_the_commit_is_looked_up() {
    let site = Site::secure().await;
    let (proxy, log) = behind_proxy(&site).await;
    proxy.lose_next_answer();
    log.append(event()).await.unwrap();
    assert!(proxy.has_lost());
    log.append(event()).await.unwrap();
    let report = site.report().await;
    assert_eq!((report.records(), report.chains.len(), report.breaks), (3, 1, vec![]));
}

#[tokio::test]
async fn a_change_whose_connection_ended_before_the_commit_is_not_made_and_said_so() {
    let site = Site::secure().await;
    site.sql("CREATE TABLE things (id int PRIMARY KEY)").await;
    site.sql("GRANT SELECT, INSERT ON things TO clm_secure_app").await;
    let (proxy, log) = behind_proxy(&site).await;
    proxy.lose_next_answer();
    let outcome = log
        .commit::<_, sqlx::Error, _>(Uuid::from_u128(1), |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO things VALUES (1)").execute(connection).await?;
                Ok(((), event()))
            })
        })
        .await;
    assert!(matches!(outcome, Err(ChangeError::Audit(AuditError::Unavailable(_)))), "{outcome:?}");
    log.append(event()).await.unwrap();
    let things: i64 =
        sqlx::query_scalar("SELECT count(*) FROM things").fetch_one(&mut site.superuser().await).await.unwrap();
    let report = site.report().await;
    assert_eq!((things, report.records(), report.chains.len(), report.breaks), (0, 2, 1, vec![]));
}

#[tokio::test]
async fn a_session_that_ends_while_it_waits_to_commit_leaves_nothing_behind() {
    let site = Site::secure().await;
    let log = site.log();
    log.append(event()).await.unwrap();
    let mut blocker = site.superuser().await;
    let mut blocking = blocker.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM audit_chains FOR UPDATE").execute(&mut *blocking).await.unwrap();
    let appending = tokio::spawn({
        let log = log.clone();
        async move { log.append(event()).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer' AND wait_event_type = 'Lock'";
    let waits =
        async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut site.superuser().await).await.unwrap() == 1;
    until("the record waits", waits).await;
    assert_eq!(site.kill_writers().await, 1);
    until("the writer asks where its chain stands", waits).await;
    blocking.rollback().await.unwrap();
    let outcome = appending.await.unwrap();
    assert!(matches!(outcome, Err(AuditError::Unavailable(_))), "{outcome:?}");
    log.append(event()).await.unwrap();
    let report = site.report().await;
    assert_eq!((report.records(), report.chains.len(), report.breaks), (2, 1, vec![]));
}

#[tokio::test]
async fn with_the_database_away_every_caller_is_refused_and_the_log_recovers_by_itself() {
    let site = Site::secure().await;
    let directory = tempfile::TempDir::new().unwrap();
    let log = AuditLog::start(site.options().socket(directory.path()), site.table);
    let started = Instant::now();
    let outcomes = join_all((0..2_000).map(|_| log.append(event()))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(AuditError::Unavailable(_)))));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let change =
        log.commit::<(), sqlx::Error, _>(Uuid::nil(), |_| Box::pin(async { unreachable!("there is no database") }));
    assert!(matches!(change.await, Err(ChangeError::Audit(AuditError::Unavailable(_)))));
    let socket: String =
        sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(&mut site.superuser().await).await.unwrap();
    std::os::unix::fs::symlink(
        std::path::Path::new(&socket).join(".s.PGSQL.5432"),
        directory.path().join(".s.PGSQL.5432"),
    )
    .unwrap();
    log.append(event()).await.unwrap();
    assert_eq!(site.report().await.records(), 1);
}

#[tokio::test]
async fn a_change_that_waits_for_a_lock_fails_alone_and_soon() {
    let site = Site::secure().await;
    site.sql("CREATE TABLE things (id int PRIMARY KEY)").await;
    site.sql("GRANT SELECT, INSERT, UPDATE ON things TO clm_secure_app").await;
    site.sql("INSERT INTO things VALUES (1)").await;
    let log = site.log();
    let mut blocker = site.superuser().await;
    let mut blocking = blocker.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM things FOR UPDATE").execute(&mut *blocking).await.unwrap();
    let change = log.commit::<_, sqlx::Error, _>(Uuid::from_u128(1), |connection| {
        Box::pin(async move {
            sqlx::query("UPDATE things SET id = 2").execute(connection).await?;
            Ok(((), event()))
        })
    });
    let (change, appended) = tokio::join!(change, log.append(event()));
    let Err(ChangeError::Change(error)) = change else { panic!("{change:?}") };
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("55P03"), "{error}");
    appended.unwrap();
    assert_eq!(site.report().await.breaks, []);
}

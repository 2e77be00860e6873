//! A database with one log in it.

use audit_chain::{Event, Outcome, Record, Report, Severity, Value, Verifier};
use audit_log::{AuditLog, CORE, SECURE, Table};
use chrono::{DateTime, TimeDelta};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::time::{Duration, Instant};
use tests::TestDatabase;
use uuid::Uuid;

pub(crate) struct Site {
    pub(crate) database: TestDatabase,
    pub(crate) table: Table,
    role: &'static str,
}

impl Site {
    pub(crate) async fn secure() -> Self {
        let database = TestDatabase::create().await.unwrap();
        sqlx::migrate!("../migrations/clm_secure_db").run(&database.migration_pool().await.unwrap()).await.unwrap();
        Self { database, table: SECURE, role: "clm_secure_app" }
    }

    pub(crate) async fn core() -> Self {
        let database = TestDatabase::create().await.unwrap();
        sqlx::migrate!("../migrations/clm_core_db").run(&database.migration_pool().await.unwrap()).await.unwrap();
        Self { database, table: CORE, role: "clm_core_app" }
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.database.url(self.role).parse::<PgConnectOptions>().unwrap().application_name("writer")
    }

    pub(crate) fn log(&self) -> AuditLog {
        AuditLog::start(self.options(), self.table)
    }

    pub(crate) async fn app(&self) -> PgConnection {
        PgConnection::connect(&self.database.url(self.role)).await.unwrap()
    }

    pub(crate) async fn superuser(&self) -> PgConnection {
        self.database.superuser().await.unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(&mut self.superuser().await).await.unwrap().rows_affected()
    }

    /// As the auditor: also shows that this role sees everything.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let mut auditor = PgConnection::connect(&self.database.url("clm_auditor")).await.unwrap();
        audit_log::read_records(&mut auditor, self.table).try_collect().await.unwrap()
    }

    pub(crate) async fn report(&self) -> Report {
        let mut auditor = PgConnection::connect(&self.database.url("clm_auditor")).await.unwrap();
        report(&mut auditor, self.table).await
    }

    /// Ends the sessions of writers that write now or did last. How many.
    pub(crate) async fn kill_writers(&self) -> u64 {
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer' AND query LIKE '%audit_chains%'",
        )
        .await
    }
}

pub(crate) async fn report(connection: &mut PgConnection, table: Table) -> Report {
    let heads = audit_log::read_heads(connection).await.unwrap();
    let mut verifier = Verifier::default();
    let found: Vec<_> = audit_log::scan(connection, table).try_collect().await.unwrap();
    found.iter().for_each(|found| verifier.take_found(found));
    heads.into_iter().for_each(|head| verifier.expect_head(head));
    verifier.finish()
}

/// In the current month, so that a partition takes it.
pub(crate) fn event() -> Event {
    let id = Uuid::now_v7();
    let (seconds, nanoseconds) = id.get_timestamp().unwrap().to_unix();
    let since = TimeDelta::new(seconds.try_into().unwrap(), nanoseconds).unwrap();
    Event {
        id,
        timestamp: DateTime::UNIX_EPOCH + since,
        event_type: "key.sign".into(),
        category: "system".into(),
        severity: Severity::Info,
        organization_id: Uuid::from_u128(1),
        resource_type: "key".into(),
        resource_id: Some("k".into()),
        action: "sign".into(),
        outcome: Outcome::Success,
        error_message: None,
        result_sha256: Some([7; 32]),
        request_id: Uuid::now_v7(),
        user_id: None,
        accessor: Some("accessor".into()),
        ip_address: Some([10, 0, 0, 1].into()),
        user_agent: Some("curl".into()),
        data: [("n".to_owned(), Value::Integer(1))].into(),
        arrival: None,
    }
}

/// Asks until it is so, for at most 30 s.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}

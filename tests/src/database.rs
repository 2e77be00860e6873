//! A database of a test's own.

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgPool};
use uuid::Uuid;

/// Dropped, with what is connected to it, when the test ends.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    admin_url: String,
}

impl TestDatabase {
    /// Makes an empty database that belongs to clm_migrate.
    pub async fn create() -> Result<Self> {
        Self::create_in(std::env::var("CLM_TEST_DATABASE_URL").context(
            "CLM_TEST_DATABASE_URL is not set: run the tests by `make test`, which starts a private PostgreSQL",
        )?)
        .await
    }

    /// The same in the cluster of that superuser.
    pub async fn create_in(admin_url: String) -> Result<Self> {
        let name = format!("t_{}", Uuid::new_v4().simple());
        let mut admin = options(&admin_url)?.connect().await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} OWNER clm_migrate"))).execute(&mut admin).await?;
        admin.close().await?;
        Ok(Self { name, admin_url })
    }

    /// URL for one of the service's roles.
    pub fn url(&self, role: &str) -> String {
        self.admin_url.replacen("clm_admin@", &format!("{role}@"), 1).replacen(
            "/postgres?",
            &format!("/{}?", self.name),
            1,
        )
    }

    /// A pool of the migration role.
    pub async fn migration_pool(&self) -> Result<PgPool> {
        Ok(PgPool::connect(&self.url("clm_migrate")).await?)
    }

    /// A connection as the cluster's superuser: whom nothing in the database stops.
    pub async fn superuser(&self) -> Result<PgConnection> {
        Ok(options(&self.url("clm_admin"))?.connect().await?)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Drop cannot wait on the test's runtime, which may be ending: the client program does it.
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let status = std::process::Command::new("psql").args([&self.admin_url, "-qXc", &statement]).status();
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("database {} was left behind: {status:?}", self.name);
        }
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    url.parse().context("CLM_TEST_DATABASE_URL")
}

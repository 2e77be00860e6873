//! `clm migrate`: the one command that runs DDL. Servers of this release and the one before may work meanwhile.

use crate::settings::Settings;
use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::process::ExitCode;
use std::time::Duration;

/// A statement that waits for a table keeps all who come later waiting behind it: rather give up soon, and try again.
const LOCK_TIMEOUT: &str = "2s";
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(settings: Settings) -> Result<ExitCode> {
    let urls = settings.migration.context("set [migration] secure_url and core_url (role clm_migrate)")?;
    let secure = connect(&urls.secure_url).await.context("migration.secure_url")?;
    patiently(async || keyvault::migrate(&secure).await).await.context("clm_secure_db")?;
    let core = connect(&urls.core_url).await.context("migration.core_url")?;
    patiently(async || clm_core::migrate(&core).await).await.context("clm_core_db")?;
    tracing::info!("both databases have this version's schema");
    Ok(ExitCode::SUCCESS)
}

async fn connect(url: &SecretString) -> Result<PgPool> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let options = options.application_name("clm migrate").options([("lock_timeout", LOCK_TIMEOUT)]);
    // One connection: a run that was given up leaves the lock of all migrations with it.
    Ok(PgPoolOptions::new().max_connections(1).connect_with(options).await?)
}

/// Each migration is one transaction: what was given up is not there, and is begun again.
async fn patiently(mut migrate: impl AsyncFnMut() -> Result<(), MigrateError>) -> Result<()> {
    for _ in 1..ATTEMPTS {
        match migrate().await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::info!("a table is in use for long; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            other => return Ok(other?),
        }
    }
    migrate().await.context("a table stays in use: look for long transactions in pg_stat_activity, then run this again")
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

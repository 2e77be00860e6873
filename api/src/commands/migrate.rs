//! `clm migrate`: the one command that runs DDL.

use crate::settings::Settings;
use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::process::ExitCode;

pub(super) async fn run(settings: Settings) -> Result<ExitCode> {
    let urls = settings.migration.context("set [migration] secure_url and core_url (role clm_migrate)")?;
    let secure = PgPool::connect(urls.secure_url.expose_secret()).await.context("migration.secure_url")?;
    keyvault::migrate(&secure).await.context("clm_secure_db")?;
    let core = PgPool::connect(urls.core_url.expose_secret()).await.context("migration.core_url")?;
    clm_core::migrate(&core).await.context("clm_core_db")?;
    tracing::info!("both databases have this version's schema");
    Ok(ExitCode::SUCCESS)
}

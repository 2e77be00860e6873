//! From a start to work: databases, then the token. What is away is waited for; what only the operator can mend ends the start.

use super::seal::{Phase, Seal};
use super::services::{CoreQuotas, Services, SharedClock, VaultMac};
use crate::settings::{SealKind, Settings};
use clm_core::{Core, StoreError};
use keyvault::{PinSource, Vault};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The service cannot work with these settings or databases.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Fatal(String);

enum Failure {
    /// It may be there the next time.
    Away(String),
    Fatal(String),
}

/// Opens both sides, then unseals where that needs nobody. Returns when nothing is left to wait for.
pub(crate) async fn keep_open(settings: &Settings, seal: &Arc<Seal>) -> Result<(), Fatal> {
    let clock = SharedClock(Arc::new(clm_core::clock::SystemClock::new()));
    let vault = patiently(seal, async || open_vault(settings, &clock).await).await?;
    let core = patiently(seal, async || open_core(settings, &vault, &clock).await).await?;
    core.sign_checkpoints(vault.checkpoint_signer()).map_err(|error| Fatal(error.to_string()))?;
    vault.limit_by(Arc::new(CoreQuotas(core.organization_quotas())));
    let services = Services::new(vault, core, clock);
    seal.opened(services.clone());
    crate::worker::start(seal, services.clone());
    patiently(seal, async || follow(seal, &services).await).await?;
    warn_of_a_lone_token(&services).await;
    Ok(())
}

/// Tries until it works; what is missing meanwhile is the answer to requests.
async fn patiently<T>(seal: &Seal, mut attempt: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Fatal> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(Failure::Fatal(why)) => return Err(Fatal(why)),
            Err(Failure::Away(why)) => {
                if seal.waits_for(&why) {
                    tracing::warn!(reason = why, "not ready yet; trying again");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn open_vault(settings: &Settings, clock: &SharedClock) -> Result<Vault, Failure> {
    let section = settings.secure_database.as_ref().ok_or_else(|| missing("secure_database"))?;
    let mut hsm = settings.hsm.clone().ok_or_else(|| missing("hsm"))?;
    if settings.seal.kind == SealKind::Shamir {
        // Only initialisation reads the PIN of before; after it that PIN is wrong, and a token counts wrong ones.
        hsm.pin = PinSource::Unlock;
    }
    let settings = keyvault::Settings {
        database_url: section.url("secure_database").map_err(|error| Failure::Fatal(format!("{error:#}")))?,
        listen_url: section.listen_url.clone(),
        pooler: section.pooler,
        hsm,
        encryptions_per_version: settings.keys.encryptions_per_version,
        destruction: settings.keys.destruction,
    };
    Vault::open(settings, Arc::new(clock.clone())).await.map_err(|error| match error {
        keyvault::Error::Operator(text) => Failure::Fatal(text),
        keyvault::Error::Hsm(keyvault::HsmError::Configuration(text)) => Failure::Fatal(text),
        keyvault::Error::Database(error) => {
            tracing::debug!(%error, "clm_secure_db");
            Failure::Away("clm_secure_db is not reachable: check secure_database.url and that PostgreSQL runs".into())
        }
        other => Failure::Away(other.to_string()),
    })
}

async fn open_core(settings: &Settings, vault: &Vault, clock: &SharedClock) -> Result<Core, Failure> {
    let section = settings.core_database.as_ref().ok_or_else(|| missing("core_database"))?;
    let url = section.url("core_database").map_err(|error| Failure::Fatal(format!("{error:#}")))?;
    let (login, fips) = (settings.login, settings.fips);
    let mut settings = clm_core::Settings::new(url);
    settings.listen_url.clone_from(&section.listen_url);
    settings.pooler = section.pooler;
    settings.lockout_failures = login.lockout_failures;
    settings.lockout_seconds = login.lockout_seconds;
    settings.pending_logins = login.pending_logins;
    settings.fips = fips;
    let mac = Arc::new(VaultMac(vault.clone()));
    Core::open(settings, mac, Arc::clone(&clock.0) as Arc<dyn clm_core::clock::Clock>).await.map_err(
        |error| match error {
            clm_core::Error::Database(StoreError::Database(error)) => {
                tracing::debug!(%error, "clm_core_db");
                Failure::Away("clm_core_db is not reachable: check core_database.url and that PostgreSQL runs".into())
            }
            other => Failure::Fatal(other.to_string()),
        },
    )
}

/// Initialised (here or by another server)? Then the token.
async fn follow(seal: &Seal, services: &Services) -> Result<(), Failure> {
    let away = |error: super::Error| Failure::Away(error.to_string());
    if !services.vault.initialized().await.map_err(|error| away(error.into()))?
        || !services.core.initialized().await.map_err(|error| away(error.into()))?
    {
        seal.enter(Phase::Uninitialised);
        // Not worth a warning: somebody will initialise.
        return Err(Failure::Away(String::new()));
    }
    {
        // What is read here must not overwrite what a rekey has made meanwhile.
        let _alone = seal.changing.lock().await;
        seal.remember(services.core.seal_configuration().await.map_err(|error| away(error.into()))?);
    }
    if seal.kind() == SealKind::Shamir {
        seal.enter_if_closed(Phase::Sealed);
        return Ok(());
    }
    services.vault.bridge().ready().await.map_err(|error| Failure::Away(error.to_string()))?;
    super::seal::unsealed(services, &keyvault::system(clm_core::ROOT_ORGANIZATION), seal.kind()).await.map_err(away)?;
    seal.enter(Phase::Unsealed);
    tracing::info!("unsealed");
    Ok(())
}

/// Losing the one token that can unwrap the keys loses them all.
async fn warn_of_a_lone_token(services: &Services) {
    match services.vault.registered_tokens().await {
        Ok(..2) => tracing::warn!(
            "only one token can unwrap this deployment's keys: have a backup of it by its vendor's tool (docs/OPERATIONS.md, \"The token\")"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "how many tokens can unwrap this deployment's keys is not known"),
    }
}

fn missing(section: &str) -> Failure {
    Failure::Fatal(format!("the settings have no section [{section}]"))
}

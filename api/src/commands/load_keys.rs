//! `clm load-keys`: many keys, made in the token and written in large transactions, beside a service or without one. Not for production, where
//! nobody needs a million keys at once, and therefore not in the help: `make bench` fills deployments with it.

use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use keyvault::clock::SystemClock;
use keyvault::key::{KeyAlgorithm, KeyName, NewKey};
use keyvault::{Vault, system};
use std::process::ExitCode;
use std::sync::Arc;
use uuid::Uuid;

/// Keys in a transaction.
const BATCH: u64 = 500;
/// Transactions that are being prepared while one is written.
const AT_ONCE: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whose keys they are to be.
    #[arg(long)]
    organization: Uuid,
    /// The mount's uuid, as `sys/mounts` shows it.
    #[arg(long)]
    mount: Uuid,
    /// The type of all of them.
    #[arg(long = "type", default_value = "aes256-gcm96")]
    kind: String,
    /// Names are this with a number behind.
    #[arg(long, default_value = "key-")]
    prefix: String,
    /// The first number.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many.
    #[arg(long)]
    count: u64,
}

pub(super) async fn run(arguments: &Arguments, settings: Settings) -> Result<ExitCode> {
    let algorithm = KeyAlgorithm::parse(&arguments.kind, None).context("no such type of key")?;
    let database = settings.secure_database.as_ref().context("set [secure_database] url")?;
    let hsm = settings.hsm.context("set [hsm] module, token and pin")?;
    let vault_settings = keyvault::Settings::new(database.url("secure_database")?, hsm);
    let vault = Vault::open(vault_settings, Arc::new(SystemClock)).await?;
    vault.bridge().ready().await?;
    let caller = system(arguments.organization);
    let name = |number: u64| KeyName::parse(&format!("{}{number}", arguments.prefix)).context("no name of a key");
    let end = arguments.first + arguments.count;
    let batches = (arguments.first..end).step_by(usize::try_from(BATCH)?).map(|from| (from, end.min(from + BATCH)));
    let load = |(from, to)| {
        let (vault, caller) = (&vault, &caller);
        async move {
            let names = (from..to).map(name).collect::<Result<Vec<_>>>()?;
            vault.create_keys(caller, arguments.mount, names, NewKey::of(algorithm)).await?;
            anyhow::Ok(to - from)
        }
    };
    let made = stream::iter(batches).map(load).buffer_unordered(AT_ONCE);
    let made = made.try_fold(0, async |sum, batch| Ok(sum + batch)).await?;
    ensure!(made == arguments.count, "{made} keys were made where {} were asked for", arguments.count);
    tracing::info!(made, "keys are loaded");
    Ok(ExitCode::SUCCESS)
}

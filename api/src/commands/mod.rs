//! Subcommands, one a file.

mod audit;
mod ceremony;
mod dev;
mod doctor;
mod hsm;
mod integrity;
mod key;
mod load_keys;
mod migrate;
mod openapi;
mod policy;
mod server;
mod service;

use crate::settings::Settings;
use crate::telemetry;
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A key service whose private keys live in a PKCS#11 HSM.
#[derive(Debug, Parser)]
#[command(name = "clm", version)]
struct Arguments {
    /// Settings file (TOML); the environment (CLM_SECTION__KEY) goes over it.
    #[arg(long, global = true, env = "CLM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify the audit logs.
    Audit {
        #[command(subcommand)]
        command: audit::Command,
    },
    /// Make the keys that everything stands on, inside the token.
    Ceremony {
        #[command(subcommand)]
        command: ceremony::Command,
    },
    /// Serve on parts of its own (a SoftHSM2 token, a private PostgreSQL), ready to sign.
    Dev(dev::Arguments),
    /// Look whether the service can work here, and say how to mend what is wrong. Exit code 1: something failed.
    Doctor(doctor::Arguments),
    /// Prepare and look at tokens.
    Hsm {
        #[command(subcommand)]
        command: hsm::Command,
    },
    /// Whether the databases and the token fit together.
    Integrity {
        #[command(subcommand)]
        command: integrity::Command,
    },
    /// Make keys, sign and verify through a service (VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_NAMESPACE, VAULT_CACERT).
    Key {
        #[command(subcommand)]
        command: key::Command,
    },
    /// Make many keys at once.
    #[command(hide = true)]
    LoadKeys(load_keys::Arguments),
    /// Bring both databases to this version's schema.
    Migrate,
    /// Print the API as OpenAPI 3.1.
    Openapi,
    /// What policies decide, through a service (VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_CACERT, VAULT_NAMESPACE).
    Policy {
        #[command(subcommand)]
        command: policy::Command,
    },
    /// Serve the API.
    Server,
}

/// Runs what the command line says; errors go to standard error, with their causes: as JSON from the service, else as people read them.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings::load(arguments.config.as_deref());
    telemetry::start(settings.as_ref().ok().and_then(|settings| settings.log.level.as_deref()));
    if let Command::Doctor(doctor) = &arguments.command {
        // Settings that cannot be read are a finding, too.
        return doctor::run(doctor, settings, arguments.config.as_deref());
    }
    match settings.and_then(|settings| run(&arguments, settings)) {
        Ok(code) => code,
        Err(error) => {
            if matches!(arguments.command, Command::Server) {
                tracing::error!("{error:#}");
            } else {
                // Standard error may be closed; the exit code says it too.
                drop(writeln!(std::io::stderr(), "clm: {error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, settings: Settings) -> Result<ExitCode> {
    match &arguments.command {
        // Before any runtime: these start processes that follow this thread.
        Command::Hsm { command } => return hsm::run(command, settings),
        Command::Dev(arguments) => return dev::run(arguments),
        Command::Openapi => return openapi::run(),
        Command::Server => return server::run(settings),
        Command::Audit { .. }
        | Command::Ceremony { .. }
        | Command::Doctor(_)
        | Command::Integrity { .. }
        | Command::Key { .. }
        | Command::LoadKeys(_)
        | Command::Migrate
        | Command::Policy { .. } => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.command {
            Command::Audit { command } => audit::run(command, settings).await,
            Command::Ceremony { command } => ceremony::run(command, settings).await,
            Command::Integrity { command } => integrity::run(command).await,
            Command::Key { command } => key::run(command).await,
            Command::LoadKeys(arguments) => load_keys::run(arguments, settings).await,
            Command::Migrate => migrate::run(settings).await,
            Command::Policy { command } => policy::run(command).await,
            Command::Dev(_) | Command::Doctor(_) | Command::Hsm { .. } | Command::Openapi | Command::Server => {
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

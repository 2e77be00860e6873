//! Subcommands, one a file.

mod audit;
mod ceremony;
mod hsm;
mod migrate;

use crate::settings::Settings;
use anyhow::Result;
use clap::{Parser, Subcommand};
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
    /// Prepare and look at tokens.
    Hsm {
        #[command(subcommand)]
        command: hsm::Command,
    },
    /// Bring both databases to this version's schema.
    Migrate,
}

/// Runs what the command line says; errors go to standard error, with their causes.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let settings = Settings::load(arguments.config.as_deref())?;
    if let Command::Hsm { command } = &arguments.command {
        // Before any runtime: these start processes that follow this thread.
        return hsm::run(command, settings);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.command {
            Command::Audit { command } => audit::run(command, settings).await,
            Command::Ceremony { command } => ceremony::run(command, settings).await,
            Command::Migrate => migrate::run(settings).await,
            Command::Hsm { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

//! `clm integrity`: whether databases and token fit together, asked of the service.

use super::service::{Service, print};
use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

const PATH: &str = "sys/hsm/integrity";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what does not fit together; the exit code is 1 if there is anything.
    Check,
    /// Repair what can be without losing anything, and list what is left; the exit code is 1 if there is anything.
    Repair,
}

pub(super) async fn run(command: &Command) -> Result<ExitCode> {
    let service = Service::from_environment()?;
    let answer = match command {
        Command::Check => service.read(PATH).await?,
        Command::Repair => service.write(PATH, &json!({})).await?,
    };
    for removed in answer["removed_objects"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        print(&format!("removed from the token: {removed}"))?;
    }
    let orphans = answer["orphans"].as_array().context("the service gave no list")?;
    for orphan in orphans {
        let text = |field: &str| orphan[field].as_str().unwrap_or_default();
        let hint = if orphan["repairable"] == true { " (`clm integrity repair` mends it)" } else { "" };
        print(&format!("{} {}: {}{hint}", text("kind"), text("id"), text("text")))?;
    }
    if orphans.is_empty() {
        print("databases and token fit together")?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

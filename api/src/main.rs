//! `clm`: the one binary.

use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // cryptoki reports each mechanism that it has no name for as an error; tokens have dozens.
    let filter = EnvFilter::try_from_env("CLM_LOG").unwrap_or_else(|_| "info,cryptoki::mechanism=off".into());
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
    // The HSM's supervisor and workers are this executable too; they start neither a runtime nor anything else of ours.
    match std::env::args().nth(1).as_deref() {
        Some("hsm-supervisor") => keyvault::supervisor::main(),
        Some("hsm-worker") => keyvault::worker::main(),
        _ => api::commands::main(),
    }
}

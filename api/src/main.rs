//! `clm`: the one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The HSM's supervisor and workers are this executable too; they start neither a runtime nor anything of HTTP.
    match std::env::args().nth(1).as_deref() {
        Some("hsm-supervisor") => keyvault::supervisor::main(),
        Some("hsm-worker") => keyvault::worker::main(),
        _ => ExitCode::FAILURE,
    }
}

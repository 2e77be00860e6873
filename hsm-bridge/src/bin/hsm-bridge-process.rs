//! The two hidden subcommands of `clm` by themselves, for this crate's own tests and measurements.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("hsm-supervisor") => hsm_bridge::supervisor::main(),
        Some("hsm-worker") => hsm_bridge::worker::main(),
        _ => ExitCode::FAILURE,
    }
}

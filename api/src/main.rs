//! `clm`: the one binary.

use std::process::ExitCode;

/// Requests allocate much and briefly. Of Rust alone: a vendor's library keeps the allocator that it was tried with.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The HSM's supervisor and workers are this executable too; they start neither a runtime nor anything else of ours.
    match std::env::args().nth(1).as_deref() {
        Some("hsm-supervisor") => {
            api::telemetry::start(None);
            keyvault::supervisor::main()
        }
        Some("hsm-worker") => {
            api::telemetry::start(None);
            keyvault::worker::main()
        }
        _ => api::commands::main(),
    }
}

//! `clm server`.

use crate::server::Server;
use crate::settings::Settings;
use anyhow::{Context, Result};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;

/// Workers are told to end by then, and end anyway with this process.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(settings: Settings) -> Result<ExitCode> {
    keep_out_of_dumps(&settings)?;
    within_runtime(settings.server.threads(), async { Server::bind(settings).await?.run().await })
        .map(|()| ExitCode::SUCCESS)
}

/// Tokens and what callers encrypt pass through this process: no core dump holds them, and no other user's debugger sees them.
fn keep_out_of_dumps(settings: &Settings) -> Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if settings.server.core_dumps {
        tracing::warn!("server.core_dumps = true: whoever reads a core dump of this process reads tokens and secrets");
        return Ok(());
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("prctl(PR_SET_DUMPABLE)")
}

/// Runs it on that many threads; this one among them, so that child processes which follow a thread follow this.
pub(super) fn within_runtime<T>(threads: usize, served: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = if threads == 1 {
        Builder::new_current_thread().enable_all().build()?
    } else {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
    };
    let served = runtime.block_on(served);
    runtime.shutdown_timeout(LAST_PATIENCE);
    served
}

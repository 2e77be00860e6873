//! `clm server`.

use crate::settings::Settings;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;

/// Workers are told to end by then, and end anyway with this process.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(settings: Settings) -> Result<ExitCode> {
    let threads = settings.server.threads();
    let runtime = if threads == 1 {
        Builder::new_current_thread().enable_all().build()?
    } else {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
    };
    let served = runtime.block_on(crate::server::run(settings));
    runtime.shutdown_timeout(LAST_PATIENCE);
    served.map(|()| ExitCode::SUCCESS)
}

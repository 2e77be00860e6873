//! The service from start to end.

use crate::app::keep_open;
use crate::http::{listener, metrics_listener, tls};
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::state::State;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Serves until SIGTERM. What can be wrong with the settings is said before anything is served; databases and the HSM may be
/// away: requests are then answered 503 until they are there.
pub async fn run(settings: Settings) -> Result<()> {
    let mut shutdown = Shutdown::listen()?;
    settings.server.check()?;
    let tls = settings.server.tls.as_ref().map(|tls| tls::configuration(tls, settings.fips)).transpose()?;
    let (listener, address) = listener::bind(settings.server.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let state = Arc::new(State::new(settings));
    if let Some(listen) = state.settings.metrics.listen {
        metrics_listener::start(Arc::clone(&state), listen).await?;
    }
    if let Some(file) = &state.settings.server.address_file {
        announce(file, address)?;
    }
    tracing::info!(%address, scheme, version = env!("CARGO_PKG_VERSION"), "listening");
    let opening = async {
        match keep_open(&state.settings, &state.seal).await {
            Ok(()) => std::future::pending().await,
            Err(fatal) => fatal,
        }
    };
    tokio::select! {
        () = listener::run(Arc::clone(&state), listener, tls, async move { shutdown.requested().await }) => {}
        fatal = opening => return Err(fatal.into()),
    }
    if let Ok(services) = state.seal.opened_services() {
        services.core.flush_refusals().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Whole or not at all: who waits for the file reads it as soon as it is there.
fn announce(file: &Path, address: SocketAddr) -> Result<()> {
    let part = file.with_extension("part");
    std::fs::write(&part, address.to_string())
        .and_then(|()| std::fs::rename(&part, file))
        .with_context(|| format!("server.address_file: {}", file.display()))
}

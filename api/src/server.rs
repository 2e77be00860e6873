//! The service from start to end.

use crate::app::keep_open;
use crate::http::{listener, metrics_listener, tls};
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::state::State;
use anyhow::{Context, Result};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A service that has its address, and does nothing yet.
#[derive(Debug)]
pub struct Server {
    state: Arc<State>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    shutdown: Shutdown,
}

impl Server {
    /// Says what can be wrong with the settings before anything is served.
    pub async fn bind(settings: Settings) -> Result<Self> {
        let shutdown = Shutdown::listen()?;
        settings.server.check()?;
        let tls = settings.server.tls.as_ref().map(|tls| tls::configuration(tls, settings.fips)).transpose()?;
        let (listener, address) = listener::bind(settings.server.listen).await?;
        Ok(Self { state: Arc::new(State::new(settings, address)), listener, address, tls, shutdown })
    }

    /// Where it listens; the port is the one that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Serves until SIGTERM. Databases and the HSM may be away: requests are then answered 503 until they are there.
    pub async fn run(self) -> Result<()> {
        let Self { state, listener, address, tls, mut shutdown } = self;
        let scheme = if tls.is_some() { "https" } else { "http" };
        if let Some(listen) = state.settings.metrics.listen {
            metrics_listener::start(Arc::clone(&state), listen).await?;
        }
        if let Some(file) = &state.settings.server.address_file {
            announce(file, address)?;
        }
        tracing::info!(%address, scheme, version = env!("CARGO_PKG_VERSION"), "listening");
        reopen_on_hangup(Arc::clone(&state))?;
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
}

/// SIGHUP: whoever rotates logs has moved the files of audit devices away.
fn reopen_on_hangup(state: Arc<State>) -> Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("SIGHUP")?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let devices = state.system.loaded().devices.clone();
            tracing::info!(devices = devices.len(), "SIGHUP: opening audit devices anew");
            devices.iter().for_each(|device| device.reopen());
        }
    });
    Ok(())
}

/// Whole or not at all: who waits for the file reads it as soon as it is there.
fn announce(file: &Path, address: SocketAddr) -> Result<()> {
    let part = file.with_extension("part");
    std::fs::write(&part, address.to_string())
        .and_then(|()| std::fs::rename(&part, file))
        .with_context(|| format!("server.address_file: {}", file.display()))
}

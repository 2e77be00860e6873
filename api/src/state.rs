//! What requests share.

use crate::app::seal::Seal;
use crate::app::system_settings::SystemSettings;
use crate::in_flight::InFlightRequests;
use crate::metrics::Metrics;
use crate::settings::Settings;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The service: settings, where it stands, what it counts.
#[derive(Debug)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) seal: Arc<Seal>,
    pub(crate) metrics: Metrics,
    pub(crate) in_flight: InFlightRequests,
    pub(crate) system: SystemSettings,
    pub(crate) started: Instant,
    /// Where it listens.
    address: SocketAddr,
}

impl State {
    /// Closed; [`crate::server::Server::run`] opens it.
    pub fn new(settings: Settings, address: SocketAddr) -> Self {
        Self {
            seal: Arc::new(Seal::new(settings.seal.kind)),
            metrics: Metrics::new(),
            in_flight: InFlightRequests::default(),
            system: SystemSettings::default(),
            started: Instant::now(),
            address,
            settings,
        }
    }

    /// How clients on the way to this very server begin their URLs.
    pub(crate) fn api_address(&self) -> String {
        let scheme = if self.settings.server.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

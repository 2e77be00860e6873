//! The section `[server]`.

use anyhow::{Result, ensure};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where and how requests are served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address; port 0 picks one.
    pub listen: SocketAddr,
    /// The address is written here once the server listens (for port 0).
    pub address_file: Option<PathBuf>,
    /// TLS; without it only a loopback address is served, unless `allow_plain_http` says otherwise.
    pub tls: Option<Tls>,
    /// Serve plain HTTP beyond the machine: something in front of it does TLS.
    pub allow_plain_http: bool,
    /// A request's time, milliseconds, its body's arrival included.
    pub request_timeout_ms: u64,
    /// The largest body, bytes; larger ones are refused before they are read.
    pub max_request_bytes: usize,
    /// Connections at once; more wait.
    pub max_connections: usize,
    /// Threads that serve; 0: one on up to two processors, else half of them.
    pub threads: usize,
    /// Whether the kernel may write core dumps of this process, and debuggers of its user may look at it. Default: no.
    pub core_dumps: bool,
    /// How long requests under way may take after SIGTERM, milliseconds.
    pub drain_ms: u64,
}

/// `[server.tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate and the chain to its root, PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM: clients may show one, and one that they show must be theirs.
    pub client_ca: Option<PathBuf>,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2", alias = "tls12")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3", alias = "tls13")]
    Tls13,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8200)),
            address_file: None,
            tls: None,
            allow_plain_http: false,
            request_timeout_ms: 90_000,
            max_request_bytes: 32 << 20,
            max_connections: 8192,
            threads: 0,
            core_dumps: false,
            drain_ms: 10_000,
        }
    }
}

impl Server {
    /// Tokens must not cross a network in the clear by oversight.
    pub fn check(&self) -> Result<()> {
        let safe = self.tls.is_some() || self.listen.ip().is_loopback() || self.allow_plain_http;
        ensure!(
            safe,
            "server.listen = {} would serve plain HTTP beyond this machine: set [server.tls], or server.allow_plain_http = true where a proxy does TLS",
            self.listen
        );
        ensure!(self.max_request_bytes > 0, "server.max_request_bytes must be positive");
        Ok(())
    }

    /// Threads to serve with.
    pub fn threads(&self) -> usize {
        if self.threads > 0 {
            return self.threads;
        }
        // On two processors the HSM's workers need the second one more.
        std::thread::available_parallelism().map_or(1, usize::from).div_euclid(2).max(1)
    }

    /// A request's time.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// How long requests under way may take when the service ends.
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

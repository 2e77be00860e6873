//! Settings: one TOML file, over it the environment (`CLM_HSM__TOKEN=…`). An unknown key is an error that names it.

mod database;
mod server;
#[cfg(test)]
mod tests;

pub use database::{Database, holds_password};
pub use server::{Server, Tls, TlsVersion};

use anyhow::{Context, Result};
use secrecy::SecretString;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;

/// All sections. A command says which of them it needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Refuse whatever FIPS 140-3 does not approve.
    pub fips: bool,
    /// Where and how requests are served.
    pub server: Server,
    /// `clm_secure_db`, as the role clm_secure_app.
    pub secure_database: Option<Database>,
    /// `clm_core_db`, as the role clm_core_app.
    pub core_database: Option<Database>,
    /// The token.
    pub hsm: Option<keyvault::HsmSettings>,
    /// Named keys.
    pub keys: Keys,
    /// Who opens the token.
    pub seal: Seal,
    /// People who log in.
    pub login: Login,
    /// Audit devices.
    pub audit: Audit,
    /// What is logged.
    pub log: Log,
    /// Prometheus.
    pub metrics: Metrics,
    /// Where migrations run, as the role clm_migrate.
    pub migration: Option<Urls>,
    /// Where the logs are read, as the role clm_auditor.
    pub auditor: Option<Urls>,
}

/// Both databases, for one role.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Urls {
    /// `postgresql://ROLE@HOST/clm_secure_db`.
    pub secure_url: SecretString,
    /// `postgresql://ROLE@HOST/clm_core_db`.
    pub core_url: SecretString,
}

/// The `[keys]` section.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// So often a version of an AES-GCM key encrypts, then it must be rotated. At most, and unless set, 2^32 (SP 800-38D, 8.3).
    pub encryptions_per_version: u64,
    /// Bounds of the waiting period before a scheduled destruction, seconds: 7 to 30 days unless set.
    pub destruction: keyvault::key::DestructionWaits,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            encryptions_per_version: keyvault::key::ENCRYPTIONS,
            destruction: keyvault::key::DestructionWaits::default(),
        }
    }
}

/// The `[seal]` section.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// Whether shares make a root token (`sys/generate-root`), which nobody has to be allowed. Default: no.
    pub generate_root: bool,
    /// Whether shares make new ones in their place (`sys/rekey`, `sys/rekey-recovery-key`), likewise. Default: no.
    pub rekey: bool,
    /// `pkcs11` or `shamir`.
    #[serde(rename = "type")]
    pub kind: SealKind,
}

/// Who opens the token after a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealKind {
    /// The service itself, with the PIN it is told in `hsm.pin`.
    #[default]
    Pkcs11,
    /// People: the PIN is drawn at initialisation and split among them. `hsm.pin` is where the PIN of before is read, once.
    Shamir,
}

/// The `[login]` section.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// Wrong passwords, one after another, that lock a person out. Default 5.
    pub lockout_failures: u32,
    /// For how long, seconds; as long after the last one they are forgotten. Default 900.
    pub lockout_seconds: u64,
    /// Logins of one method that may wait at a time, for a browser or for a second factor; one more is answered 429. Default 10000.
    pub pending_logins: u32,
}

impl Default for Login {
    fn default() -> Self {
        Self { lockout_failures: 5, lockout_seconds: 900, pending_logins: 10_000 }
    }
}

/// The `[audit]` section.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Whether `sys/audit` enables devices, which write files and open connections as whoever may call it says. Default: no.
    pub devices: bool,
}

/// The `[log]` section. Logs are JSON on standard error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `info`, or a filter as `tracing-subscriber` reads it; the environment's `CLM_LOG` goes over it.
    pub level: Option<String>,
}

/// The `[metrics]` section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// A listener of its own for `GET /metrics`, plain HTTP and without a token; without it only `sys/metrics` answers.
    pub listen: Option<SocketAddr>,
}

impl Settings {
    /// Reads the file, if one is given, and the environment.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        Self::read(path, std::env::vars())
    }

    fn read(path: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut builder = config::Config::builder();
        if let Some(path) = path {
            builder = builder.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        let environment =
            config::Environment::with_prefix("CLM").prefix_separator("_").separator("__").try_parsing(true);
        // Variables of other purposes share the prefix (CLM_LOG, CLM_TEST_…): only those of a section count.
        let sections = variables.filter(|(name, _)| name.contains("__") || name == "CLM_FIPS").collect();
        builder = builder.add_source(environment.source(Some(sections)));
        builder.build().and_then(config::Config::try_deserialize).context("settings")
    }
}

//! Settings: one TOML file, over it the environment (`CLM_HSM__TOKEN=…`). An unknown key is an error.

use anyhow::{Context, Result};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::Path;

/// All sections. A command says which of them it needs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The token.
    pub hsm: Option<keyvault::HsmSettings>,
    /// Where migrations run, as the role clm_migrate.
    pub migration: Option<Urls>,
    /// Where the logs are read, as the role clm_auditor.
    pub auditor: Option<Urls>,
}

/// Both databases, for one role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Urls {
    /// `postgresql://ROLE@HOST/clm_secure_db`.
    pub secure_url: SecretString,
    /// `postgresql://ROLE@HOST/clm_core_db`.
    pub core_url: SecretString,
}

impl Settings {
    /// Reads the file, if one is given, and the environment.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let mut builder = config::Config::builder();
        if let Some(path) = path {
            builder = builder.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        let environment =
            config::Environment::with_prefix("CLM").prefix_separator("_").separator("__").try_parsing(true);
        // Variables of other purposes share the prefix (CLM_LOG, CLM_TEST_…): only those of a section count.
        let sections = std::env::vars().filter(|(name, _)| name.contains("__")).collect();
        builder = builder.add_source(environment.source(Some(sections)));
        builder.build().and_then(config::Config::try_deserialize).context("settings")
    }
}

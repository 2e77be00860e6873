//! The sections of the two databases.

use anyhow::{Context, Result};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;

/// `[secure_database]` or `[core_database]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgresql://ROLE@HOST/DATABASE`.
    pub url: Option<SecretString>,
    /// A file whose first line is that, for URLs that hold a password.
    pub url_file: Option<PathBuf>,
    /// A direct connection for LISTEN, where the other goes through a pooler.
    pub listen_url: Option<SecretString>,
    /// `url` goes through PgBouncer in transaction mode, with `server_reset_query_always = 1`; `listen_url` must be set.
    pub pooler: bool,
}

impl Database {
    /// The URL, from wherever it is said.
    pub fn url(&self, section: &'static str) -> Result<SecretString> {
        anyhow::ensure!(
            !self.pooler || self.listen_url.is_some(),
            "{section}.pooler = true: a pooler in transaction mode passes no notifications on; set {section}.listen_url to a direct connection"
        );
        match (&self.url, &self.url_file) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("{section}.url_file: {} cannot be read", file.display()))?;
                let line = text.lines().next().unwrap_or_default().trim().to_owned();
                Ok(SecretString::from(line))
            }
            _ => anyhow::bail!("set either {section}.url or {section}.url_file"),
        }
    }
}

/// Whether a database's URL must be kept secret.
pub fn holds_password(url: &str) -> bool {
    let user = url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
    user.contains(':') || url.contains("password=")
}

//! `clm.toml` of the state directory: what `clm dev` serves with, and what `clm --config DIR/clm.toml audit verify` and others read.

use super::cluster::Cluster;
use super::state::StateDirectory;
use super::{Seal, token};
use crate::settings::Settings;
use anyhow::Result;
use keyvault::HsmSettings;
use serde::Serialize;
use std::net::SocketAddr;

#[derive(Serialize)]
struct File<'a> {
    audit: Audit,
    server: Server,
    secure_database: Url,
    core_database: Url,
    seal: SealSection<'a>,
    hsm: HsmSettings,
    migration: Urls,
    auditor: Urls,
}

#[derive(Serialize)]
struct Audit {
    devices: bool,
}

#[derive(Serialize)]
struct Server {
    listen: SocketAddr,
}

#[derive(Serialize)]
struct Url {
    url: String,
}

#[derive(Serialize)]
struct Urls {
    secure_url: String,
    core_url: String,
}

#[derive(Serialize)]
struct SealSection<'a> {
    r#type: &'a str,
}

/// Writes it anew at each start, and reads it as `clm server` would.
pub(super) fn write(state: &StateDirectory, cluster: &Cluster, listen: SocketAddr, seal: Seal) -> Result<Settings> {
    let both =
        |role| Urls { secure_url: cluster.url(role, "clm_secure_db"), core_url: cluster.url(role, "clm_core_db") };
    let file = File {
        // Whoever holds the root token of this machine's own service may write its files.
        audit: Audit { devices: true },
        server: Server { listen },
        secure_database: Url { url: cluster.url("clm_secure_app", "clm_secure_db") },
        core_database: Url { url: cluster.url("clm_core_app", "clm_core_db") },
        seal: SealSection { r#type: seal.name() },
        hsm: token::settings(state)?,
        migration: both("clm_migrate"),
        auditor: both("clm_auditor"),
    };
    let path = state.path("clm.toml");
    state.write("clm.toml", &toml::to_string(&file)?.into())?;
    tracing::info!(settings = %path.display(), "for `clm audit verify` and the other commands");
    Settings::load(Some(&path))
}

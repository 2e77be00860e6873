//! The settings of this server as others may see them: each is named here, so that none is shown because it was forgotten to hide it. Where
//! databases, token and PIN are found is not shown.

use super::audit::expect_root;
use super::seal::{CLUSTER_NAME, kind_name};
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Route, Verb};
use crate::settings::{Settings, TlsVersion};
use serde_json::{Value, json};

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    pattern: "config/state/sanitized",
    endpoints: &[Endpoint::new(
        Verb::Read,
        "config-state",
        "Settings of this server, without what is secret",
        |call| Box::pin(sanitized(call)),
    )],
}];

async fn sanitized(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Ok(Answer::data(shown(&call.state.settings, &call.state.api_address())))
}

fn shown(settings: &Settings, api_address: &str) -> Value {
    let server = &settings.server;
    let mut listener = json!({
        "address": server.listen.to_string(),
        "max_request_duration": server.request_timeout().as_secs(),
        "max_request_size": server.max_request_bytes,
        "tls_disable": server.tls.is_none(),
    });
    if let Some(tls) = &server.tls {
        listener["tls_min_version"] = match tls.min_version {
            TlsVersion::Tls12 => "tls12",
            TlsVersion::Tls13 => "tls13",
        }
        .into();
    }
    json!({
        "api_addr": api_address,
        "cluster_addr": "",
        "cluster_name": CLUSTER_NAME,
        // 0: the system's own, 768 hours.
        "default_lease_ttl": 0,
        "default_max_request_duration": server.request_timeout().as_secs(),
        "disable_clustering": true,
        "enable_ui": false,
        "fips": settings.fips,
        "listeners": [{ "type": "tcp", "config": listener }],
        "log_format": "json",
        "log_level": settings.log.level.as_deref().unwrap_or("info"),
        "max_lease_ttl": 0,
        "plugin_directory": "",
        "raw_storage_endpoint": false,
        "seals": [{ "type": kind_name(settings.seal.kind), "disabled": false }],
        "storage": { "type": "postgresql" },
    })
}

//! Rate limits.

use super::audit::expect_root;
use crate::app::system_settings::document;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::quota::{QuotaConfiguration, RateLimit};
use clm_core::{EntryKind, Located, SystemEntry};
use serde_json::json;

const LIMIT: &[Parameter] = &[
    Parameter::new("block_interval", Kind::Duration, "For so long nothing passes after one request too many"),
    Parameter::new("inheritable", Kind::Boolean, "Read, without meaning here"),
    Parameter::new("interval", Kind::Duration, "A second unless set"),
    Parameter::new(
        "path",
        Kind::Text,
        "A mount, a path, what begins like a path (`*`), each with its namespace in front, a namespace, or empty: everything",
    ),
    Parameter::new("rate", Kind::Text, "Requests of one address in each interval").required(),
    Parameter::new("role", Kind::Text, "Not supported"),
    Parameter::new("type", Kind::Text, "rate-limit"),
];
const CONFIGURATION: &[Parameter] = &[
    Parameter::new("enable_rate_limit_audit_logging", Kind::Boolean, "Refused requests are told to audit devices"),
    Parameter::new("enable_rate_limit_response_headers", Kind::Boolean, "Answers say how much is left"),
    Parameter::new("rate_limit_exempt_paths", Kind::List, "Paths that no rate limit counts"),
];
/// Of the one entry with what they have in common.
const NAME: &str = "config";

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "quotas/config",
        endpoints: &[
            Endpoint::new(Verb::Read, "quotas-read-config", "What rate limits have in common", |call| {
                Box::pin(read_config(call))
            }),
            Endpoint::new(Verb::Write, "quotas-write-config", "Change what rate limits have in common", |call| {
                Box::pin(write_config(call))
            })
            .with(CONFIGURATION),
        ],
    },
    Route {
        pattern: "quotas/rate-limit",
        endpoints: &[Endpoint::new(Verb::List, "rate-limits-list", "Names of all rate limits", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "quotas/rate-limit/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "rate-limits-read", "One rate limit", |call| Box::pin(read(call))),
            Endpoint::new(Verb::Write, "rate-limits-write", "Limit how often something may be asked", |call| {
                Box::pin(write(call))
            })
            .with(LIMIT),
            Endpoint::new(Verb::Delete, "rate-limits-delete", "Do not any more", |call| Box::pin(delete(call))),
        ],
    },
];

async fn read_config(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entry = call.context.services.core.system_entry(organization, EntryKind::QuotaConfiguration, NAME).await?;
    let configuration: QuotaConfiguration = entry.as_ref().map(document).transpose()?.unwrap_or_default();
    Ok(Answer::data(json!(configuration)))
}

async fn write_config(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let flag = |name: &str| call.parameters.flag(name);
    let exempt = call.parameters.list("rate_limit_exempt_paths")?;
    let audited = flag("enable_rate_limit_audit_logging")?;
    let headers = flag("enable_rate_limit_response_headers")?;
    let change = |old: Option<&SystemEntry>| {
        let old = old.map(|entry| serde_json::from_value(entry.document.clone())).transpose();
        let old: QuotaConfiguration =
            old.map_err(|_| clm_core::Error::Internal("quota configuration".into()))?.unwrap_or_default();
        Ok(json!(QuotaConfiguration {
            rate_limit_exempt_paths: exempt.clone().unwrap_or(old.rate_limit_exempt_paths),
            enable_rate_limit_audit_logging: audited.unwrap_or(old.enable_rate_limit_audit_logging),
            enable_rate_limit_response_headers: headers.unwrap_or(old.enable_rate_limit_response_headers),
        }))
    };
    let core = &call.context.services.core;
    core.put_system_entry(&call.context.caller, EntryKind::QuotaConfiguration, NAME, change).await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn list(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entries = call.context.services.core.system_entries(organization, EntryKind::RateLimit).await?;
    Ok(Answer::keys(entries.into_iter().map(|entry| entry.name).collect()))
}

async fn read(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entry =
        call.context.services.core.system_entry(organization, EntryKind::RateLimit, call.capture("name")).await?;
    let Some(entry) = entry else { return Ok(Answer::nothing()) };
    let limit: RateLimit = document(&entry)?;
    Ok(Answer::data(json!({
        "name": entry.name,
        "type": "rate-limit",
        "path": limit.path,
        "rate": limit.rate,
        "interval": limit.interval,
        "block_interval": limit.block_interval,
        "role": "",
        "inheritable": limit.path.is_empty(),
    })))
}

async fn write(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    if call.parameters.text("role")?.is_some_and(|role| !role.is_empty()) {
        return Err(Error::invalid("role: this server limits mounts and paths, not roles"));
    }
    let path = limited_path(&call, &call.parameters.text("path")?.unwrap_or_default())?;
    let rate = call.parameters.text("rate")?.unwrap_or_default();
    let limit = RateLimit {
        path,
        rate: rate.trim().parse().map_err(|_| Error::invalid("'rate' is invalid: it must be a number"))?,
        interval: call.parameters.lasting("interval")?.filter(|interval| *interval > 0).unwrap_or(1),
        block_interval: call.parameters.lasting("block_interval")?.unwrap_or(0),
    }
    .checked()?;
    let (core, name) = (&call.context.services.core, call.capture("name"));
    let others = core.system_entries(call.context.caller.organization_id, EntryKind::RateLimit).await?;
    if let Some(other) = others.iter().find(|other| other.name != name && other.document["path"] == limit.path.as_str())
    {
        return Err(Error::invalid(format!(
            "quota rule with similar properties exists under the name {:?}",
            other.name
        )));
    }
    core.put_system_entry(&call.context.caller, EntryKind::RateLimit, name, |_| Ok(json!(limit))).await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    super::delete_entry(&call, EntryKind::RateLimit, call.capture("name")).await
}

/// A namespace's path and a mount's get their final slash; any other must lie in a mount.
fn limited_path(call: &Call, path: &str) -> Result<String> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let bare = path.trim_end_matches('*').trim_end_matches('/');
    let core = &call.context.services.core;
    let below = format!("{bare}/");
    let (organization, own) = match core.locate(None, &below)? {
        // All of a namespace.
        Located::Inside(_, "") => return Ok(below),
        Located::Inside(namespace, own) => (namespace.id, own.to_owned()),
        Located::Root | Located::Nowhere => (call.context.caller.organization_id, below.clone()),
    };
    let Some((_, rest)) = core.resolve(organization, &own) else {
        return Err(Error::invalid(format!("invalid mount path {path:?}: no mount is there")));
    };
    let is_mount = rest.trim_matches('/').is_empty() && !path.ends_with('*');
    Ok(if is_mount { format!("{bare}/") } else { path.trim_end_matches('/').to_owned() })
}

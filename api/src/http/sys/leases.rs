//! Leases: tokens that end, and what engines lend.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, json};

const LEASE: &[Parameter] = &[Parameter::new("lease_id", Kind::Text, "The lease").required()];
const RENEW: &[Parameter] = &[
    Parameter::new("increment", Kind::Duration, "How long it shall last from now"),
    Parameter::new("lease_id", Kind::Text, "The lease").required(),
];
const REVOKE: &[Parameter] = &[
    Parameter::new("lease_id", Kind::Text, "The lease").required(),
    Parameter::new("sync", Kind::Boolean, "Read; it is always done when the answer comes"),
];
const SYNC: &[Parameter] = &[Parameter::new("sync", Kind::Boolean, "Read; it is always done when the answer comes")];
const COUNT: &[Parameter] = &[
    Parameter::new("include_child_namespaces", Kind::Boolean, "Read, without meaning here"),
    Parameter::new("limit", Kind::Text, "Read, without meaning here"),
    Parameter::new("type", Kind::Text, "irrevocable").required(),
];

const fn renewal(id: &'static str) -> Endpoint {
    Endpoint::new(Verb::Write, id, "Renew a lease", |call| Box::pin(renew(call))).with(RENEW)
}

const fn revocation(id: &'static str) -> Endpoint {
    Endpoint::new(Verb::Write, id, "End a lease", |call| Box::pin(revoke(call))).with(REVOKE)
}

const fn prefix_revocation(id: &'static str) -> Endpoint {
    let summary = "End all leases whose ids begin so";
    Endpoint::new(Verb::Write, id, summary, |call| Box::pin(revoke_prefix(call))).with(SYNC)
}

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "leases",
        endpoints: &[Endpoint::new(Verb::Read, "leases-irrevocable", "Leases that could not be ended", |call| {
            Box::pin(irrevocable(call))
        })
        .with(COUNT)],
    },
    Route {
        pattern: "leases/count",
        endpoints: &[Endpoint::new(Verb::Read, "leases-count", "How many leases could not be ended", |call| {
            Box::pin(count(call))
        })
        .with(COUNT)],
    },
    Route {
        pattern: "leases/lookup",
        endpoints: &[
            Endpoint::new(Verb::Write, "leases-look-up", "A lease", |call| Box::pin(lookup(call)))
                .with(LEASE)
                .audited(false),
            Endpoint::new(Verb::List, "leases-list-all", "Where leases begin", |call| Box::pin(list(call))),
        ],
    },
    Route {
        pattern: "leases/lookup/{+prefix}",
        endpoints: &[Endpoint::new(Verb::List, "leases-list", "Leases whose ids begin so", |call| {
            Box::pin(list(call))
        })],
    },
    Route { pattern: "leases/renew", endpoints: &[renewal("leases-renew")] },
    Route { pattern: "leases/renew/{+url_lease_id}", endpoints: &[renewal("leases-renew-by-path")] },
    Route { pattern: "leases/revoke", endpoints: &[revocation("leases-revoke")] },
    Route { pattern: "leases/revoke/{+url_lease_id}", endpoints: &[revocation("leases-revoke-by-path")] },
    Route { pattern: "leases/revoke-prefix/{+prefix}", endpoints: &[prefix_revocation("leases-revoke-prefix")] },
    Route { pattern: "leases/revoke-force/{+prefix}", endpoints: &[prefix_revocation("leases-revoke-force")] },
    // As clients of before named them.
    Route { pattern: "renew", endpoints: &[renewal("leases-renew-old")] },
    Route { pattern: "renew/{+url_lease_id}", endpoints: &[renewal("leases-renew-by-path-old")] },
    Route { pattern: "revoke", endpoints: &[revocation("leases-revoke-old")] },
    Route { pattern: "revoke/{+url_lease_id}", endpoints: &[revocation("leases-revoke-by-path-old")] },
    Route { pattern: "revoke-prefix/{+prefix}", endpoints: &[prefix_revocation("leases-revoke-prefix-old")] },
    Route { pattern: "revoke-force/{+prefix}", endpoints: &[prefix_revocation("leases-revoke-force-old")] },
    Route {
        pattern: "leases/tidy",
        endpoints: &[Endpoint::new(Verb::Write, "leases-tidy", "Sweep what has ended", |call| Box::pin(tidy(call)))],
    },
];

fn lease_id(call: &Call) -> Result<String> {
    let id = match call.capture("url_lease_id") {
        "" => call.parameters.text("lease_id")?.unwrap_or_default(),
        captured => captured.to_owned(),
    };
    if id.is_empty() { Err(Error::invalid("lease_id must be specified")) } else { Ok(id) }
}

async fn lookup(call: Call) -> Result<Answer> {
    let id = lease_id(&call)?;
    let lease = call.context.services.core.lease(call.context.caller.organization_id, &id).await?;
    let lease = lease.ok_or_else(|| Error::invalid("invalid lease"))?;
    Ok(Answer::data(json!({
        "id": lease.id,
        "path": lease.path,
        "issue_time": shown(lease.issue_time),
        "expire_time": shown(lease.expire_time),
        "last_renewal": lease.last_renewal.map(shown),
        "renewable": lease.renewable,
        "ttl": lease.ttl,
    })))
}

async fn list(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    Ok(Answer::keys(call.context.services.core.lease_keys(organization, call.capture("prefix")).await?))
}

/// Tokens are renewed by ways of their own, and no engine lends anything that can be renewed.
async fn renew(call: Call) -> Result<Answer> {
    let id = lease_id(&call)?;
    let lease = call.context.services.core.lease(call.context.caller.organization_id, &id).await?;
    let refused = match lease {
        None => "lease not found",
        Some(lease) if lease.is_token => "tokens cannot be renewed through this endpoint",
        Some(_) => "lease is not renewable",
    };
    Err(Error::invalid(refused))
}

async fn revoke(call: Call) -> Result<Answer> {
    let id = lease_id(&call)?;
    call.context.services.core.revoke_lease(&call.context.caller, &id).await?;
    Ok(Answer::nothing())
}

async fn revoke_prefix(call: Call) -> Result<Answer> {
    let prefix = call.capture("prefix").trim_matches('/');
    call.context.services.core.revoke_leases(&call.context.caller, prefix).await?;
    Ok(Answer::nothing())
}

async fn tidy(call: Call) -> Result<Answer> {
    call.context.services.core.tidy(&call.context.caller, "leases").await?;
    Ok(Answer::accepted(
        "Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",
    ))
}

/// A lease that ends in a database ends at once: none is ever left over.
async fn count(call: Call) -> Result<Answer> {
    Ok(match call.parameters.text("type")?.as_deref() {
        Some("irrevocable") => Answer::data(json!({ "lease_count": 0, "counts": Map::new() })),
        _ => Answer::nothing(),
    })
}

async fn irrevocable(call: Call) -> Result<Answer> {
    Ok(match call.parameters.text("type")?.as_deref() {
        Some("irrevocable") => Answer::data(json!({ "lease_count": 0, "leases": [] })),
        _ => Answer::nothing(),
    })
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

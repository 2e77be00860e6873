//! What clients ask of a cluster. Here all servers are equal, and each does all: there is no leader, no standby and no copy elsewhere.

use super::audit::expect_root;
use crate::app::Result;
use crate::http::VERSION;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Route, Shape, Verb};
use serde_json::json;

const fn replication(id: &'static str) -> Endpoint {
    Endpoint::new(Verb::Read, id, "Nothing is replicated but by PostgreSQL", |call| Box::pin(replicated(call)))
}

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "step-down",
        endpoints: &[Endpoint::new(Verb::Write, "step-down", "Recorded: there is no leader to step down", |call| {
            Box::pin(step_down(call))
        })],
    },
    Route {
        pattern: "ha-status",
        endpoints: &[Endpoint::new(Verb::Read, "ha-status", "This server, as the only one it knows of", |call| {
            Box::pin(nodes(call))
        })
        .shaped(Shape::Injected)],
    },
    Route { pattern: "replication/status", endpoints: &[replication("replication-status")] },
    Route { pattern: "replication/dr/status", endpoints: &[replication("replication-dr-status")] },
    Route { pattern: "replication/performance/status", endpoints: &[replication("replication-performance-status")] },
    Route {
        pattern: "license/status",
        endpoints: &[Endpoint::new(Verb::Read, "license-status", "No licence is needed", |call| {
            Box::pin(licensed(call))
        })],
    },
];

/// Whoever leads elsewhere lets another do it from now on; here nobody has more to do than the others.
async fn step_down(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let (core, caller) = (&call.context.services.core, &call.context.caller);
    let event = core.event(caller, "system.step_down", "system", ("server", None), "step_down");
    core.audit().append(event).await.map_err(clm_core::Error::Audit)?;
    Ok(Answer::nothing())
}

async fn nodes(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let hostname = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await.unwrap_or_default();
    Ok(Answer::data(json!({
        "nodes": [{
            "hostname": hostname.trim(),
            "api_address": call.state.api_address(),
            "cluster_address": "",
            "active_node": true,
            "last_echo": null,
            "version": VERSION,
        }],
    })))
}

async fn replicated(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Ok(Answer::data(json!({ "mode": "disabled" })))
}

async fn licensed(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Ok(Answer::data(json!({ "autoloading_used": false, "autoloaded": null, "persisted_autoload": null })))
}

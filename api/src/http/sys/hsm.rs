//! The HSM as it is now. Not in Vault.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use serde_json::{Value, json};

pub(super) async fn status(call: Call) -> Result<Answer> {
    let bridge = call.context.services.vault.bridge();
    let status = bridge.status();
    let worker = |worker: &keyvault::HsmWorker| {
        json!({
            "pid": worker.pid,
            "ready": worker.ready,
            "in_flight": worker.in_flight,
            "restarts": worker.restarts,
            "lane": if worker.slow { "slow" } else { "ordinary" },
        })
    };
    // The state is worth an answer also when the token is away.
    let token = match bridge.capabilities().await {
        Ok(token) => serde_json::to_value(token).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    Ok(Answer::data(json!({
        "locked": status.locked,
        "unavailable": status.unavailable,
        "workers": status.workers.iter().map(worker).collect::<Vec<_>>(),
        "token": token,
        "uptime_seconds": call.state.started.elapsed().as_secs(),
    })))
}

//! For load balancers and clients that are about to start.

use crate::app::seal::Phase;
use crate::app::{Error, Result};
use crate::http::VERSION;
use crate::http::answer::Answer;
use crate::http::call::AnyStateCall;
use hyper::StatusCode;
use serde_json::json;

/// 200 works, 501 waits for initialisation, 503 sealed or without its HSM; `…code` in the query says otherwise.
pub(super) async fn health(call: AnyStateCall) -> Result<Answer> {
    let phase = call.state.seal.phase();
    let code = |name: &str, usual: u16| -> std::result::Result<StatusCode, ()> {
        match call.parameters.value(name).map(|value| value.as_str().and_then(|text| text.parse().ok())) {
            None => StatusCode::from_u16(usual).map_err(|_| ()),
            Some(wanted) => StatusCode::from_u16(wanted.ok_or(())?).map_err(|_| ()),
        }
    };
    let codes = (code("activecode", 200), code("uninitcode", 501), code("sealedcode", 503), code("standbycode", 429));
    let (Ok(active), Ok(uninitialised), Ok(sealed), Ok(_)) = codes else {
        return Ok(Answer::status(StatusCode::BAD_REQUEST, json!({ "errors": [] })));
    };
    let works = phase == Phase::Unsealed;
    let hsm_is_away = works && !has_worker(&call);
    let status = match phase {
        Phase::Unsealed if hsm_is_away => sealed,
        Phase::Unsealed => active,
        Phase::Uninitialised => uninitialised,
        Phase::Opening(_) | Phase::Sealed => sealed,
    };
    let mode = if works { "disabled" } else { "unknown" };
    let mut body = json!({
        "initialized": phase.is_initialised(),
        "sealed": !works,
        "standby": !works,
        "performance_standby": false,
        "replication_performance_mode": mode,
        "replication_dr_mode": mode,
        "server_time_utc": server_time(),
        "version": VERSION,
    });
    if let Some(cluster_id) = call.state.seal.status().cluster_id {
        body["cluster_name"] = super::seal::CLUSTER_NAME.into();
        body["cluster_id"] = cluster_id.to_string().into();
    }
    // What Vault has no word for; clients ignore keys that they do not know.
    if let Phase::Opening(reason) = phase {
        body["waits_for"] = reason.into();
    } else if hsm_is_away {
        body["waits_for"] = "the HSM: no worker is logged in".into();
    }
    Ok(Answer::status(status, body))
}

fn has_worker(call: &AnyStateCall) -> bool {
    let Ok(services) = call.state.seal.services() else { return false };
    services.vault.bridge().status().workers.iter().any(|worker| worker.ready && !worker.slow)
}

/// Also before the databases are there.
#[expect(clippy::disallowed_methods, reason = "the machine's clock is what a monitor asks for here")]
fn server_time() -> i64 {
    chrono::Utc::now().timestamp()
}

pub(super) async fn leader(call: AnyStateCall) -> Result<Answer> {
    let _ = call;
    let body = json!({ "ha_enabled": false, "is_self": false, "leader_address": "", "leader_cluster_address": "" });
    Ok::<_, Error>(Answer::data(body))
}

//! Seal, unseal, and how far that is.

use crate::app::seal::{Phase, SealStatus};
use crate::app::{self, Error, Result};
use crate::http::VERSION;
use crate::http::answer::Answer;
use crate::http::call::{AnyStateCall, Call};
use crate::settings::SealKind;
use serde_json::{Value, json};

pub(super) const CLUSTER_NAME: &str = "clm";

pub(super) async fn status(call: AnyStateCall) -> Result<Answer> {
    Ok(Answer::data(shown(&call.state.seal.status())))
}

pub(super) async fn unseal(call: AnyStateCall) -> Result<Answer> {
    let seal = &call.state.seal;
    if call.parameters.flag("reset")?.unwrap_or(false) {
        seal.reset()?;
        return Ok(Answer::data(shown(&seal.status())));
    }
    let Some(key) = call.parameters.text("key")?.filter(|key| !key.is_empty()) else {
        return Err(Error::invalid("'key' must be specified in request body as JSON, or 'reset' set to true"));
    };
    let key = zeroize::Zeroizing::new(key);
    seal.unseal(&call.visitor().caller(), &key).await?;
    Ok(Answer::data(shown(&seal.status())))
}

pub(super) async fn seal(call: Call) -> Result<Answer> {
    app::seal::seal(&call.context, &call.state.seal).await?;
    Ok(Answer::nothing())
}

pub(super) fn kind_name(kind: SealKind) -> &'static str {
    match kind {
        SealKind::Pkcs11 => "pkcs11",
        SealKind::Shamir => "shamir",
    }
}

fn shown(status: &SealStatus) -> Value {
    let is_recovery = status.kind == SealKind::Pkcs11;
    let mut body = json!({
        "type": kind_name(status.kind),
        "initialized": status.phase.is_initialised(),
        "sealed": status.phase != Phase::Unsealed,
        "t": status.threshold,
        "n": status.shares,
        "progress": status.progress,
        "nonce": status.nonce,
        "version": VERSION,
        "build_date": "",
        "migration": false,
        "recovery_seal": is_recovery,
        "storage_type": "postgresql",
    });
    if is_recovery {
        body["recovery_seal_type"] = "shamir".into();
    }
    if let Some(cluster_id) = status.cluster_id {
        body["cluster_name"] = CLUSTER_NAME.into();
        body["cluster_id"] = cluster_id.to_string().into();
    }
    if let Phase::Opening(reason) = &status.phase {
        body["waits_for"] = reason.clone().into();
    }
    body
}

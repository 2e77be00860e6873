//! Initialisation.

use crate::app::initialise::{Wanted, initialise};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::AnyStateCall;
use crate::settings::SealKind;
use audit_chain::{Caller, Decided, Verdict};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) async fn status(call: AnyStateCall) -> Result<Answer> {
    Ok(Answer::data(json!({ "initialized": call.state.seal.phase().is_initialised() })))
}

pub(super) async fn init(call: AnyStateCall) -> Result<Answer> {
    let wanted = Wanted {
        root_token: None,
        secret_shares: strict(&call, "secret_shares")?,
        secret_threshold: strict(&call, "secret_threshold")?,
        recovery_shares: strict(&call, "recovery_shares")?,
        recovery_threshold: strict(&call, "recovery_threshold")?,
    };
    for name in ["pgp_keys", "recovery_pgp_keys", "root_token_pgp_key"] {
        let given = call
            .parameters
            .value(name)
            .is_some_and(|value| !matches!(value, Value::Array(keys) if keys.is_empty()) && value != "");
        if given {
            return Err(Error::invalid(format!("{name} is not supported by this server; nothing was initialised")));
        }
    }
    let caller = Caller {
        request_id: call.request_id,
        organization_id: clm_core::ROOT_ORGANIZATION,
        user_id: None,
        entity_id: None,
        accessor: "".into(),
        display_name: "system".into(),
        ip_address: call.peer.source,
        user_agent: call.user_agent.clone(),
        path: Arc::clone(&call.path),
        verdict: Some(Verdict::by(Decided::Open)),
        arrival: Some(Arc::clone(&call.arrival)),
    };
    let made = initialise(&call.state.settings, &call.state.seal, &caller, wanted).await?;
    let mut body = json!({
        "keys": made.keys.iter().map(hexed).collect::<Vec<_>>(),
        "keys_base64": made.keys.iter().map(base64ed).collect::<Vec<_>>(),
        "root_token": made.root_token.expose_secret(),
    });
    if call.state.seal.kind() == SealKind::Pkcs11 {
        body["recovery_keys"] = made.recovery_keys.iter().map(hexed).collect();
        body["recovery_keys_base64"] = made.recovery_keys.iter().map(base64ed).collect();
    }
    Ok(Answer::data(body))
}

/// Clients know this one endpoint to be strict about types.
fn strict(call: &AnyStateCall, name: &str) -> Result<Option<i64>> {
    match call.parameters.value(name) {
        None => Ok(None),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.as_i64()),
        Some(_) => Err(Error::invalid(format!("failed to decode JSON input: {name} must be a whole number"))),
    }
}

fn hexed(share: &Zeroizing<Vec<u8>>) -> Value {
    hex::encode(share.as_slice()).into()
}

fn base64ed(share: &Zeroizing<Vec<u8>>) -> Value {
    BASE64_STANDARD.encode(share.as_slice()).into()
}

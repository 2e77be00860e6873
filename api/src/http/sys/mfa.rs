//! `sys/mfa/`: the second step of a login that needs a second factor.

use super::field;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::auth_token::issued;
use crate::http::call::OpenCall;
use crate::http::table::{Endpoint, Kind, Parameter, Route};
use clm_core::{MfaValidation, PresentedFactor};
use serde_json::{Map, Value};

const VALIDATE: &[Parameter] = &[
    field("mfa_payload", Kind::Object, "Codes by method: its id, or its name").required(),
    field("mfa_request_id", Kind::Text, "As the login was told").required(),
];

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    pattern: "mfa/validate",
    endpoints: &[Endpoint::login(
        "mfa-validate",
        "A token for a login that waits, and the codes that it waits for",
        |call| Box::pin(validate(call)),
    )
    .with(VALIDATE)],
}];

async fn validate(call: OpenCall) -> Result<Answer> {
    let request_id = call.parameters.text("mfa_request_id")?.filter(|id| !id.is_empty());
    let request_id = request_id.ok_or_else(|| Error::invalid("missing mfa_request_id"))?;
    let payload = match call.parameters.value("mfa_payload") {
        Some(Value::Object(payload)) if !payload.is_empty() => presented(payload)?,
        _ => return Err(Error::invalid("missing mfa_payload: an object with a list of codes for each method")),
    };
    let validation = MfaValidation { request_id, presented: payload };
    let (made, warnings) = call.services.core.validate_mfa(&call.visitor(), validation).await?;
    Ok(issued(&made, warnings))
}

/// `{METHOD: [CODE]}`, also with the code alone; `passcode=` in front of it says nothing.
fn presented(payload: &Map<String, Value>) -> Result<Vec<PresentedFactor>> {
    let mut presented = Vec::new();
    for (method, codes) in payload {
        let code = match codes {
            Value::Array(codes) if codes.len() == 1 => codes[0].as_str(),
            Value::String(code) => Some(code.as_str()),
            _ => None,
        };
        let code = code.ok_or_else(|| Error::invalid("mfa_payload holds a list with one code for each method"))?;
        let code = code.strip_prefix("passcode=").unwrap_or(code);
        presented.push(PresentedFactor { method: method.clone(), code: code.into() });
    }
    Ok(presented)
}

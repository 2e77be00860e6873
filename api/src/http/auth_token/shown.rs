//! A token in an answer's `auth`.

use crate::http::answer::Answer;
use clm_core::{Admitted, IssuedToken, MfaRequirement, Token, Warning};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub(in crate::http) fn auth(
    token: &Token,
    client_token: &str,
    identity_policies: &[String],
    lease_duration: u64,
) -> Value {
    let mut policies: Vec<&String> = token.policies.iter().chain(identity_policies).collect();
    policies.sort_unstable();
    policies.dedup();
    let mut auth = json!({
        "client_token": client_token,
        "accessor": &*token.accessor,
        "policies": policies,
        "token_policies": token.policies,
        "metadata": token.meta,
        "lease_duration": lease_duration,
        "renewable": token.renewable,
        "entity_id": token.entity_id.map_or_else(String::new, |id| id.to_string()),
        "token_type": token.token_type(),
        "orphan": token.orphan,
        "mfa_requirement": null,
        "num_uses": token.num_uses,
    });
    if !identity_policies.is_empty() {
        auth["identity_policies"] = json!(identity_policies);
    }
    auth
}

/// The answer that gives somebody a token.
pub(in crate::http) fn issued(issued: &IssuedToken, warnings: Vec<Warning>) -> Answer {
    let IssuedToken { client_token, token, identity_policies } = issued;
    Answer::auth(auth(token, client_token.expose_secret(), identity_policies, token.creation_ttl))
        .about(token.accessor.to_string())
        .warn(warnings)
}

/// The answer to a login: a token, or what is needed beside.
pub(in crate::http) fn admitted(admitted: &Admitted, warnings: Vec<Warning>) -> Answer {
    match admitted {
        Admitted::Token(made) => issued(made, warnings),
        Admitted::Waits(told) => Answer::auth(waiting(told)).warn(warnings),
    }
}

fn waiting(told: &MfaRequirement) -> Value {
    let constraints = told.required.iter().map(|required| {
        let any = required
            .methods
            .iter()
            .map(|(id, name)| json!({"type": "totp", "id": id, "uses_passcode": true, "name": name}));
        (required.enforcement.clone(), json!({ "any": any.collect::<Vec<_>>() }))
    });
    json!({
        "client_token": "",
        "accessor": "",
        "policies": null,
        "token_policies": null,
        "identity_policies": null,
        "metadata": null,
        "lease_duration": 0,
        "renewable": false,
        "entity_id": "",
        "token_type": "default",
        "orphan": false,
        "mfa_requirement": {
            "mfa_request_id": told.request_id,
            "mfa_constraints": constraints.collect::<serde_json::Map<_, _>>(),
        },
        "num_uses": 0,
    })
}

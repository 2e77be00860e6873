//! A token in an answer's `auth`.

use clm_core::Token;
use serde_json::{Value, json};

pub(in crate::http) fn auth(token: &Token, client_token: &str, lease_duration: u64) -> Value {
    json!({
        "client_token": client_token,
        "accessor": &*token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": token.meta,
        "lease_duration": lease_duration,
        "renewable": token.renewable,
        "entity_id": "",
        "token_type": token.token_type(),
        "orphan": token.orphan,
        "mfa_requirement": null,
        "num_uses": token.num_uses,
    })
}

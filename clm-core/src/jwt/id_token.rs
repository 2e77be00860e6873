//! What an ID token must say beside what any token must (OpenID Connect Core 1.0, 3.1.3.7). Pure.

use super::claims::{self, Claims};
use super::role::JwtRole;
use serde_json::Value;
use subtle::ConstantTimeEq;

/// For whom and for which login it must be.
pub(super) struct Expected<'e> {
    pub(super) client_id: &'e str,
    pub(super) nonce: &'e str,
}

/// Whether it is one for that login at `now`, seconds since 1970. Signature and issuer were looked at.
pub(super) fn holds(claims: &Claims, expected: &Expected<'_>, role: &JwtRole, now: i64) -> Result<(), String> {
    if claims.get("exp").is_none_or(Value::is_null) {
        return Err("no expiration time (exp) claim in token".into());
    }
    claims::in_time(claims, role, now)?;
    let audience = claims::audience(claims)?;
    if !audience.contains(&expected.client_id) {
        return Err("invalid audience (aud) claim: it does not name this client".into());
    }
    match claims.get("azp") {
        None => {}
        Some(party) if party.as_str() == Some(expected.client_id) => {}
        Some(_) => return Err("invalid authorized party (azp) claim".into()),
    }
    if !role.bound_audiences.is_empty() {
        claims::for_us(claims, &role.bound_audiences)?;
    }
    let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err("invalid nonce".into());
    }
    if role.max_age > 0 {
        let logged_in = claims::time(claims, "auth_time")?;
        let oldest = i64::try_from(role.max_age).unwrap_or(i64::MAX).saturating_add(claims::skew(role));
        if logged_in == 0 || now.saturating_sub(logged_in) > oldest {
            return Err("the person logged in at the provider longer ago than max_age allows (auth_time)".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_token_is_for_this_client_and_this_login() {
        let expected = Expected { client_id: "me", nonce: "n_1" };
        let usual = JwtRole::default();
        let bound = JwtRole { bound_audiences: vec!["also".into()], ..JwtRole::default() };
        let recent = JwtRole { max_age: 100, ..JwtRole::default() };
        let good = json!({"aud": "me", "nonce": "n_1", "iat": 1000, "exp": 1100, "auth_time": 900});
        for (change, role, holding) in [
            (json!({}), &usual, true),
            (json!({"aud": ["them", "me"]}), &usual, true),
            (json!({"aud": ["them", "me"], "azp": "me"}), &usual, true),
            (json!({"aud": ["them", "me"], "azp": "them"}), &usual, false),
            (json!({"aud": "them"}), &usual, false),
            (json!({"aud": null}), &usual, false),
            (json!({}), &bound, false),
            (json!({"aud": ["me", "also"]}), &bound, true),
            (json!({"aud": ["also"]}), &bound, false),
            (json!({"nonce": "n_2"}), &usual, false),
            (json!({"nonce": null}), &usual, false),
            (json!({"exp": 900}), &usual, false),
            (json!({"exp": null}), &usual, false),
            (json!({}), &recent, true),
            (json!({"auth_time": 839}), &recent, false),
            (json!({"auth_time": null}), &recent, false),
        ] {
            let mut claims = good.as_object().expect("an object").clone();
            claims.extend(change.as_object().expect("an object").clone());
            assert_eq!(holds(&claims, &expected, role, 1000).is_ok(), holding, "{change}");
        }
    }
}

//! What a token says, and whether it says it now (RFC 7519, 4.1). Pure.

use super::role::JwtRole;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// For a token that says when it was issued, but not until when it is good, or the reverse: seconds.
const UNSAID: i64 = 150;
/// Clocks may differ by this, seconds.
const SKEW: i64 = 60;

pub(super) type Claims = Map<String, Value>;

/// A claim by its name, or, where the name begins with `/`, by JSON pointer (RFC 6901).
pub(super) fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    match name.strip_prefix('/') {
        None => claims.get(name),
        Some(rest) => {
            let (first, below) = rest.split_once('/').map_or((rest, None), |(first, below)| (first, Some(below)));
            let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
            match below {
                None => Some(value),
                Some(below) => value.pointer(&format!("/{below}")),
            }
        }
    }
}

/// Times as numbers; a fraction of a second does not count.
pub(super) fn time(claims: &Claims, name: &str) -> Result<i64, String> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => {
            let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
            seconds.ok_or_else(|| format!("{name} is no number"))
        }
    }
}

/// 0: the usual; below: none.
fn leeway(role: i64, usual: i64) -> i64 {
    match role {
        0 => usual,
        own => own.max(0),
    }
}

/// By how much clocks may differ, seconds.
pub(super) fn skew(role: &JwtRole) -> i64 {
    leeway(role.clock_skew_leeway, SKEW)
}

/// Whether it is good at `now`, seconds since 1970.
pub(super) fn in_time(claims: &Claims, role: &JwtRole, now: i64) -> Result<(), String> {
    let (issued, mut begins, mut ends) = (time(claims, "iat")?, time(claims, "nbf")?, time(claims, "exp")?);
    if issued == 0 && begins == 0 && ends == 0 {
        return Err("no issued at (iat), not before (nbf), or expiration time (exp) claims in token".into());
    }
    if ends == 0 {
        ends = issued.max(begins).saturating_add(leeway(role.expiration_leeway, UNSAID));
    }
    if begins == 0 {
        begins = if issued == 0 { ends.saturating_sub(leeway(role.not_before_leeway, UNSAID)) } else { issued };
    }
    let skew = skew(role);
    if now.saturating_add(skew) < begins {
        return Err("invalid not before (nbf) claim: token is not yet valid".into());
    }
    if now.saturating_sub(skew) >= ends {
        return Err("invalid expiration time (exp) claim: token is expired".into());
    }
    if issued != 0 && now.saturating_add(skew) < issued {
        return Err("invalid issued at (iat) claim: token is issued in the future".into());
    }
    Ok(())
}

/// Whom it is meant for (RFC 7519, 4.1.3).
pub(super) fn audience(claims: &Claims) -> Result<Vec<&str>, String> {
    match claims.get("aud") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(all)) => Ok(all.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err("invalid audience (aud) claim".into()),
    }
}

/// Whether it is meant for us: a token with an audience needs a role that names one of it.
pub(super) fn for_us(claims: &Claims, bound: &[String]) -> Result<(), String> {
    let audience = audience(claims)?;
    if bound.is_empty() {
        return if audience.is_empty() {
            Ok(())
        } else {
            Err("audience claim found in JWT but no audiences bound to the role".into())
        };
    }
    if audience.iter().any(|one| bound.iter().any(|bound| bound == one)) {
        return Ok(());
    }
    Err("invalid audience (aud) claim: audience claim does not match any bound audience".into())
}

/// The claim that names whoever comes.
pub(super) fn user(claims: &Claims, role: &JwtRole) -> Result<String, String> {
    let name = &role.user_claim;
    match claim(claims, name) {
        Some(Value::String(user)) if !user.is_empty() => Ok(user.clone()),
        Some(_) => Err(format!("claim {name:?} could not be converted to string")),
        None => Err(format!("claim {name:?} not found in token")),
    }
}

/// The groups that it names; `None`: the role asks for none.
pub(super) fn groups(claims: &Claims, role: &JwtRole) -> Result<Option<Vec<String>>, String> {
    let name = &role.groups_claim;
    if name.is_empty() {
        return Ok(None);
    }
    let refused = || format!("{name:?} claim could not be converted to string list");
    match claim(claims, name) {
        None => Err(format!("{name:?} claim not found in token")),
        Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
        Some(Value::Array(all)) => {
            let texts = all.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(refused));
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(refused()),
    }
}

/// Claims that become the token's metadata.
pub(super) fn mapped(claims: &Claims, role: &JwtRole) -> Result<BTreeMap<String, String>, String> {
    let mut mapped = BTreeMap::new();
    for (name, key) in &role.claim_mappings {
        match claim(claims, name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                mapped.insert(key.clone(), text.clone());
            }
            Some(_) => return Err(format!("error converting claim {name:?} to string")),
        }
    }
    Ok(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("an object") };
        claims
    }

    #[test]
    fn times_are_those_of_now_with_some_leeway() {
        let usual = JwtRole::default();
        let strict =
            JwtRole { clock_skew_leeway: -1, expiration_leeway: -1, not_before_leeway: -1, ..JwtRole::default() };
        for (value, role, good) in [
            (json!({"exp": 1100}), &usual, true),
            (json!({"exp": 941}), &usual, true),
            (json!({"exp": 940}), &usual, false),
            (json!({"exp": 999}), &strict, false),
            (json!({"exp": 1000}), &strict, false),
            (json!({"iat": 1, "exp": 1001}), &strict, true),
            (json!({"nbf": 1061, "exp": 2000}), &usual, false),
            (json!({"nbf": 1060, "exp": 2000}), &usual, true),
            (json!({"nbf": 1001, "exp": 2000}), &strict, false),
            (json!({"iat": 1061, "nbf": 1, "exp": 2000}), &usual, false),
            (json!({"iat": 900}), &usual, true),
            (json!({"iat": 700}), &usual, false),
            (json!({"iat": 1000}), &strict, false),
            (json!({"exp": 1300}), &usual, false),
            (json!({"exp": 1100.7}), &usual, true),
            (json!({}), &usual, false),
            (json!({"exp": "1100"}), &usual, false),
            (json!({"exp": i64::MAX}), &usual, false),
        ] {
            assert_eq!(in_time(&claims(value.clone()), role, 1000).is_ok(), good, "{value}");
        }
    }

    #[test]
    fn an_audience_must_be_one_that_the_role_names() {
        let bound = ["us".to_owned()];
        for (value, bound, good) in [
            (json!({}), &[][..], true),
            (json!({"aud": "us"}), &[][..], false),
            (json!({"aud": "us"}), &bound[..], true),
            (json!({"aud": ["them", "us"]}), &bound[..], true),
            (json!({"aud": ["them"]}), &bound[..], false),
            (json!({}), &bound[..], false),
            (json!({"aud": {"us": 1}}), &bound[..], false),
        ] {
            assert_eq!(for_us(&claims(value.clone()), bound).is_ok(), good, "{value}");
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let claims = claims(json!({"a": {"b": ["x", "y"]}, "c/d": "z", "https://x/groups": "g"}));
        assert_eq!(claim(&claims, "/a/b/1"), Some(&json!("y")));
        assert_eq!(claim(&claims, "/c~1d"), Some(&json!("z")));
        assert_eq!(claim(&claims, "https://x/groups"), Some(&json!("g")));
        assert_eq!(claim(&claims, "/a/c"), None);
    }

    proptest! {
        #[test]
        fn no_times_make_it_fall(iat in any::<Option<i64>>(), nbf in any::<Option<i64>>(), exp in any::<Option<f64>>(), now in any::<i64>(), skew in any::<i64>()) {
            let value = json!({"iat": iat, "nbf": nbf, "exp": exp});
            let _ = in_time(&claims(value), &JwtRole { clock_skew_leeway: skew, ..JwtRole::default() }, now);
        }
    }
}

//! Claims that a role demands. Pure.

use super::claims::{Claims, claim};
use serde_json::{Map, Value};

/// Whether each demanded claim has one of the values demanded. `glob`: demanded texts may hold `*`.
pub(super) fn holds(claims: &Claims, bound: &Map<String, Value>, glob: bool) -> Result<(), String> {
    for (name, wanted) in bound {
        let Some(actual) = claim(claims, name) else { return Err(format!("claim {name:?} is missing")) };
        let (wanted, actual) = (listed(wanted), listed(actual));
        let fits = actual.iter().any(|actual| wanted.iter().any(|wanted| matches(wanted, actual, glob)));
        if !fits {
            return Err(format!("claim {name:?} does not match any associated bound claim values"));
        }
    }
    Ok(())
}

fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        other => vec![other],
    }
}

fn matches(wanted: &Value, actual: &Value, glob: bool) -> bool {
    match (wanted, actual) {
        (Value::String(wanted), Value::String(actual)) if glob => pattern(wanted, actual),
        // Policies and roles often come with flags and numbers as text.
        (Value::String(wanted), Value::Bool(actual)) => *wanted == actual.to_string(),
        (wanted, actual) => wanted == actual,
    }
}

/// Whether a text fits a pattern in which each `*` stands for any text.
pub(crate) fn pattern(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("**", "x", true),
        ] {
            assert_eq!(super::pattern(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn each_demanded_claim_must_be_there_with_a_value_that_is_demanded() {
        let claims = json!({"sub": "me", "groups": ["a", "b"], "nested": {"deep": "x"}, "flag": true, "n": 3});
        let claims = claims.as_object().expect("an object");
        for (bound, glob, good) in [
            (json!({}), false, true),
            (json!({"sub": "me"}), false, true),
            (json!({"sub": ["you", "me"]}), false, true),
            (json!({"sub": "m*"}), false, false),
            (json!({"sub": "m*"}), true, true),
            (json!({"groups": ["b", "c"]}), false, true),
            (json!({"groups": ["c"]}), false, false),
            (json!({"/nested/deep": "x"}), false, true),
            (json!({"/nested/other": "x"}), false, false),
            (json!({"flag": true}), false, true),
            (json!({"flag": "true"}), false, true),
            (json!({"n": 3}), true, true),
            (json!({"n": "3"}), false, false),
            (json!({"sub": "me", "absent": "x"}), false, false),
            (json!({"sub": []}), false, false),
        ] {
            assert_eq!(holds(claims, bound.as_object().expect("an object"), glob).is_ok(), good, "{bound}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_was_made_of(parts in prop::collection::vec("[ab]{0,3}", 1..4), filling in "[abc]{0,3}") {
            prop_assert!(pattern(&parts.join("*"), &parts.join(&filling)));
        }
    }
}

//! What a rule says of a request's fields.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Allowed, denied and required fields. Names do not depend on case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) allowed: Option<BTreeMap<String, Vec<Value>>>,
    pub(crate) denied: BTreeMap<String, Vec<Value>>,
    pub(crate) required: Vec<String>,
}

impl Parameters {
    pub(crate) fn permit(&self, fields: &Map<String, Value>) -> bool {
        let has = |name: &String| fields.keys().any(|field| field.eq_ignore_ascii_case(name));
        if !self.required.iter().all(has) {
            return false;
        }
        if !fields.is_empty() && self.denied.contains_key("*") {
            return false;
        }
        fields.iter().all(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let denied = self.denied.get(&name).is_some_and(|values| values.is_empty() || among(values, value));
            let allowed = match &self.allowed {
                None => true,
                Some(allowed) => match allowed.get(&name).or_else(|| allowed.get("*")) {
                    None => false,
                    Some(values) => values.is_empty() || among(values, value),
                },
            };
            !denied && allowed
        })
    }
}

/// Types count (`1` is not `"1"`); texts may begin or end with `*`.
fn among(values: &[Value], value: &Value) -> bool {
    values.iter().any(|candidate| match (candidate, value) {
        (Value::String(pattern), Value::String(text)) => glob(pattern, text),
        _ => candidate == value,
    })
}

fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) if pattern.len() >= 2 => text.contains(&pattern[1..pattern.len() - 1]),
        (Some(suffix), _) => text.ends_with(suffix),
        (_, Some(prefix)) => text.starts_with(prefix),
        _ => pattern == text,
    }
}

//! `allowed_parameters`, `denied_parameters`, `required_parameters`.

use serde_json::{Map, Value};

/// What a rule says about the fields of a request. Names are lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ParameterRules {
    pub(super) allowed: Option<Vec<ValueRule>>,
    pub(super) denied: Option<Vec<ValueRule>>,
    pub(super) required: Vec<String>,
}

/// Values of one field; none: any.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueRule {
    pub(super) name: String,
    pub(super) values: Vec<Value>,
}

/// Any other name.
const ANY: &str = "*";

impl ParameterRules {
    pub(super) fn is_empty(&self) -> bool {
        self.allowed.is_none() && self.denied.is_none() && self.required.is_empty()
    }

    /// Whether a request with these fields may pass.
    pub(super) fn permit(&self, fields: &Map<String, Value>) -> bool {
        let has = |name: &String| fields.keys().any(|field| field.eq_ignore_ascii_case(name));
        if !self.required.iter().all(has) {
            return false;
        }
        fields.iter().all(|(name, value)| !self.denies(name, value) && self.allows(name, value))
    }

    fn denies(&self, name: &str, value: &Value) -> bool {
        let Some(denied) = &self.denied else { return false };
        find(denied, ANY).is_some() || find(denied, name).is_some_and(|rule| rule.holds(value))
    }

    fn allows(&self, name: &str, value: &Value) -> bool {
        let Some(allowed) = self.allowed.as_deref().filter(|allowed| !allowed.is_empty()) else { return true };
        match find(allowed, name) {
            Some(rule) => rule.holds(value),
            None => find(allowed, ANY).is_some(),
        }
    }

    /// Two statements on the same path: their union; of one name, the wider.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_values(&mut self.allowed, other.allowed.as_deref());
        merge_values(&mut self.denied, other.denied.as_deref());
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
    }
}

impl ValueRule {
    fn holds(&self, value: &Value) -> bool {
        self.values.is_empty() || self.values.iter().any(|pattern| matches(pattern, value))
    }
}

fn find<'r>(rules: &'r [ValueRule], name: &str) -> Option<&'r ValueRule> {
    rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(name))
}

fn merge_values(into: &mut Option<Vec<ValueRule>>, other: Option<&[ValueRule]>) {
    let Some(other) = other else { return };
    let Some(rules) = into else {
        *into = Some(other.to_vec());
        return;
    };
    for rule in other {
        match rules.iter_mut().find(|known| known.name == rule.name) {
            Some(known) if known.values.is_empty() || rule.values.is_empty() => known.values.clear(),
            Some(known) => known.values.extend(rule.values.iter().cloned()),
            None => rules.push(rule.clone()),
        }
    }
}

/// Texts may begin or end with `*`; numbers are compared as numbers; nothing else is converted.
fn matches(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), Value::String(text)) => match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            _ if pattern == "*" => true,
            (Some(inner), Some(_)) => text.contains(inner.strip_suffix('*').unwrap_or(inner)),
            (Some(end), None) => text.ends_with(end),
            (None, Some(start)) => text.starts_with(start),
            (None, None) => pattern == text,
        },
        (Value::Number(pattern), Value::Number(number)) => pattern == number || pattern.as_f64() == number.as_f64(),
        _ => pattern == value,
    }
}

//! Fields of a request, read as leniently as clients need: numbers and flags as text, lists as text with commas, `null` as
//! not there.

use super::body::kind;
use crate::app::{Error, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The fields, and what was taken from the path, which goes over them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    fields: Map<String, Value>,
}

impl Parameters {
    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self { fields }
    }

    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name)
    }

    /// The field as it came; `null` is none.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Text; numbers are taken as they are written.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        self.value(name).map(|value| text(name, value).map(Cow::into_owned)).transpose()
    }

    /// A flag.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.value(name).map(|value| flag(name, value)).transpose()
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>> {
        self.value(name).map(|value| integer(name, value)).transpose()
    }

    /// Seconds: a number, its text, or text like `1h30m`; an empty text is 0.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<i64>> {
        self.value(name).map(|value| seconds(name, value)).transpose()
    }

    /// Seconds that cannot be negative.
    pub(crate) fn lasting(&self, name: &str) -> Result<Option<u64>> {
        let refused = |_| Error::invalid(format!("'{name}' cannot be negative"));
        self.seconds(name)?.map(|seconds| u64::try_from(seconds).map_err(refused)).transpose()
    }

    /// Texts: an array, or one text with commas; blanks around them do not count.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<String>>> {
        self.value(name).map(|value| list(name, value)).transpose()
    }

    /// An object with texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => {
                let present = fields.iter().filter(|(_, value)| !value.is_null());
                present
                    .map(|(key, value)| Ok((key.clone(), text(name, value)?.into_owned())))
                    .collect::<Result<_>>()
                    .map(Some)
            }
            Some(Value::String(empty)) if empty.is_empty() => Ok(None),
            Some(other) => Err(refused(name, format_args!("expected a map, got {}", kind(other)))),
        }
    }

    /// An object, as parameters of its own.
    pub(crate) fn object(&self, name: &str) -> Result<Self> {
        match self.value(name) {
            None => Ok(Self::default()),
            Some(Value::Object(fields)) => Ok(Self::new(fields.clone())),
            Some(other) => Err(refused(name, format_args!("expected a map, got {}", kind(other)))),
        }
    }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<Cow<'v, str>> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Ok(Cow::Borrowed(if *flag { "1" } else { "0" })),
        other => Err(refused(name, format_args!("expected type 'string', got unconvertible type '{}'", kind(other)))),
    }
}

fn flag(name: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) if text.is_empty() => Ok(false),
        Value::String(text) => parse_flag(text)
            .ok_or_else(|| refused(name, format_args!("cannot parse value as 'bool': neither true nor false"))),
        other => Err(refused(name, format_args!("expected type 'bool', got unconvertible type '{}'", kind(other)))),
    }
}

/// `1 t T true TRUE True` and their contraries.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn integer(name: &str, value: &Value) -> Result<i64> {
    let parsed = match value {
        Value::Number(number) => number.as_i64(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| refused(name, format_args!("cannot parse value as 'int': no whole number")))
}

fn seconds(name: &str, value: &Value) -> Result<i64> {
    let parsed = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => parse_seconds(text.trim()),
        _ => None,
    };
    parsed.ok_or_else(|| refused(name, format_args!("no duration: seconds, or text like 1h30m")))
}

/// Seconds of `""`, `90`, `90s`, `1h30m`, `2d`, and of the same with `-`.
pub(crate) fn parse_seconds(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, amount) = text.strip_prefix('-').map_or((1, text), |amount| (-1, amount));
    let seconds = clm_core::access::parse_seconds(amount)?;
    Some(sign * i64::try_from(seconds).ok()?)
}

fn list(name: &str, value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(|value| Ok(text(name, value)?.trim().to_owned())).collect(),
        Value::Object(_) => Err(refused(name, format_args!("expected a list, got an object"))),
        other => {
            let text = text(name, other)?;
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(parts.map(str::to_owned).collect())
        }
    }
}

fn refused(name: &str, why: std::fmt::Arguments<'_>) -> Error {
    Error::Invalid(format!("Field validation failed: error converting input for field \"{name}\": {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parameters(value: Value) -> Parameters {
        let Value::Object(fields) = value else { panic!("an object") };
        Parameters::new(fields)
    }

    #[test]
    fn what_clients_send_is_understood() {
        let sent = parameters(json!({
            "n": "2", "m": 3, "z": "", "yes": "true", "one": 1, "no": "0", "gone": null, "csv": "a, b,,c", "array": ["a", 4],
            "ttl": "10m0s", "days": "2d", "bare": 3600, "negative": "-5s", "number": 12345678, "meta": {"a": 1, "b": "x", "c": null}
        }));
        assert_eq!(sent.integer("n").expect("read"), Some(2));
        assert_eq!(sent.integer("m").expect("read"), Some(3));
        assert_eq!(sent.integer("z").expect("read"), Some(0));
        assert_eq!(sent.flag("yes").expect("read"), Some(true));
        assert_eq!(sent.flag("one").expect("read"), Some(true));
        assert_eq!(sent.flag("no").expect("read"), Some(false));
        assert_eq!(sent.flag("z").expect("read"), Some(false));
        assert_eq!(sent.text("gone").expect("read"), None);
        assert_eq!(sent.text("absent").expect("read"), None);
        assert_eq!(sent.list("csv").expect("read"), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(sent.list("array").expect("read"), Some(vec!["a".into(), "4".into()]));
        assert_eq!(sent.seconds("ttl").expect("read"), Some(600));
        assert_eq!(sent.seconds("days").expect("read"), Some(172_800));
        assert_eq!(sent.seconds("bare").expect("read"), Some(3600));
        assert_eq!(sent.seconds("negative").expect("read"), Some(-5));
        assert_eq!(sent.text("number").expect("read").as_deref(), Some("12345678"));
        let meta = sent.texts("meta").expect("read").expect("there");
        assert_eq!(meta, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "x".into())]));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let sent = parameters(json!({"a": [1], "f": 2.0, "w": "maybe", "o": {}}));
        for refused in [
            sent.text("a").map(drop),
            sent.integer("f").map(drop),
            sent.integer("w").map(drop),
            sent.flag("w").map(drop),
            sent.seconds("w").map(drop),
            sent.list("o").map(drop),
            sent.texts("a").map(drop),
        ] {
            let text = refused.expect_err("must be refused").to_string();
            assert!(text.starts_with("Field validation failed: error converting input for field \""), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_the_same_as_its_text(number in any::<i64>()) {
            let sent = parameters(json!({"a": number, "b": number.to_string()}));
            prop_assert_eq!(sent.integer("a").expect("read"), Some(number));
            prop_assert_eq!(sent.integer("b").expect("read"), Some(number));
        }

        #[test]
        fn a_list_reads_the_same_as_its_text(items in prop::collection::vec("[a-z0-9]{1,6}", 1..6)) {
            let sent = parameters(json!({"a": items, "b": items.join(",")}));
            prop_assert_eq!(sent.list("a").expect("read"), sent.list("b").expect("read"));
        }

        #[test]
        fn no_text_makes_a_duration_fall(text in "\\PC{0,24}") {
            prop_assert!(parse_seconds(&text).is_none_or(|seconds| seconds.checked_abs().is_some()));
        }
    }
}

//! Inputs: one, or many in a batch.

use crate::app::{Error, Result};
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The items of a batch; `None`: the request is for one input.
pub(super) fn items(call: &Call) -> Result<Option<Vec<Map<String, Value>>>> {
    match call.parameters.value("batch_input") {
        None => Ok(None),
        Some(Value::Array(items)) if items.is_empty() => Err(Error::invalid("missing batch input to process")),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Object(fields) => Ok(fields.clone()),
                _ => Err(Error::invalid(format!("failed to parse batch input: '[{index}]' expected a map"))),
            })
            .collect::<Result<_>>()
            .map(Some),
        Some(_) => Err(Error::invalid("failed to parse batch input: source data must be an array or slice")),
    }
}

/// A text field of an item; numbers are taken as they are written.
pub(super) fn text<'i>(item: &'i Map<String, Value>, name: &str) -> Option<Cow<'i, str>> {
    match item.get(name)? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// The bytes of an item's `input`.
pub(super) fn input(item: &Map<String, Value>) -> Result<Vec<u8>, String> {
    decode(&text(item, "input").ok_or("missing input")?)
}

/// Standard base64 with padding; line ends inside do not count.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text: Cow<'_, str> =
        if text.contains(['\r', '\n']) { Cow::Owned(text.replace(['\r', '\n'], "")) } else { Cow::Borrowed(text) };
    BASE64_STANDARD.decode(text.as_bytes()).map_err(|error| {
        let offset = match error {
            base64::DecodeError::InvalidByte(offset, _) | base64::DecodeError::InvalidLastSymbol(offset, _) => offset,
            _ => text.len(),
        };
        format!("unable to decode input as base64: illegal base64 data at input byte {offset}")
    })
}

/// What every item's answer ends with.
pub(super) fn with_reference(mut answer: Map<String, Value>, item: &Map<String, Value>) -> Value {
    answer.insert("reference".into(), text(item, "reference").unwrap_or_default().into());
    Value::Object(answer)
}

//! Inputs: one, or many in a batch.

use crate::app::{Error, Result};
use crate::http::answer::{Answer, Fields};
use crate::http::body::kind;
use crate::http::call::Call;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The items of a batch, in their order; `None`: the request is for one input.
pub(super) type Items<'c> = Option<Vec<&'c Map<String, Value>>>;

/// One item whose fields must have the types that they are said to have: one that has not refuses the whole batch.
#[derive(Clone, Copy)]
pub(super) struct Item<'i> {
    pub(super) index: usize,
    pub(super) fields: &'i Map<String, Value>,
}

impl<'i> Item<'i> {
    /// All of a batch.
    pub(super) fn all(items: &[&'i Map<String, Value>]) -> impl Iterator<Item = Self> {
        items.iter().enumerate().map(|(index, fields)| Self { index, fields })
    }

    /// A text, which must be there; `null` is an empty one.
    pub(super) fn required(self, name: &str, missing: &str) -> Result<Cow<'i, str>> {
        self.text(name)?.ok_or_else(|| self.refused(name, missing))
    }

    /// A text; numbers are taken as they are written.
    pub(super) fn text(self, name: &str) -> Result<Option<Cow<'i, str>>> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(Cow::Borrowed(""))),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(other) => Err(self.wrong_type(name, "string", other)),
        }
    }

    /// A whole number; 0 where there is none.
    pub(super) fn integer(self, name: &str) -> Result<i64> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| self.wrong_type(name, "int", value)),
        }
    }

    fn wrong_type(self, name: &str, wanted: &str, value: &Value) -> Error {
        self.refused(name, &format!("expected type '{wanted}', got unconvertible type '{}'", kind(value)))
    }

    fn refused(self, name: &str, why: &str) -> Error {
        Error::invalid(format!("failed to parse batch input: '[{}].{name}' {why}", self.index))
    }
}

/// The items of a batch.
pub(super) fn items(call: &Call) -> Result<Items<'_>> {
    match call.parameters.value("batch_input") {
        None => Ok(None),
        Some(Value::Array(items)) if items.is_empty() => Err(Error::invalid("missing batch input to process")),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Object(fields) => Ok(fields),
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
pub(super) fn input(item: &Map<String, Value>, missing: &str) -> Result<Vec<u8>, String> {
    decode(&text(item, "input").ok_or(missing)?)
}

/// Base64 of what is signed, hashed or authenticated.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    base64(text).map_err(|reason| format!("unable to decode input as base64: {reason}"))
}

/// Standard base64 with padding; line ends inside do not count.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, String> {
    let text: Cow<'_, str> =
        if text.contains(['\r', '\n']) { Cow::Owned(text.replace(['\r', '\n'], "")) } else { Cow::Borrowed(text) };
    BASE64_STANDARD.decode(text.as_bytes()).map_err(|error| {
        let offset = match error {
            base64::DecodeError::InvalidByte(offset, _) | base64::DecodeError::InvalidLastSymbol(offset, _) => offset,
            _ => text.len(),
        };
        format!("illegal base64 data at input byte {offset}")
    })
}

/// An answer for each item, with its `reference`.
pub(super) fn answered(items: &[&Map<String, Value>], answers: impl IntoIterator<Item = Fields>) -> Answer {
    let with_reference = |(item, mut answer): (&&Map<String, Value>, Fields)| {
        answer.push(("reference", text(item, "reference").unwrap_or_default().into()));
        answer
    };
    Answer::batch(items.iter().zip(answers).map(with_reference).collect())
}

/// Which status tells that items failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureStatus {
    /// `partial_failure_response_code`, where it is one that an answer with a body can have.
    wanted: Option<StatusCode>,
    is_odd: bool,
}

impl FailureStatus {
    pub(super) fn read(call: &Call) -> Result<Self> {
        let Some(code) = call.parameters.integer("partial_failure_response_code")?.filter(|code| *code != 0) else {
            return Ok(Self { wanted: None, is_odd: false });
        };
        let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let wanted = status.filter(|status| status.canonical_reason().is_some() && !status.is_informational());
        Ok(Self { wanted, is_odd: wanted.is_none() })
    }

    /// 400 where something failed, or the status wanted where something did not.
    pub(super) fn of<T>(self, answer: Answer, results: &[Result<T, String>]) -> Answer {
        let failed = results.iter().filter(|result| result.is_err()).count();
        match self.wanted {
            _ if failed == 0 => answer,
            Some(wanted) if failed < results.len() => answer.with_status(wanted),
            _ => {
                let odd = "invalid HTTP response code override from partial_failure_response_code, reverting to 400";
                answer.with_status(StatusCode::BAD_REQUEST).warn(self.is_odd.then(|| odd.to_owned()))
            }
        }
    }
}

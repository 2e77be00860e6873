//! Bodies and queries: whatever real clients send, read as one JSON object.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Why there are no fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// The client went away.
    Cut,
    /// Neither a JSON object nor a form.
    Malformed(String),
    /// More than the limit.
    TooLarge,
}

/// The body, if it is not longer than `limit` bytes.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, BadBody> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    if announced <= limit as u64 {
        match Limited::new(&mut body, limit).collect().await {
            Ok(collected) => return Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(BadBody::Cut),
        }
    }
    discard(body, limit).await;
    Err(BadBody::TooLarge)
}

/// Reads on past the limit, and keeps nothing: many clients write all before they read, and to those an answer in the middle of their
/// writing looks like a broken connection. Only so far, though; then the connection is closed on them.
async fn discard(mut body: Incoming, limit: usize) {
    let mut left = limit;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

/// Fields of a body. Its content type matters only for what begins like no JSON; nothing and `null` are no fields; of a name
/// that comes twice the last counts.
pub(super) fn fields(body: &[u8], content_type: Option<&str>) -> Result<Map<String, Value>, BadBody> {
    let Some(first) = body.iter().find(|byte| !byte.is_ascii_whitespace()) else { return Ok(Map::new()) };
    let is_form = content_type.is_some_and(|text| text.trim_start().starts_with("application/x-www-form-urlencoded"));
    if is_form && !matches!(first, b'{' | b'[') {
        let text = std::str::from_utf8(body).map_err(|_| malformed("the form is not UTF-8"))?;
        return Ok(pairs(text.trim_end()));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(malformed(&format!("cannot take {} for an object", kind(&other)))),
        // The error says where, never what stands there.
        Err(error) => Err(malformed(&error.to_string())),
    }
}

/// Fields of a query or a form; of a name that comes more than once a list.
pub(super) fn pairs(text: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), Value::String(decoded(value)));
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(single) => *single = Value::Array(vec![single.take(), value]),
        }
    }
    fields
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn malformed(why: &str) -> BadBody {
    BadBody::Malformed(format!("failed to decode JSON input: {why}"))
}

/// What JSON calls it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");

    fn read(body: &str, content_type: Option<&str>) -> Value {
        Value::Object(fields(body.as_bytes(), content_type).expect("fields"))
    }

    #[test]
    fn json_is_read_under_any_content_type() {
        for content_type in [None, FORM, Some("text/plain"), Some("application/json; charset=utf-8"), Some("")] {
            assert_eq!(read(" {\"a\":1,\"a\":2}\n", content_type), json!({"a": 2}), "{content_type:?}");
            for nothing in ["", " \n", "null", "{}"] {
                // `null` under the form's type is a field called so.
                if !(nothing == "null" && content_type == FORM) {
                    assert_eq!(read(nothing, content_type), json!({}), "{nothing:?} {content_type:?}");
                }
            }
        }
    }

    #[test]
    fn forms_are_read() {
        assert_eq!(read("a=1&b=x%3D+y&a=2&c", FORM), json!({"a": ["1", "2"], "b": "x= y", "c": ""}));
    }

    #[test]
    fn everything_else_is_refused() {
        for body in ["{bad", "{\"a\":", "[1]", "\"s\"", "7", "true", "{} x", "{}{}", "a=1", "\u{feff}{}"] {
            let refused = fields(body.as_bytes(), None).expect_err(body);
            assert!(matches!(&refused, BadBody::Malformed(text) if text.starts_with("failed to decode JSON input: ")));
        }
        let deep = "[".repeat(100_000);
        assert!(fields(format!("{{\"a\":{deep}").as_bytes(), None).is_err());
    }

    proptest! {
        #[test]
        fn any_object_comes_back(names in prop::collection::btree_map("[a-z]{1,8}", any::<i64>(), 0..20)) {
            let text = serde_json::to_string(&names).expect("JSON");
            let read = fields(text.as_bytes(), FORM).expect("an object");
            prop_assert_eq!(read.len(), names.len());
            for (name, value) in names {
                prop_assert_eq!(&read[&name], &Value::from(value));
            }
        }

        #[test]
        fn no_bytes_make_it_fall(body in prop::collection::vec(any::<u8>(), 0..200), form in any::<bool>()) {
            // Whatever it is, it is fields or a refusal.
            drop(fields(&body, form.then_some("application/x-www-form-urlencoded")));
        }

        #[test]
        fn forms_come_back(value in "\\PC{0,30}") {
            let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(&pairs(&format!("a={encoded}"))["a"], &Value::String(value));
        }
    }
}

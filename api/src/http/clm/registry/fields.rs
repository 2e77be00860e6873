//! Fields of a request as JSON of their kinds, read as leniently as everywhere.

use crate::app::{Error, Result};
use crate::http::body::kind;
use crate::http::parameters::Parameters;
use crate::http::table::{Kind, Parameter};
use serde_json::{Map, Value};

/// Those that are there, of those that the endpoint knows.
pub(super) fn named(parameters: &Parameters, known: &[Parameter]) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for parameter in known {
        let name = parameter.name;
        let value = match parameter.kind {
            Kind::Boolean => parameters.flag(name)?.map(Value::from),
            // An empty text takes away; it is no number.
            Kind::Integer if parameters.value(name).is_some_and(|value| value == "") => Some(Value::from("")),
            Kind::Integer => parameters.integer(name)?.map(Value::from),
            Kind::List => parameters.list(name)?.map(Value::from),
            Kind::Text => parameters.text(name)?.map(Value::from),
            Kind::Object => json(parameters, name, Value::is_object, "an object")?,
            Kind::Objects => json(parameters, name, Value::is_array, "a list")?,
            Kind::Duration | Kind::Texts => None,
        };
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(fields)
}

/// Command lines send JSON as text.
fn json(parameters: &Parameters, name: &str, fits: fn(&Value) -> bool, what: &str) -> Result<Option<Value>> {
    let Some(value) = parameters.value(name) else { return Ok(None) };
    let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let value = parsed.unwrap_or_else(|| value.clone());
    if fits(&value) || value.as_str() == Some("") {
        return Ok(Some(value));
    }
    Err(Error::invalid(format!("{name} is {what}, not {}", kind(&value))))
}

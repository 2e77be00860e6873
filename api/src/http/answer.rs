//! Answers in Vault's shape: the envelope with its eight keys, errors, and what has neither.

use super::page::Page;
use super::table::{Endpoint, Shape};
use crate::app::Error;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY};
use hyper::{Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) type HttpResponse = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a handler gives back.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    status: StatusCode,
    accessor: Option<String>,
    lease_duration: u64,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Body {
    Nothing,
    Data(Value),
    Batch(Vec<Fields>),
    Auth(Value),
    Status(StatusCode, Value),
    Text(&'static str, String),
    Refused(Refusal),
}

/// The fields of one result of a batch, in their order.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// `data`; results of a batch are written as they are, without a map for each.
enum Data {
    Value(Value),
    Batch(Vec<Fields>),
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Results<'r>(&'r [Fields]);
        struct Item<'r>(&'r Fields);
        impl Serialize for Results<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(Item))
            }
        }
        impl Serialize for Item<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
            }
        }
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Batch(results) => serializer.collect_map([("batch_results", Results(results))]),
        }
    }
}

/// What a handler refuses in words of its own.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Status and sentence.
    Text(StatusCode, String),
    /// 404 without a body: what a patch was to change is not there.
    Absent,
    /// 404: no such path below this mount.
    UnsupportedPath,
    /// 405: not that with this path.
    UnsupportedOperation,
}

impl Answer {
    fn new(body: Body) -> Self {
        Self { body, status: StatusCode::OK, accessor: None, lease_duration: 0, warnings: Vec::new() }
    }

    /// Nothing to say: 204, or 404 for reads and lists.
    pub(crate) fn nothing() -> Self {
        Self::new(Body::Nothing)
    }

    /// `data`.
    pub(crate) fn data(data: impl Into<Value>) -> Self {
        Self::new(Body::Data(data.into()))
    }

    /// `data.batch_results`.
    pub(crate) fn batch(results: Vec<Fields>) -> Self {
        Self::new(Body::Batch(results))
    }

    /// `auth`.
    pub(crate) fn auth(auth: Value) -> Self {
        Self::new(Body::Auth(auth))
    }

    /// `data.keys`; no keys are nothing.
    pub(crate) fn keys(keys: Vec<String>) -> Self {
        if keys.is_empty() { Self::nothing() } else { Self::data(json!({ "keys": keys })) }
    }

    /// A body of its own under a status of its own.
    pub(crate) fn status(status: StatusCode, body: Value) -> Self {
        Self::new(Body::Status(status, body))
    }

    /// No JSON.
    pub(crate) fn text(content_type: &'static str, text: String) -> Self {
        Self::new(Body::Text(content_type, text))
    }

    /// Refused, in words of the handler's own.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self::new(Body::Refused(refusal))
    }

    /// With the accessor of what it tells, for `wrapped_accessor`.
    pub(crate) fn about(self, accessor: String) -> Self {
        Self { accessor: Some(accessor), ..self }
    }

    /// With how long the caller should think that it holds, seconds.
    pub(crate) fn lasting(self, lease_duration: u64) -> Self {
        Self { lease_duration, ..self }
    }

    /// `data` under another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Begun, and going on: 202 in the envelope.
    pub(crate) fn accepted(warning: &str) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::nothing() }.warn([warning.to_owned()])
    }

    /// With sentences for the caller.
    pub(crate) fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Of a list, that page; none of it is nothing.
    pub(super) fn paged(mut self, page: &Page) -> Self {
        let is_there = match &mut self.body {
            Body::Data(Value::Object(data)) => page.cut(data),
            _ => true,
        };
        if !is_there {
            self.body = Body::Nothing;
        }
        self
    }

    /// What goes into a wrapping token, and the accessor of what it tells; an answer that is never wrapped comes back.
    pub(super) fn into_wrapped(
        mut self,
        endpoint: &Endpoint,
        request_id: Uuid,
        ignored: &[String],
    ) -> Result<(Value, Option<String>), Box<Self>> {
        if endpoint.shape == Shape::Bare || self.status != StatusCode::OK {
            return Err(Box::new(self));
        }
        let (data, auth) = match self.body {
            Body::Data(data) => (Data::Value(data), Value::Null),
            Body::Batch(results) => (Data::Batch(results), Value::Null),
            Body::Auth(auth) => (Data::Value(Value::Null), auth),
            other => return Err(Box::new(Self { body: other, ..self })),
        };
        self.warnings.extend_from_slice(ignored);
        let (lease_duration, warnings, shape) = (self.lease_duration, self.warnings, endpoint.shape);
        let envelope = Envelope { request_id, lease_duration, data, auth, warnings, shape };
        Ok((json!(envelope), self.accessor))
    }

    /// What goes to the client. `ignored`: warnings that are worth no answer of their own.
    pub(super) fn render(mut self, endpoint: &Endpoint, request_id: Uuid, ignored: Vec<String>) -> HttpResponse {
        use super::table::Verb;
        let reads = matches!(endpoint.verb, Verb::Read | Verb::List);
        match self.body {
            Body::Nothing if self.warnings.is_empty() && reads => errors(StatusCode::NOT_FOUND, &[]),
            Body::Nothing if self.warnings.is_empty() => empty(StatusCode::NO_CONTENT),
            Body::Refused(Refusal::Text(status, text)) => errors(status, &[&text]),
            Body::Refused(Refusal::Absent) => empty(StatusCode::NOT_FOUND),
            Body::Refused(Refusal::UnsupportedPath) => wrapped(StatusCode::NOT_FOUND, "unsupported path"),
            Body::Refused(Refusal::UnsupportedOperation) => {
                wrapped(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")
            }
            Body::Text(content_type, text) => {
                respond(StatusCode::OK, HeaderValue::from_static(content_type), text.into())
            }
            Body::Status(status, _) if status == StatusCode::NO_CONTENT => empty(status),
            Body::Status(status, body) => json_response(status, &body),
            Body::Data(body) if endpoint.shape == Shape::Bare => json_response(StatusCode::OK, &body),
            body => {
                self.warnings.extend(ignored);
                let (data, auth) = match body {
                    Body::Data(data) => (Data::Value(data), Value::Null),
                    Body::Batch(results) => (Data::Batch(results), Value::Null),
                    Body::Auth(auth) => (Data::Value(Value::Null), auth),
                    _ => (Data::Value(Value::Null), Value::Null),
                };
                let (lease_duration, warnings, shape) = (self.lease_duration, self.warnings, endpoint.shape);
                json_response(self.status, &Envelope { request_id, lease_duration, data, auth, warnings, shape })
            }
        }
    }
}

/// The eight keys of Vault's answers; the fields of `data` beside them where clients look for them there too.
struct Envelope {
    request_id: Uuid,
    lease_duration: u64,
    data: Data,
    auth: Value,
    warnings: Vec<String>,
    shape: Shape,
}

impl Envelope {
    const KEYS: [&str; 8] =
        ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"];

    /// The fields of `data` that stand beside it.
    fn injected(&self) -> impl Iterator<Item = (&String, &Value)> {
        let data = match &self.data {
            Data::Value(data) if self.shape == Shape::Injected => data.as_object(),
            _ => None,
        };
        data.into_iter().flatten().filter(|(name, _)| !Self::KEYS.contains(&name.as_str()))
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("request_id", &self.request_id)?;
        map.serialize_entry("lease_id", "")?;
        map.serialize_entry("renewable", &false)?;
        map.serialize_entry("lease_duration", &self.lease_duration)?;
        map.serialize_entry("data", &self.data)?;
        map.serialize_entry("wrap_info", &())?;
        map.serialize_entry("warnings", &Some(&self.warnings).filter(|warnings| !warnings.is_empty()))?;
        map.serialize_entry("auth", &self.auth)?;
        for (name, value) in self.injected() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A refusal. What only the operator should know stays in the log.
pub(super) fn refuse(error: &Error) -> HttpResponse {
    let text = error.to_string();
    match error {
        Error::Denied | Error::Forbidden(_) | Error::Unauthenticated => errors(StatusCode::FORBIDDEN, &[&text]),
        Error::Disallowed(_) => wrapped(StatusCode::INTERNAL_SERVER_ERROR, &text),
        Error::NotFound(_) => errors(StatusCode::NOT_FOUND, &[&text]),
        Error::Invalid(_) => errors(StatusCode::BAD_REQUEST, &[&text]),
        Error::Internal(_) => errors(StatusCode::INTERNAL_SERVER_ERROR, &["internal error"]),
        Error::Operator(_) | Error::Tampered(_) => errors(StatusCode::INTERNAL_SERVER_ERROR, &[&text]),
        Error::Sealed => errors(StatusCode::SERVICE_UNAVAILABLE, &[&text]),
        Error::Unsupported(_) => errors(StatusCode::METHOD_NOT_ALLOWED, &[&text]),
        Error::TooMany(_) => errors(StatusCode::TOO_MANY_REQUESTS, &[&text]),
        Error::Unavailable(_) => {
            let mut response = errors(StatusCode::SERVICE_UNAVAILABLE, &[&text]);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

/// `{"errors":[…]}`.
pub(super) fn errors(status: StatusCode, texts: &[&str]) -> HttpResponse {
    json_response(status, &json!({ "errors": texts }))
}

/// As engines report what they do not know.
pub(super) fn wrapped(status: StatusCode, text: &str) -> HttpResponse {
    errors(status, &[&format!("1 error occurred:\n\t* {text}\n\n")])
}

/// An envelope with a warning and nothing else.
pub(super) fn warned(status: StatusCode, request_id: Uuid, warning: &str) -> HttpResponse {
    let envelope = Envelope {
        request_id,
        lease_duration: 0,
        data: Data::Value(Value::Null),
        auth: Value::Null,
        warnings: vec![warning.to_owned()],
        shape: Shape::Envelope,
    };
    json_response(status, &envelope)
}

/// No body.
pub(super) fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    common(&mut response);
    response
}

/// No JSON.
pub(super) fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    respond(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
}

pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, body)
        .expect("what answers are made of has a JSON form, and a Vec takes any bytes");
    bytes.push(b'\n');
    respond(status, JSON, bytes.into())
}

fn respond(status: StatusCode, content_type: HeaderValue, body: Bytes) -> HttpResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    common(&mut response);
    response
}

fn common(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
}

#[cfg(test)]
mod tests {
    use super::super::table::Verb;
    use super::*;
    use http_body_util::BodyExt;

    async fn shown(verb: Verb, shape: Shape, answer: Answer, ignored: &[&str]) -> (u16, Value) {
        let endpoint = Endpoint::new(verb, "t", "t", |_| Box::pin(async { Ok(Answer::nothing()) })).shaped(shape);
        let ignored = ignored.iter().map(|text| (*text).to_owned()).collect();
        let response = answer.render(&endpoint, Uuid::nil(), ignored);
        if response.status() != StatusCode::NO_CONTENT {
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        }
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn the_envelope_has_eight_keys_and_no_empty_warnings() {
        let (status, body) = shown(Verb::Read, Shape::Envelope, Answer::data(json!({"a": 1})), &[]).await;
        assert_eq!(status, 200);
        assert_eq!(
            body,
            json!({"request_id": Uuid::nil(), "lease_id": "", "renewable": false, "lease_duration": 0, "data": {"a": 1},
                "wrap_info": null, "warnings": null, "auth": null})
        );
        let (_, body) = shown(Verb::Read, Shape::Injected, Answer::data(json!({"a": 1, "auth": 2})), &[]).await;
        assert_eq!((&body["a"], &body["data"]["a"], &body["auth"]), (&json!(1), &json!(1), &Value::Null));
    }

    #[tokio::test]
    async fn nothing_is_204_or_404_and_a_warning_makes_it_200() {
        assert_eq!(shown(Verb::Write, Shape::Envelope, Answer::nothing(), &["ignored"]).await, (204, Value::Null));
        for verb in [Verb::Read, Verb::List] {
            assert_eq!(shown(verb, Shape::Envelope, Answer::nothing(), &[]).await, (404, json!({"errors": []})));
        }
        assert_eq!(shown(Verb::List, Shape::Envelope, Answer::keys(Vec::new()), &[]).await.0, 404);
        let (status, body) =
            shown(Verb::Write, Shape::Envelope, Answer::nothing().warn(["w".to_owned()]), &["ignored"]).await;
        assert_eq!((status, &body["data"], &body["warnings"]), (200, &Value::Null, &json!(["w", "ignored"])));
    }

    #[tokio::test]
    async fn what_the_operator_must_know_is_not_told_to_clients() {
        let response = refuse(&Error::Internal("secret detail".into()));
        let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}

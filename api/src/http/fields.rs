//! The fields of a request, and what is worth saying about them.

use super::answer::errors;
use super::body::{self, BadBody};
use super::dispatch::{Dispatch, Outcome};
use super::parameters::Parameters;
use super::request::Head;
use super::table::{Captures, Endpoint};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::{Map, Value};

impl Dispatch {
    /// Fields of the query for reads, lists and deletions, whose body is not looked at; else of the body.
    pub(super) async fn parameters(&self, head: &Head, body: Incoming) -> Outcome<Parameters> {
        if !head.verb.has_body() {
            return Ok(Parameters::new(head.query.clone()));
        }
        let fields = self.fields(head, body).await.map_err(|bad| match bad {
            BadBody::Cut => errors(StatusCode::BAD_REQUEST, &["the request's body did not arrive"]),
            BadBody::Malformed(text) => errors(StatusCode::BAD_REQUEST, &[&text]),
            BadBody::TooLarge => errors(StatusCode::PAYLOAD_TOO_LARGE, &["http: request body too large"]),
        })?;
        Ok(Parameters::new(fields))
    }

    async fn fields(&self, head: &Head, body: Incoming) -> Result<Map<String, Value>, BadBody> {
        let server = &self.state.settings.server;
        let read = body::read(body, server.max_request_bytes);
        let bytes: Bytes = tokio::time::timeout(server.request_timeout(), read).await.unwrap_or(Err(BadBody::Cut))?;
        body::fields(&bytes, head.content_type.as_deref())
    }
}

/// What is worth saying about fields; those that the path says already are taken out.
pub(super) fn warnings(endpoint: &Endpoint, captures: &Captures, parameters: &mut Parameters) -> Vec<String> {
    let mut warnings = Vec::new();
    if endpoint.takes_any_field() {
        return warnings;
    }
    let replaced: Vec<&str> =
        captures.iter().map(|(name, _)| *name).filter(|name| parameters.remove(name).is_some()).collect();
    let unknown = parameters.unknown_to(endpoint);
    if !unknown.is_empty() {
        warnings.push(format!("Endpoint ignored these unrecognized parameters: [{}]", unknown.join(" ")));
    }
    if !replaced.is_empty() {
        warnings.push(format!(
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [{}]",
            replaced.join(" ")
        ));
    }
    warnings
}

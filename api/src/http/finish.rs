//! An answer on its way out: as it is, or in a wrapping token.

use super::answer::{Answer, HttpResponse, json_response};
use super::dispatch::{Dispatch, Outcome};
use super::sys;
use super::table::{Endpoint, Verb};
use crate::app::{Services, wrapping};
use audit_chain::Caller;
use hyper::StatusCode;

/// For whom an answer may be wrapped, and for how long.
pub(super) struct Wrap<'w> {
    pub(super) services: &'w Services,
    pub(super) caller: &'w Caller,
    pub(super) ttl: Option<u64>,
}

impl Dispatch {
    /// The answer as it goes to the client: as it is, or in a wrapping token.
    pub(super) async fn finish(
        &self,
        endpoint: &'static Endpoint,
        answer: Answer,
        warnings: Vec<String>,
        wrap: Wrap<'_>,
    ) -> Outcome<HttpResponse> {
        match wrap.ttl {
            None => Ok(answer.render(endpoint, self.request_id, warnings)),
            // Boxed because few answers are wrapped, and every request would carry room for it.
            Some(ttl) => Box::pin(self.wrap(endpoint, answer, warnings, wrap, ttl)).await,
        }
    }

    async fn wrap(
        &self,
        endpoint: &'static Endpoint,
        answer: Answer,
        warnings: Vec<String>,
        wrap: Wrap<'_>,
        ttl: u64,
    ) -> Outcome<HttpResponse> {
        let (content, accessor) = match answer.into_wrapped(endpoint, self.request_id, &warnings) {
            Ok(content) => content,
            Err(answer) => return Ok(answer.render(endpoint, self.request_id, warnings)),
        };
        // As it was routed.
        let slash = if endpoint.verb == Verb::List { "/" } else { "" };
        let path = format!("{}{slash}", wrap.caller.path);
        let issued = wrapping::wrap(wrap.services, wrap.caller, &content, &path, ttl).await;
        let issued = issued.map_err(|error| self.refusal(&error))?;
        Ok(json_response(StatusCode::OK, &sys::wrapping_envelope(&issued, accessor)))
    }
}

//! What sees to it that each request is on record. One with a good token: where what it asked for left no record of how it ended, this does; handlers
//! only say why they refuse. One without: it is counted.

use super::answer::HttpResponse;
use super::call::OpenCall;
use super::dispatch::{Dispatch, OpenRoute, Outcome};
use super::request::Head;
use super::table::Verb;
use crate::app::{Context, Ended, Result, Services};
use crate::audit_device;
use audit_chain::{Caller, Decided, Verdict};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use std::sync::Arc;

/// Who asks, kept beside the request while it is carried out.
pub(super) struct Witness {
    pub(super) services: Services,
    /// With what was decided, once that is known.
    pub(super) caller: Caller,
    /// What the policies are asked.
    pub(super) action: &'static str,
}

impl Witness {
    pub(super) fn of(context: &Context, verb: Verb) -> Self {
        let action = verb.operation().name();
        Self { services: context.services.clone(), caller: context.caller.clone(), action }
    }

    /// Has the answer on record before it leaves. Where that cannot be, nothing is answered that was to be.
    pub(super) async fn tell(self, dispatch: &Dispatch, answered: Outcome<HttpResponse>) -> Outcome<HttpResponse> {
        let was_done = answered.is_ok();
        let response = answered.unwrap_or_else(|refused| *refused);
        let status = response.status();
        let (response, reason) = if has_failed(status) {
            let (response, reason) = reason(response).await;
            (response, Some(reason))
        } else {
            (response, None)
        };
        let ended = Ended { action: self.action, operation: dispatch.operation, status: status.as_u16(), reason };
        let recorded = self.services.record_request(&self.caller, ended);
        // Nothing was done, and what keeps the log may be what is away: nobody waits for it once more.
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(response);
        }
        match recorded.await {
            Ok(()) => Ok(response),
            Err(error) if was_done => Err(dispatch.refusal(&error)),
            Err(error) => {
                tracing::warn!(request_id = %dispatch.request_id, %error, "a refusal is not on record");
                Ok(response)
            }
        }
    }
}

impl Dispatch {
    /// Whether a record tells of how the request ended.
    pub(super) fn is_told(&self, answered: &Outcome<HttpResponse>) -> bool {
        self.arrival.is_told(has_failed(status(answered)))
    }

    /// Answers what asks for no token; what came to nothing is counted, unless a record tells of it.
    pub(super) async fn answer_without_token(
        &mut self,
        open: OpenRoute,
        head: Box<Head>,
        body: Incoming,
    ) -> Outcome<HttpResponse> {
        let path = Arc::clone(&head.path);
        let tells_state = open.0.endpoints.iter().any(|endpoint| endpoint.verb == head.verb && endpoint.tells_state());
        let answered = self.answer_open(open, head, body).await;
        if !tells_state {
            self.count_refused(&path, status(&answered));
        }
        answered
    }

    /// Counts it among requests without a good token where it was refused and no record tells of that.
    pub(super) fn count_refused(&self, path: &str, status: StatusCode) {
        if status.is_client_error()
            && !self.arrival.is_told(true)
            && let Ok(services) = self.state.seal.services()
        {
            services.core.note_unauthenticated(self.organization_id(), self.peer.source, path);
        }
    }
}

impl OpenCall {
    /// Has it on record that whoever showed a good token where none was needed was answered.
    pub(super) async fn record_answered(&self, context: &Context, operation: &'static str) -> Result<()> {
        let caller = Caller { verdict: Some(Verdict::by(Decided::Token)), ..context.caller.clone() };
        let action = self.verb.operation().name();
        let ended = Ended { action, operation, status: StatusCode::OK.as_u16(), reason: None };
        context.services.record_request(&caller, ended).await
    }
}

fn status(answered: &Outcome<HttpResponse>) -> StatusCode {
    answered.as_ref().map_or_else(|refused| refused.status(), Response::status)
}

fn has_failed(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// What the answer says of why, and the answer.
async fn reason(response: HttpResponse) -> (HttpResponse, String) {
    let (parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let text = audit_device::reason(&body, parts.status.as_u16());
    (Response::from_parts(parts, Full::new(body)), text)
}

//! What sees to it that each request with a good token is on record: where what it asked for left no record, this does.

use super::answer::HttpResponse;
use super::call::OpenCall;
use super::dispatch::{Dispatch, Outcome};
use super::table::Verb;
use crate::app::{Context, Ended, Result, Services};
use crate::audit_device;
use audit_chain::{Caller, Decided, Verdict};
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode};

/// Who asks, kept beside the request while it is carried out.
pub(super) struct Witness {
    pub(super) services: Services,
    /// With what was decided, once that is known.
    pub(super) caller: Caller,
    action: &'static str,
}

impl Witness {
    pub(super) fn of(context: &Context, verb: Verb) -> Self {
        let action = verb.operation().name();
        Self { services: context.services.clone(), caller: context.caller.clone(), action }
    }

    /// Whether a record tells of the request.
    pub(super) fn is_told(&self) -> bool {
        self.caller.arrival.as_ref().is_some_and(|arrival| arrival.is_told())
    }

    /// Has the answer on record before it leaves. Where that cannot be, nothing is answered that was to be.
    pub(super) async fn tell(self, dispatch: &Dispatch, answered: Outcome<HttpResponse>) -> Outcome<HttpResponse> {
        let was_done = answered.is_ok();
        let response = answered.unwrap_or_else(|refused| *refused);
        let status = response.status();
        // Nothing was done, and what keeps the log may be what is away.
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(Box::new(response));
        }
        let (response, reason) = if status.is_client_error() || status.is_server_error() {
            let (response, reason) = reason(response).await;
            (response, Some(reason))
        } else {
            (response, None)
        };
        let ended = Ended { action: self.action, operation: dispatch.operation, status: status.as_u16(), reason };
        match self.services.record_request(&self.caller, ended).await {
            Ok(()) => Ok(response),
            Err(error) if was_done => Err(dispatch.refusal(&error)),
            Err(error) => {
                tracing::warn!(request_id = %dispatch.request_id, %error, "a refusal is not on record");
                Ok(response)
            }
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

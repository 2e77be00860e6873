//! One request from its head to its answer: a task of its own, so that a client that goes away interrupts nothing half done and a
//! panic costs one answer.

use super::answer::{HttpResponse, empty, errors};
use super::call::Peer;
use super::cors;
use super::dispatch::{Dispatch, NO_OPERATION};
use super::request::{Head, correlation_id, echoed_namespace};
use super::trail::audited_headers;
use crate::app::system_settings::Loaded;
use crate::in_flight::UnderWay;
use crate::state::State;
use audit_chain::Arrival;
use clm_core::ROOT_ORGANIZATION;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Held by everything that must end before the service does.
pub(crate) type Held = mpsc::Sender<()>;

/// Answers one request.
pub(super) async fn serve(state: Arc<State>, request: Request<Incoming>, peer: Peer, held: Held) -> HttpResponse {
    let began = Instant::now();
    let source = peer.source;
    let request_id = Uuid::now_v7();
    let patience = state.settings.server.request_timeout();
    let metrics_state = Arc::clone(&state);
    let in_flight = state.metrics.begin();
    let task = tokio::spawn(async move {
        let answered = respond(state, request, peer, (request_id, began)).await;
        drop((in_flight, held));
        answered
    });
    let (response, operation) = match tokio::time::timeout(patience, task).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(failed)) => {
            // The panic's own message was logged where it happened.
            tracing::error!(%request_id, %failed, "a request fell");
            (errors(StatusCode::INTERNAL_SERVER_ERROR, &["internal error"]), NO_OPERATION)
        }
        Err(_) => {
            let text = "the request took longer than server.request_timeout_ms allows; it may still be carried out";
            (errors(StatusCode::SERVICE_UNAVAILABLE, &[text]), NO_OPERATION)
        }
    };
    let status = response.status().as_u16();
    metrics_state.metrics.answered(operation, status, began.elapsed());
    log(request_id, operation, status, source, began);
    response
}

async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
    peer: Peer,
    (request_id, began): (Uuid, Instant),
) -> (HttpResponse, &'static str) {
    let (parts, body) = request.into_parts();
    let settings = state.system.loaded();
    if let Some(response) = cors::before(&parts, settings.cors.as_ref()) {
        return (response, NO_OPERATION);
    }
    let head = match Head::read(&parts) {
        Ok(head) => head,
        Err(mut response) => {
            // Refused before anybody looked for a token.
            if let (Some(path), Ok(services)) = (parts.uri.path().strip_prefix("/v1/"), state.seal.services()) {
                services.core.note_unauthenticated(ROOT_ORGANIZATION, peer.source, path);
            }
            below_ui(&parts, &settings, &mut response);
            return (*response, NO_OPERATION);
        }
    };
    let bodiless = head.bodiless;
    let listing = Arc::clone(&state);
    let (method, path, source) = (head.verb.method(), Arc::clone(&head.path), peer.source);
    let _listed = listing.in_flight.list(request_id, UnderWay { began, method, path, source });
    let arrival = Arc::new(Arrival::new(began, correlation_id(&parts.headers)));
    let headers = audited_headers(&parts.headers, &settings);
    let mut dispatch = Dispatch {
        state,
        request_id,
        arrival,
        peer,
        operation: NO_OPERATION,
        headers,
        trail: None,
        verdict: None,
        namespace: None,
    };
    let mut response = dispatch.answer(Box::new(head), body).await;
    cors::after(&parts, settings.cors.as_ref(), &mut response);
    if bodiless {
        response = empty(response.status());
    }
    if let Some(namespace) = echoed_namespace(&parts) {
        response.headers_mut().insert("x-vault-namespace", namespace);
    }
    (response, dispatch.operation)
}

/// There is no interface for people; what answers in its place has the headers that were set for it.
fn below_ui(parts: &Parts, settings: &Loaded, response: &mut HttpResponse) {
    let path = parts.uri.path();
    if path == "/ui" || path.starts_with("/ui/") {
        for (name, values) in &settings.ui_headers {
            response.headers_mut().remove(name);
            for value in values {
                response.headers_mut().append(name, value.clone());
            }
        }
    }
}

/// What succeeds, the audit log tells.
fn log(request_id: Uuid, operation: &'static str, status: u16, source: Option<IpAddr>, began: Instant) {
    let source = source.map(tracing::field::display);
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(%request_id, operation, status, source, micros, "answered");
    } else {
        tracing::debug!(%request_id, operation, status, source, micros, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an async function of four arguments gives, in bytes.
    fn future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_carries_no_room_for_what_few_requests_do() {
        // It is copied and allocated for each request: what reads rows, or writes them, is boxed where it begins.
        let size = future(respond);
        assert!(size <= 4_096, "{size} bytes");
    }
}

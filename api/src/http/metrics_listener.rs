//! `metrics.listen`: counters for a Prometheus that has no token.

use super::answer::{HttpResponse, plain};
use super::sys;
use crate::state::State;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serves in the background until the process ends.
pub(crate) async fn start(state: Arc<State>, listen: SocketAddr) -> Result<()> {
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("metrics.listen = {listen} cannot be bound"))?;
    tracing::info!(address = %listener.local_addr().context("metrics.listen")?, "metrics");
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(&state, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "metrics connection");
                }
            });
        }
    });
    Ok(())
}

fn answer(state: &State, request: &Request<Incoming>) -> HttpResponse {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    let unsealed = state.seal.services().is_ok();
    state.metrics.observe_devices(&state.system.loaded().devices);
    let text = state.metrics.text(state.seal.opened_services().ok(), unsealed);
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(sys::METRICS_CONTENT_TYPE));
    response
}

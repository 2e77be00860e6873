//! `?help=1`: what a path offers.

use super::answer::{Answer, HttpResponse, wrapped};
use super::openapi;
use super::table::{Endpoint, Route, Verb};
use hyper::StatusCode;
use serde_json::json;
use uuid::Uuid;

/// What a route offers; none: there is no such path.
pub(super) fn of(route: Option<&'static Route>, path: &str) -> HttpResponse {
    use std::fmt::Write;
    let Some(route) = route else {
        return wrapped(StatusCode::NOT_FOUND, "unsupported path");
    };
    let mut text = format!("Request: {path}\nMatching Route: {}\n", route.pattern);
    for endpoint in route.endpoints {
        // Writing to a String does not fail.
        let _ = write!(text, "\n{}: {}\n", endpoint.verb.method(), endpoint.summary);
        for parameter in endpoint.parameters {
            let _ = writeln!(text, "    {} ({:?}): {}", parameter.name, parameter.kind, parameter.description);
        }
    }
    static HELP: Endpoint = Endpoint::open(Verb::Read, "help", "Help", |_| Box::pin(async { Ok(Answer::nothing()) }));
    Answer::data(json!({ "help": text, "openapi": openapi::of_route(route) })).render(&HELP, Uuid::nil(), Vec::new())
}

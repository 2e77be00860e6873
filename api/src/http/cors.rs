//! Requests of web pages of other origins (Fetch standard, 3.2): refused, unless `sys/config/cors` names their origin.

use super::answer::{HttpResponse, empty, errors};
use crate::app::system_settings::Cors;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// What clients of this API send.
const HEADERS: [&str; 9] = [
    "Content-Type",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Vault-Policy-Override",
    "Authorization",
];
const METHODS: &str = "DELETE, GET, OPTIONS, POST, PUT, LIST, PATCH";

/// Headers that pages may send.
pub(super) fn allowed_headers(cors: &Cors) -> impl Iterator<Item = &str> {
    HEADERS.into_iter().chain(["X-Vault-Token"]).chain(cors.allowed_headers.iter().map(String::as_str))
}

/// What a request that comes from a page is answered before anything else is looked at.
pub(super) fn before(parts: &Parts, cors: Option<&Cors>) -> Option<HttpResponse> {
    let cors = cors?;
    let origin = parts.headers.get(ORIGIN)?;
    if !allows(cors, origin) {
        return Some(errors(StatusCode::FORBIDDEN, &["origin not allowed"]));
    }
    if parts.method != Method::OPTIONS {
        return None;
    }
    let asked = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
    if !asked.is_some_and(|asked| METHODS.split(", ").any(|known| known == asked)) {
        return Some(errors(StatusCode::METHOD_NOT_ALLOWED, &[]));
    }
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
    let allowed = allowed_headers(cors).collect::<Vec<_>>().join(",");
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    Some(response)
}

/// Lets the page read the answer.
pub(super) fn after(parts: &Parts, cors: Option<&Cors>, response: &mut HttpResponse) {
    let Some((cors, origin)) = cors.zip(parts.headers.get(ORIGIN)) else { return };
    if allows(cors, origin) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    }
}

fn allows(cors: &Cors, origin: &HeaderValue) -> bool {
    cors.allowed_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
}

//! The head of a request: what is wanted, of which path, by whom.

use super::answer::{HttpResponse, empty, errors, plain};
use super::body::pairs;
use super::parameters::{parse_flag, parse_seconds};
use super::path::{BadPath, clean};
use super::table::Verb;
use clm_core::PresentedFactor;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Codes that are read of one request.
const MOST_FACTORS: usize = 8;

/// A head that could be understood.
pub(super) struct Head {
    pub(super) verb: Verb,
    /// Without `v1/`, decoded; of a LIST without its final `/`.
    pub(super) path: Arc<str>,
    /// HEAD: the answer goes without its body.
    pub(super) bodiless: bool,
    pub(super) help: bool,
    /// Fields of reads, lists and deletions.
    pub(super) query: Map<String, Value>,
    pub(super) token: Option<Arc<str>>,
    pub(super) user_agent: Option<Arc<str>>,
    pub(super) namespace: Option<String>,
    pub(super) content_type: Option<String>,
    /// Of each `X-Vault-MFA`.
    pub(super) mfa: Vec<PresentedFactor>,
    wrap_ttl: Option<String>,
}

/// What the client calls the work that the request is part of, without what has no place in a name.
pub(super) fn correlation_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let cut: String = text(headers, "x-correlation-id")?.chars().filter(char::is_ascii_graphic).take(128).collect();
    (!cut.is_empty()).then(|| cut.into())
}

/// `METHOD:CODE`, `METHOD:passcode=CODE`, as the reference's clients send it, or the code alone.
fn presented(header: &str) -> PresentedFactor {
    let (method, code) = header.rsplit_once(':').unwrap_or(("", header));
    let code = code.strip_prefix("passcode=").unwrap_or(code).trim();
    PresentedFactor { method: method.trim().to_owned(), code: code.into() }
}

fn second_factors(headers: &HeaderMap) -> Vec<PresentedFactor> {
    let texts = headers.get_all("x-vault-mfa").iter().filter_map(|header| header.to_str().ok());
    texts.take(MOST_FACTORS).map(presented).collect()
}

/// `None`: the root, by any of its names. What is no text is the name of none.
fn namespace(headers: &HeaderMap) -> Option<String> {
    let name = headers.get("x-vault-namespace")?.to_str().unwrap_or("\u{fffd}");
    (!matches!(name.trim_matches('/'), "" | "root")).then(|| name.to_owned())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// `X-Vault-Token`, also when it is the wrong one of two; else a bearer token.
fn token(headers: &HeaderMap) -> Option<Arc<str>> {
    if let Some(token) = headers.get("x-vault-token").filter(|token| !token.is_empty()) {
        return token.to_str().ok().map(Arc::from);
    }
    let bearer = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
    (!bearer.is_empty()).then(|| Arc::from(bearer))
}

impl Head {
    pub(super) fn read(parts: &Parts) -> Result<Self, Box<HttpResponse>> {
        let raw = parts.uri.path();
        let head = parts.method == Method::HEAD;
        if parts.method == Method::OPTIONS {
            return Err(Box::new(errors(StatusCode::BAD_REQUEST, &["cross-origin requests are not enabled"])));
        }
        let path = clean(raw).map_err(|bad| match bad {
            BadPath::Relative => errors(StatusCode::BAD_REQUEST, &["relative paths not supported"]),
            BadPath::Unprintable => empty(StatusCode::BAD_REQUEST),
        })?;
        let below = match path.strip_prefix("v1/") {
            Some(below) => below,
            None if path.is_empty() || path == "ui" || path.starts_with("ui/") => {
                return Err(Box::new(plain(StatusCode::NOT_FOUND, "404 page not found\n")));
            }
            None => return Err(Box::new(errors(StatusCode::NOT_FOUND, &[]))),
        };
        if head && below != "sys/health" {
            return Err(Box::new(empty(StatusCode::METHOD_NOT_ALLOWED)));
        }
        let mut query = parts.uri.query().map(pairs).unwrap_or_default();
        let help = query.shift_remove("help").is_some_and(|value| value.as_str().and_then(parse_flag) == Some(true));
        let verb = verb(&parts.method, &parts.headers, &mut query, below)?;
        let path = if verb == Verb::List { below.strip_suffix('/').unwrap_or(below) } else { below };
        Ok(Self {
            verb,
            path: Arc::from(path),
            bodiless: head,
            help,
            query,
            token: token(&parts.headers),
            user_agent: parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).map(cut),
            namespace: namespace(&parts.headers),
            mfa: second_factors(&parts.headers),
            content_type: text(&parts.headers, CONTENT_TYPE.as_str()).map(str::to_owned),
            wrap_ttl: text(&parts.headers, "x-vault-wrap-ttl").map(str::to_owned),
        })
    }

    /// For how long the answer is to be wrapped, seconds; `None`: not at all.
    pub(super) fn wrap_ttl(&self) -> Result<Option<u64>, Box<HttpResponse>> {
        match self.wrap_ttl.as_deref().map(|text| parse_seconds(text.trim()).and_then(|ttl| u64::try_from(ttl).ok())) {
            None | Some(Some(0)) => Ok(None),
            Some(Some(seconds)) if i32::try_from(seconds).is_ok() => Ok(Some(seconds)),
            Some(_) => Err(Box::new(errors(
                StatusCode::BAD_REQUEST,
                &["error parsing X-Vault-Wrap-TTL header: no duration between 0 and 68 years"],
            ))),
        }
    }
}

fn verb(
    method: &Method,
    headers: &HeaderMap,
    query: &mut Map<String, Value>,
    path: &str,
) -> Result<Verb, Box<HttpResponse>> {
    match method.as_str() {
        "GET" | "HEAD" => match query.shift_remove("list") {
            None => Ok(Verb::Read),
            Some(value) => match value.as_str().and_then(parse_flag) {
                Some(true) => Ok(Verb::List),
                Some(false) => Ok(Verb::Read),
                None => Err(Box::new(errors(StatusCode::BAD_REQUEST, &[]))),
            },
        },
        "LIST" => {
            query.shift_remove("list");
            Ok(Verb::List)
        }
        "PATCH" => {
            expect_merge_patch(headers)?;
            writing(Verb::Patch, path)
        }
        "POST" | "PUT" => writing(Verb::Write, path),
        "DELETE" => Ok(Verb::Delete),
        _ => Err(Box::new(errors(StatusCode::METHOD_NOT_ALLOWED, &[]))),
    }
}

fn writing(verb: Verb, path: &str) -> Result<Verb, Box<HttpResponse>> {
    if path.ends_with('/') {
        return Err(Box::new(errors(StatusCode::BAD_REQUEST, &["cannot write to a path ending in '/'"])));
    }
    Ok(verb)
}

/// The content type of a patch is looked at before its path, as clients are used to.
fn expect_merge_patch(headers: &HeaderMap) -> Result<(), Box<HttpResponse>> {
    const MERGE_PATCH: &str = "application/merge-patch+json";
    match text(headers, CONTENT_TYPE.as_str()).map(|text| text.split(';').next().unwrap_or_default().trim()) {
        None | Some("") => Err(Box::new(errors(StatusCode::BAD_REQUEST, &["mime: no media type"]))),
        Some(MERGE_PATCH) => Ok(()),
        Some(other) => Err(Box::new(errors(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &[&format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {other}")],
        ))),
    }
}

fn cut(agent: &str) -> Arc<str> {
    agent.chars().filter(|character| !character.is_control()).take(256).collect::<String>().into()
}

/// The namespace of a request, for the header that echoes it.
pub(super) fn echoed_namespace(parts: &Parts) -> Option<hyper::header::HeaderValue> {
    let value = parts.headers.get("x-vault-namespace")?;
    let name = value.to_str().ok()?;
    // Decoded for nothing but to see that it is text.
    percent_decode_str(name).decode_utf8().is_ok().then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use secrecy::ExposeSecret;

    fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Head, u16> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        Head::read(&parts).map_err(|response| response.status().as_u16())
    }

    #[test]
    fn methods_become_verbs() {
        for (method, path, verb) in [
            ("GET", "/v1/a/b", Verb::Read),
            ("HEAD", "/v1/sys/health", Verb::Read),
            ("LIST", "/v1/a/b", Verb::List),
            ("LIST", "/v1/a/b/?list=false", Verb::List),
            ("GET", "/v1/a/b?list=True", Verb::List),
            ("GET", "/v1/a/b?list=0", Verb::Read),
            ("POST", "/v1/a/b?list=true", Verb::Write),
            ("PUT", "/v1/a/b", Verb::Write),
            ("DELETE", "/v1/a/b", Verb::Delete),
        ] {
            assert_eq!(head(method, path, &[]).map(|head| head.verb), Ok(verb), "{method} {path}");
        }
        for (method, path, status) in [
            ("HEAD", "/v1/a/b", 405),
            ("FOO", "/v1/a/b", 405),
            ("OPTIONS", "/v1/a/b", 400),
            ("PATCH", "/v1/a/b", 400),
            ("GET", "/v1/a?list=abc", 400),
            ("POST", "/v1/a/", 400),
            ("GET", "/v1", 404),
            ("GET", "/v2/x", 404),
            ("GET", "/ui/x", 404),
            ("GET", "/v1/%2e%2e/a", 400),
        ] {
            assert_eq!(head(method, path, &[]).err(), Some(status), "{method} {path}");
        }
        let patched = |content_type| head("PATCH", "/v1/a/b", &[("content-type", content_type)]).map(|head| head.verb);
        assert_eq!(patched("application/merge-patch+json; charset=utf-8"), Ok(Verb::Patch));
        assert_eq!(patched("application/json"), Err(415));
    }

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        let token = |headers: &[(&str, &str)]| head("GET", "/v1/a", headers).ok().and_then(|head| head.token);
        assert_eq!(token(&[("X-Vault-Token", "t")]).as_deref(), Some("t"));
        assert_eq!(token(&[("Authorization", "Bearer t")]).as_deref(), Some("t"));
        assert_eq!(token(&[("Authorization", "Bearer good"), ("X-Vault-Token", "bad")]).as_deref(), Some("bad"));
        for none in ["bearer t", "Basic t", "Bearer "] {
            assert_eq!(token(&[("Authorization", none)]), None, "{none}");
        }
    }

    #[test]
    fn a_second_factor_is_read_as_clients_send_it() {
        for (header, method) in [
            ("123456", ""),
            ("totp:123456", "totp"),
            ("a1b2-c3:passcode=123456", "a1b2-c3"),
            ("passcode=123456", ""),
            (" totp: 123456 ", "totp"),
        ] {
            let read = head("GET", "/v1/a", &[("X-Vault-MFA", header)]).unwrap_or_else(|status| panic!("{status}"));
            let read: Vec<_> = read.mfa.iter().map(|mfa| (mfa.method.as_str(), mfa.code.expose_secret())).collect();
            assert_eq!(read, [(method, "123456")], "{header}");
        }
        let both = [("X-Vault-MFA", "one:1"), ("X-Vault-MFA", "other:2")];
        assert_eq!(head("GET", "/v1/a", &both).map(|head| head.mfa.len()), Ok(2));
    }

    #[test]
    fn the_root_namespace_has_many_names_and_what_is_no_text_is_none_of_them() {
        for name in ["", "/", "root", "root/"] {
            let head = head("GET", "/v1/a", &[("X-Vault-Namespace", name)]).unwrap_or_else(|status| panic!("{status}"));
            assert_eq!(head.namespace, None, "{name}");
        }
        for (name, read) in [("ns1", "ns1"), ("ä", "\u{fffd}")] {
            let head = head("GET", "/v1/a", &[("X-Vault-Namespace", name)]).unwrap_or_else(|status| panic!("{status}"));
            assert_eq!(head.namespace.as_deref(), Some(read));
        }
    }

    #[test]
    fn a_time_for_wrapping_is_read_as_clients_write_it() {
        let asked = |value: &str| {
            let head = head("GET", "/v1/a", &[("X-Vault-Wrap-Ttl", value)]).unwrap_or_else(|status| panic!("{status}"));
            head.wrap_ttl().map_err(|response| response.status().as_u16())
        };
        for (value, ttl) in
            [("0", None), ("0s", None), ("60", Some(60)), ("60s", Some(60)), ("1m0s", Some(60)), ("1h30m", Some(5400))]
        {
            assert_eq!(asked(value), Ok(ttl), "{value}");
        }
        for value in ["-1", "abc", "99999999999"] {
            assert_eq!(asked(value), Err(400), "{value}");
        }
    }
}

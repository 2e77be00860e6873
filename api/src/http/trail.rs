//! What a request meets besides its handler: rate limits, and the audit devices that it and its answer are told to.

use super::answer::{HttpResponse, errors, refuse};
use super::dispatch::Dispatch;
use super::request::Head;
use super::table::Verb;
use crate::app::system_settings::Loaded;
use crate::app::{Context, Error, Services};
use crate::audit_device::{Answered, Asked, AskedBy, AuditDevice, Delivery, MountPoint};
use crate::quota::{Verdict, is_never_limited};
use audit_chain::without_tokens;
use chrono::{DateTime, Utc};
use clm_core::{Mount, MountClass, ROOT_ORGANIZATION};
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Values of headers by their names, and whether devices are told only their HMAC.
pub(super) type AuditedHeaders = BTreeMap<String, (Vec<String>, bool)>;

/// A request that devices were told, and whose answer they will be.
pub(super) struct Trail {
    devices: Vec<Arc<AuditDevice>>,
    asked: Arc<Asked>,
    services: Services,
}

/// What is known of a request when devices are told.
pub(super) struct Seen<'s> {
    pub(super) head: &'s Head,
    pub(super) mount: Option<&'s Mount>,
    pub(super) fields: &'s Map<String, Value>,
    pub(super) wrap_ttl: Option<u64>,
    /// Who asks, and whether he may.
    pub(super) by: Option<(&'s Context, bool)>,
    /// It will be refused, with these words.
    pub(super) refused: Option<&'s str>,
}

/// How devices are told of a request that nobody allows.
pub(super) const DENIED: &str = "permission denied";

/// Those of the headers that devices are told.
pub(super) fn audited_headers(headers: &HeaderMap, loaded: &Loaded) -> AuditedHeaders {
    let told = loaded.audited_headers.iter().filter(|(name, _)| headers.contains_key(name.as_str()));
    told.map(|(name, hidden)| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (name.clone(), (values.collect(), *hidden))
    })
    .collect()
}

impl Dispatch {
    /// Counts the request; one too many is refused.
    pub(super) async fn limit(&mut self, head: &Head) -> Result<(), Box<HttpResponse>> {
        let Ok(services) = self.state.seal.services() else { return Ok(()) };
        if is_never_limited(&head.path) {
            return Ok(());
        }
        // Limits name what is in a namespace with its path in front.
        let whole = self.namespace.as_ref().map(|namespace| format!("{}{}", namespace.path, head.path));
        let path = whole.as_deref().unwrap_or(&head.path);
        let (verdict, shown, told) = {
            let settings = self.state.system.current(services).await.map_err(|error| self.refusal(&error))?;
            let configuration = &settings.quotas.configuration;
            let Some(verdict) = settings.quotas.take(path, self.peer.source, Instant::now()) else { return Ok(()) };
            let shown = configuration.enable_rate_limit_response_headers;
            (verdict, shown, configuration.enable_rate_limit_audit_logging && !settings.devices.is_empty())
        };
        if verdict.allowed {
            self.verdict = shown.then_some(verdict);
            return Ok(());
        }
        tracing::debug!(request_id = %self.request_id, path, "rate limit quota exceeded");
        services.core.note_limited(self.organization_id(), self.peer.source, &head.path);
        let text = format!("request path {path:?}: rate limit quota exceeded");
        if told {
            let services = services.clone();
            let mount = services.core.resolve(self.organization_id(), &head.path).map(|(mount, _)| mount);
            // Its body is not read: the limit is there to save such work.
            let (mount, fields) = (mount.as_deref(), &head.query);
            let seen = Seen { head, mount, fields, wrap_ttl: None, by: None, refused: Some(&text) };
            self.tell_request(&services, seen).await?;
        }
        let mut response = errors(StatusCode::TOO_MANY_REQUESTS, &[&text]);
        response.headers_mut().insert(RETRY_AFTER, number(seconds(verdict)));
        if shown {
            tell_limit(verdict, &mut response);
        }
        Err(Box::new(response))
    }

    /// Tells the devices of the request before anything is done; a required one that does not take it ends it here.
    pub(super) async fn tell_request(&mut self, services: &Services, seen: Seen<'_>) -> Result<(), Box<HttpResponse>> {
        let devices = {
            let settings = self.state.system.current(services).await.map_err(|error| self.refusal(&error))?;
            if settings.devices.is_empty() {
                return Ok(());
            }
            settings.devices.clone()
        };
        let asked = Arc::new(self.asked(services.now(), seen));
        let trail = Trail { devices, asked: Arc::clone(&asked), services: services.clone() };
        trail.tell(&Delivery::Request(asked)).await.map_err(|error| self.refusal(&error))?;
        self.trail = Some(Box::new(trail));
        Ok(())
    }

    fn asked(&mut self, time: DateTime<Utc>, seen: Seen<'_>) -> Asked {
        let Seen { head, mount, fields, wrap_ttl, by, refused } = seen;
        Asked {
            id: self.request_id,
            time,
            operation: match head.verb {
                Verb::Delete => "delete",
                Verb::List => "list",
                Verb::Patch => "patch",
                Verb::Read => "read",
                Verb::Write => "update",
            },
            namespace: self.namespace.clone(),
            path: without_tokens(&head.path).into(),
            mount: mount.map(mount_point),
            fields: fields.clone(),
            token: head.token.clone(),
            source: self.peer.source,
            wrap_ttl,
            headers: std::mem::take(&mut self.headers),
            refused: refused.map(str::to_owned),
            by: by.map(|(context, allowed)| {
                let (token, persona) = (&context.authority.token, context.authority.persona.as_ref());
                AskedBy {
                    accessor: Arc::clone(&token.accessor),
                    display_name: Arc::clone(&token.display_name),
                    policies: token.policies.clone(),
                    entity_id: token.entity_id,
                    identity_policies: persona.map_or_else(Vec::new, |persona| persona.policies()),
                    metadata: token.meta.clone(),
                    token_type: token.token_type(),
                    ttl: token.ttl(time),
                    issue_time: token.creation_time,
                    allowed,
                    home: Some(token.organization_id).filter(|id| *id != ROOT_ORGANIZATION),
                    rule: context.caller.verdict.as_ref().and_then(|verdict| verdict.rule.clone()),
                }
            }),
        }
    }
}

impl Trail {
    /// Tells the devices of the answer; a required one that does not take it takes its place.
    pub(super) async fn answered(self, response: HttpResponse) -> HttpResponse {
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let answered = Answered {
            asked: Arc::clone(&self.asked),
            time: self.services.now(),
            status: parts.status.as_u16(),
            body: body.clone(),
        };
        match self.tell(&Delivery::Answer(Arc::new(answered))).await {
            Ok(()) => Response::from_parts(parts, Full::new(body)),
            Err(error) => {
                tracing::error!(request_id = %self.asked.id, %error, "an answer was withheld");
                refuse(&error)
            }
        }
    }

    async fn tell(&self, delivery: &Delivery) -> Result<(), Error> {
        // A device that does not answer must not keep itself from being disabled; the log in the database has that.
        let leaving = (self.asked.operation == "delete").then(|| self.asked.path.strip_prefix("sys/audit/")).flatten();
        // A sealed service has no HSM that could make its HMACs: the request was told, the answer cannot be.
        let sealed = matches!(delivery, Delivery::Answer(_)) && &*self.asked.path == "sys/seal";
        for device in &self.devices {
            let told = device.tell(delivery.clone()).await;
            if sealed {
                continue;
            }
            if leaving.map(|path| path.trim_matches('/')) != Some(device.path.trim_matches('/')) {
                told?;
            }
        }
        Ok(())
    }
}

fn mount_point(mount: &Mount) -> MountPoint {
    let list = |name: &str| mount.config.lists.get(name).cloned().unwrap_or_default();
    let (class, prefix) = match mount.class {
        MountClass::Auth => ("auth", "auth/"),
        MountClass::Secret => ("secret", ""),
    };
    MountPoint {
        path: format!("{prefix}{}", mount.path),
        mount_type: mount.mount_type.clone(),
        accessor: mount.accessor.clone(),
        class,
        clear_request: list("audit_non_hmac_request_keys"),
        clear_response: list("audit_non_hmac_response_keys"),
    }
}

/// How much of a rate limit is left.
pub(super) fn tell_limit(verdict: Verdict, response: &mut HttpResponse) {
    const NAMES: [HeaderName; 3] = [
        HeaderName::from_static("x-ratelimit-limit"),
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
    ];
    for (name, value) in NAMES.into_iter().zip([verdict.limit, verdict.remaining, seconds(verdict)]) {
        response.headers_mut().insert(name, number(value));
    }
}

fn seconds(verdict: Verdict) -> u64 {
    verdict.reset.as_secs() + u64::from(verdict.reset.subsec_nanos() > 0)
}

fn number(number: u64) -> HeaderValue {
    HeaderValue::from(number)
}

//! What anybody can ask without a valid token, and requests beyond a rate limit: one record per source, class of path and second, so that nobody can
//! fill the log from outside.

use super::Core;
use crate::record;
use audit_chain::{Outcome, Severity, Value};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Different sources and classes in one second; the rest is counted together.
const KINDS: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Kind, u64>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Why {
    NoToken,
    RateLimit,
    /// Not refused: who it is turns out later.
    Begun,
    /// A step of making a root token or new shares, which asks for no token.
    Attempt,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    why: Why,
    /// Whose namespace was asked.
    organization_id: Uuid,
    source: Option<IpAddr>,
    path_class: String,
}

impl Refusals {
    fn count(&self, kind: Kind) {
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = counts.get_mut(&kind) {
            *count += 1;
        } else {
            let rest = Kind {
                why: kind.why,
                organization_id: super::ROOT_ORGANIZATION,
                source: None,
                path_class: "other".into(),
            };
            let kind = if counts.len() < KINDS { kind } else { rest };
            *counts.entry(kind).or_default() += 1;
        }
    }

    fn take(&self) -> HashMap<Kind, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn give_back(&self, kind: Kind, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *counts.entry(kind).or_default() += count;
    }
}

impl Core {
    /// Counts a request that came without a valid token. Returns at once; a record with the count follows within a second.
    pub fn note_unauthenticated(&self, organization_id: Uuid, source: Option<IpAddr>, path: &str) {
        self.note_refused(Why::NoToken, organization_id, source, path);
    }

    /// Counts a request that was one too many, likewise.
    pub fn note_limited(&self, organization_id: Uuid, source: Option<IpAddr>, path: &str) {
        self.note_refused(Why::RateLimit, organization_id, source, path);
    }

    /// Counts a login that begins with sending a browser away, likewise: anybody may begin as many as he likes.
    pub(crate) fn note_begun(&self, organization_id: Uuid, source: Option<IpAddr>, path: &str) {
        self.note_refused(Why::Begun, organization_id, source, path);
    }

    /// Counts a step of making a root token or new shares, likewise, by its path: there are few of them.
    pub fn note_attempt(&self, organization_id: Uuid, source: Option<IpAddr>, path: &str) {
        let (why, path_class) = (Why::Attempt, path.to_owned());
        self.0.refusals.count(Kind { why, organization_id, source: source.map(network), path_class });
    }

    fn note_refused(&self, why: Why, organization_id: Uuid, source: Option<IpAddr>, path: &str) {
        // Only names that exist make a class: the caller must not choose how many there are.
        let path_class = match self.mount_table().resolve(organization_id, path) {
            Some((mount, _)) => crate::mount::key(mount.class, &mount.path),
            None => "other".to_owned(),
        };
        self.0.refusals.count(Kind { why, organization_id, source: source.map(network), path_class });
    }

    pub(super) fn start_flushing_refusals(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(FLUSH_EVERY);
            loop {
                tick.tick().await;
                let Some(core) = inner.upgrade().map(Core) else { return };
                core.flush_refusals().await;
            }
        });
    }

    /// Writes what was counted; also called when the service ends.
    pub async fn flush_refusals(&self) {
        for (kind, count) in self.0.refusals.take() {
            let mut event = record::bare(Uuid::nil(), kind.organization_id, self.now());
            let (event_type, category, action, error) = match kind.why {
                Why::NoToken => ("request.unauthenticated", "authentication", "authenticate", Some("no valid token")),
                Why::RateLimit => ("rate_limit.exceeded", "system", "limit", Some("rate limit quota exceeded")),
                Why::Begun => ("login.begin", "authentication", "begin", None),
                Why::Attempt => ("seal.attempt", "system", "attempt", None),
            };
            event.event_type = event_type.into();
            event.category = category.into();
            event.severity = if error.is_some() { Severity::Warning } else { Severity::Info };
            event.resource_type = "path".into();
            event.resource_id = Some(kind.path_class.clone());
            event.action = action.into();
            event.outcome = if error.is_some() { Outcome::Failure } else { Outcome::Success };
            event.error_message = error.map(Into::into);
            event.ip_address = kind.source;
            event.data.insert("count".into(), Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
            if let Err(error) = self.audit().append(event).await {
                tracing::warn!(%error, "requests without a token could not be recorded yet");
                self.0.refusals.give_back(kind, count);
            }
        }
    }
}

/// An IPv6 host owns its /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into())
        }
        other => other.to_canonical(),
    }
}

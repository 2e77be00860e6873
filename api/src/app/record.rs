//! The record of a request that what it asked for left none of: a read, or what came to nothing before anything was done.

use super::{Error, Result, Services};
use audit_chain::{Caller, Outcome, Severity, Value};
use clm_core::Mount;
use futures_util::FutureExt;

/// The longest reason that is told, in characters.
const LONGEST_REASON: usize = 512;

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the policies were asked: `read`, or would have been.
    pub(crate) action: &'static str,
    /// Name of the operation that answered.
    pub(crate) operation: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// Why it was refused or failed, as the caller is told.
    pub(crate) reason: Option<String>,
}

impl Services {
    /// Has it on record, in the log of the database that holds what was asked for: queued at once, durable when the future is ready.
    pub(crate) fn record_request(
        &self,
        caller: &Caller,
        ended: Ended,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let Ended { action, operation, status, reason } = ended;
        let mount = self.core.resolve(caller.organization_id, &caller.path);
        let of_secure = mount.and_then(|(mount, rest)| category(&mount, rest));
        let (event_type, outcome) =
            if status < 400 { ("request.answered", Outcome::Success) } else { ("request.failed", Outcome::Failure) };
        let path = Some(caller.path.to_string());
        let mut event = self.core.event(caller, event_type, of_secure.unwrap_or("system"), ("path", path), action);
        event.outcome = outcome;
        if status >= 500 {
            event.severity = Severity::Error;
        }
        event.error_message = reason.map(|reason| reason.chars().take(LONGEST_REASON).collect());
        event.data.insert("operation".into(), Value::Text(operation.into()));
        event.data.insert("status".into(), Value::Integer(status.into()));
        let log = if of_secure.is_some() { self.vault.audit() } else { self.core.audit() };
        log.append(event).map(|written| written.map_err(|error| Error::Unavailable(error.to_string())))
    }
}

/// Category in `secure_audit_log` of what lies there below a mount; none: it is `audit_log` that tells of it.
fn category(mount: &Mount, rest: &str) -> Option<&'static str> {
    match mount.engine() {
        "cubbyhole" | "kv-v1" | "kv-v2" | "transit" => Some("key_access"),
        "clm" => match rest.strip_prefix("deleted/").unwrap_or(rest).split('/').next() {
            Some("certificate-requests") => Some("csr"),
            Some("certificates") => Some("cert_access"),
            Some("private-keys" | "secrets") => Some("key_access"),
            _ => None,
        },
        "system" if rest == "key-status" => Some("key_access"),
        _ => None,
    }
}

//! Which namespace a request acts in: by the header `X-Vault-Namespace`, or by the first segment of its path.

use super::answer::{HttpResponse, errors};
use super::dispatch::Dispatch;
use super::request::Head;
use clm_core::Located;
use hyper::StatusCode;
use std::sync::Arc;

/// Below `sys/`: what is of the whole service, and therefore the root namespace's alone.
const OF_THE_SERVICE: [&str; 26] = [
    "audit",
    "audit-hash",
    "config/auditing",
    "config/cors",
    "config/state",
    "config/ui",
    "generate-root",
    "generate-root-token",
    "ha-status",
    "health",
    "host-info",
    "in-flight-req",
    "init",
    "license",
    "metrics",
    "plugins",
    "quotas/config",
    "quotas/rate-limit",
    "raw",
    "rekey",
    "rekey-recovery-key",
    "replication",
    "seal",
    "step-down",
    "unseal",
    "version-history",
];
/// What says the same in every namespace, and says it also while nobody knows which there are.
const ANYWHERE: [&str; 2] = ["sys/leader", "sys/seal-status"];

/// What a locked namespace answers.
const UNLOCKING: &str = "sys/namespaces/api-lock/unlock";

/// Whether a path is one of those, or below one.
fn is_of_the_service(path: &str) -> bool {
    let Some(path) = path.strip_prefix("sys/") else { return false };
    OF_THE_SERVICE
        .iter()
        .any(|known| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn refused(status: StatusCode, text: &str) -> Box<HttpResponse> {
    Box::new(errors(status, &[text]))
}

impl Dispatch {
    /// Finds the namespace, and leaves of the path what follows. Without a header, of a path below `sys/` or while no other organization is
    /// served, this costs nothing.
    pub(super) async fn enter_namespace(&mut self, head: &mut Head) -> Result<(), Box<HttpResponse>> {
        let unavailable = || refused(StatusCode::BAD_REQUEST, "operation unavailable in namespaces");
        let header = head.namespace.as_deref();
        if header.is_some() && is_of_the_service(&head.path) {
            return Err(unavailable());
        }
        if header.is_none() && head.path.starts_with("sys/") || ANYWHERE.contains(&&*head.path) {
            return Ok(());
        }
        let Ok(services) = self.state.seal.services() else { return Ok(()) };
        services.core.ensure_mounts().await.map_err(|error| self.refusal(&error.into()))?;
        match services.core.locate(header, &head.path).map_err(|error| self.refusal(&error.into()))? {
            Located::Root => Ok(()),
            Located::Nowhere => Err(refused(StatusCode::NOT_FOUND, "namespace not found")),
            Located::Inside(_, rest) if is_of_the_service(rest) => Err(unavailable()),
            Located::Inside(namespace, rest) if namespace.locked && rest != UNLOCKING => {
                let text = format!(
                    "API access to this namespace has been locked by an administrator - {:?} must be unlocked to gain access.",
                    namespace.path
                );
                Err(refused(StatusCode::SERVICE_UNAVAILABLE, &text))
            }
            Located::Inside(namespace, rest) => {
                if rest.len() < head.path.len() {
                    head.path = Arc::from(rest);
                }
                self.namespace = Some(namespace);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_service_is_so_with_all_that_lies_below() {
        for path in ["sys/seal", "sys/audit", "sys/audit/file", "sys/generate-root/attempt", "sys/rekey/init"] {
            assert!(is_of_the_service(path), "{path}");
        }
        for path in ["sys/seal-status", "sys/mounts", "sys/mounts/seal", "seal", "sys/auditor", "sys/key-status"] {
            assert!(!is_of_the_service(path), "{path}");
        }
    }
}

//! The token that a login gives.

use super::{Login, even};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mfa::PresentedFactor;
use crate::mount::Mount;
use crate::token::{Draft, IssuedToken, System, Wanted, Warning};
use audit_chain::{Arrival, Caller, Decided, Verdict};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Who comes without a token: what is known of the request.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The request's id.
    pub request_id: Uuid,
    /// Organization whose login method is asked.
    pub organization_id: Uuid,
    /// Address of the client.
    pub source: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// Codes of second factors that came with the request.
    pub mfa: Vec<PresentedFactor>,
    /// Path asked for, without `/v1/`.
    pub path: Arc<str>,
    /// How the request came.
    pub arrival: Option<Arc<Arrival>>,
}

impl Visitor {
    /// As records name who asked.
    pub fn caller(&self) -> Caller {
        Caller {
            request_id: self.request_id,
            organization_id: self.organization_id,
            user_id: None,
            entity_id: None,
            accessor: "".into(),
            display_name: "".into(),
            ip_address: self.source,
            user_agent: self.user_agent.clone(),
            path: Arc::clone(&self.path),
            verdict: Some(Verdict::by(Decided::Open)),
            arrival: self.arrival.clone(),
        }
    }
}

impl Core {
    /// Prepares the token of a login; what the method spends for it is written with it.
    pub(crate) async fn prepare_login(
        &self,
        visitor: &Visitor,
        login: &Login<'_>,
        entity_id: Uuid,
        warnings: &mut Vec<Warning>,
    ) -> Result<IssuedToken> {
        let (mount, terms, settings) = (login.mount, &login.terms, &login.terms.settings);
        let mut bound_cidrs = terms.bound_cidrs.clone().unwrap_or_else(|| settings.bound_cidrs.clone());
        if settings.strictly_bind_ip {
            let source = visitor.source.ok_or_else(|| Error::invalid("the client's address is not known"))?;
            bound_cidrs = vec![IpNet::from(source.to_canonical())];
        }
        let draft = Draft {
            organization_id: mount.organization_id,
            user_id: terms.claim.user_id,
            entity_id: Some(entity_id),
            parent_id: None,
            batch: makes_batch(&settings.token_type, &mount.config.token_type),
            id: None,
            policies: settings.token_policies()?,
            display_name: terms.display_name.clone(),
            meta: Some(&terms.meta).filter(|meta| !meta.is_empty()).cloned(),
            path: terms.path.clone(),
            role: None,
            wanted: Wanted {
                ttl: settings.ttl,
                period: settings.period,
                explicit_max_ttl: settings.explicit_max_ttl,
                age: 0,
            },
            max_ttl: settings.max_ttl,
            num_uses: settings.num_uses,
            renewable: true,
            bound_cidrs,
            system: self.mount_ttl(mount),
        };
        let draft = if draft.batch {
            // What a batch token cannot have; its role was checked, its mount's setting may say otherwise later.
            Draft { num_uses: 0, wanted: Wanted { period: 0, explicit_max_ttl: 0, ..draft.wanted }, ..draft }
        } else {
            draft
        };
        self.prepare_token(draft, warnings).await
    }

    /// A login as it went; a refused one is told of where there were too many.
    pub(crate) async fn counted<T>(&self, visitor: &Visitor, given: Result<T>) -> Result<T> {
        if matches!(given, Err(Error::TooMany(_))) {
            tracing::warn!(path = %visitor.path, alarm = "pending_logins", "as many logins of a method wait as may; more are refused");
        }
        if matches!(given, Err(Error::Invalid(_) | Error::Forbidden(_))) {
            self.note_failed_login(visitor).await?;
            if let Some(arrival) = &visitor.arrival {
                even::wait(arrival.began).await;
            }
        }
        given
    }

    /// A mount's times, where it has its own, else the system's.
    pub(crate) fn mount_ttl(&self, mount: &Mount) -> System {
        let system = self.system_ttl();
        let own = |own: u64, system: u64| if own == 0 { system } else { own };
        let max_ttl = own(mount.config.max_lease_ttl, system.max_ttl);
        System { default_ttl: own(mount.config.default_lease_ttl, system.default_ttl).min(max_ttl), max_ttl }
    }
}

/// The mount's `service` and `batch` rule; else the role's word; else the mount's default.
fn makes_batch(role: &str, mount: &str) -> bool {
    match (mount, role) {
        ("batch", _) => true,
        ("service", _) => false,
        (_, "batch" | "default-batch") => true,
        (_, "service" | "default-service") => false,
        (mount, _) => mount == "default-batch",
    }
}

#[cfg(test)]
mod tests {
    use super::makes_batch;

    #[test]
    fn mount_and_role_agree_on_what_a_login_gives() {
        for (role, mount, batch) in [
            ("", "", false),
            ("default", "default-batch", true),
            ("batch", "", true),
            ("batch", "service", false),
            ("service", "batch", true),
            ("service", "default-batch", false),
            ("default", "default-service", false),
        ] {
            assert_eq!(makes_batch(role, mount), batch, "role {role:?} at mount {mount:?}");
        }
    }
}

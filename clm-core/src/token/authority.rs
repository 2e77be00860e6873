//! What a request may do because of its token.

use super::Token;
use crate::access::{AccessRequest, Acl, Decision, Reason};
use crate::core::ROOT_ORGANIZATION;
use crate::identity::Persona;
use crate::namespace::Namespace;
use audit_chain::Caller;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A token that was found good, with its policies compiled. A cheap clone.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The token.
    pub token: Arc<Token>,
    /// Its policies, and those of whoever bears it.
    pub acl: Arc<Acl>,
    /// Who bears it.
    pub persona: Option<Arc<Persona>>,
    /// The namespace that it acts in, where that is not the token's own but one below.
    pub(crate) below: Option<Arc<Namespace>>,
}

impl Authority {
    /// The same, in the namespace that a request names (none: the root namespace): the token's own, or, for one of organization `root`, any.
    ///
    /// # Errors
    /// Itself: the token does not act there. [`Self::refused`] is what to record.
    pub fn within(self, namespace: Option<&Arc<Namespace>>) -> Result<Self, Self> {
        let own = self.token.organization_id;
        match namespace {
            None if own == ROOT_ORGANIZATION => Ok(self),
            Some(namespace) if own == namespace.id => Ok(self),
            Some(namespace) if own == ROOT_ORGANIZATION && (!namespace.shadowed || self.is_root()) => {
                Ok(Self { below: Some(Arc::clone(namespace)), ..self })
            }
            _ => Err(self),
        }
    }

    /// The decision about whoever does not act in a namespace.
    pub fn refused() -> Decision {
        Decision { allowed: false, sudo: false, rule: None, reason: Reason::Namespace }
    }

    /// May this request pass? Pure.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.acl.decide_below(self.prefix(), request)
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.acl.is_root()
    }

    /// What it may do to `path`, sorted; `["root"]` or `["deny"]` for all and nothing.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        self.acl.capabilities_below(self.prefix(), path)
    }

    /// Whether its policies grant something at `mount` (which ends in `/`) or below.
    pub fn touches(&self, mount: &str) -> bool {
        match self.prefix() {
            "" => self.acl.touches(mount),
            prefix => self.acl.touches(&format!("{prefix}{mount}")),
        }
    }

    /// What its policies write in front of the paths it asks for; empty in its own namespace.
    pub fn prefix(&self) -> &str {
        self.below.as_deref().map_or("", |namespace| &namespace.path)
    }

    /// The organization that it acts in.
    pub fn organization_id(&self) -> Uuid {
        self.below.as_deref().map_or(self.token.organization_id, |namespace| namespace.id)
    }

    /// Whether it acts in another namespace than the token's own.
    pub fn is_from_above(&self) -> bool {
        self.below.is_some()
    }

    /// A caller in the token's own namespace, for what is done to the token itself.
    pub(crate) fn at_home(&self, caller: &Caller) -> Caller {
        Caller { organization_id: self.token.organization_id, ..caller.clone() }
    }

    /// The caller to put into records.
    pub fn caller(
        &self,
        request_id: Uuid,
        path: Arc<str>,
        ip_address: Option<IpAddr>,
        user_agent: Option<Arc<str>>,
    ) -> Caller {
        Caller {
            request_id,
            organization_id: self.organization_id(),
            user_id: self.token.user_id,
            entity_id: self.token.entity_id,
            accessor: Arc::clone(&self.token.accessor),
            display_name: Arc::clone(&self.token.display_name),
            ip_address,
            user_agent,
            path,
            verdict: None,
            arrival: None,
        }
    }
}

//! What a request may do because of its token.

use super::Token;
use crate::access::{AccessRequest, Acl, Decision};
use crate::identity::Persona;
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
}

impl Authority {
    /// May this request pass? Pure.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.acl.decide(request)
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.acl.is_root()
    }

    /// What it may do to `path`, sorted; `["root"]` or `["deny"]` for all and nothing.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        self.acl.capabilities(path)
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
            organization_id: self.token.organization_id,
            user_id: self.token.user_id,
            accessor: Arc::clone(&self.token.accessor),
            display_name: Arc::clone(&self.token.display_name),
            ip_address,
            user_agent,
            path,
        }
    }
}

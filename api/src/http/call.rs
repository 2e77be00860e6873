//! What a handler is given.

use super::parameters::Parameters;
use super::table::{Captures, Verb, captured};
use crate::app::{Context, Error, Result, Services};
use crate::state::State;
use audit_chain::{Arrival, Caller};
use clm_core::{Authority, Core, Mount, Namespace, PresentedFactor, ROOT_ORGANIZATION, Visitor};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

/// The other end of the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Its address.
    pub(super) source: Option<IpAddr>,
    /// What it showed in the TLS handshake, its own first; that it has the key is proved, and nothing else.
    pub(super) certificates: Option<Arc<[CertificateDer<'static>]>>,
}

/// A request that may pass.
pub(crate) struct Call {
    pub(super) state: Arc<State>,
    pub(super) context: Context,
    pub(super) mount: Arc<Mount>,
    pub(super) captures: Captures,
    pub(super) parameters: Parameters,
    /// What is not there may be made; see [`Endpoint::creating`](super::table::Endpoint).
    pub(super) may_create: bool,
    /// The token's text, for answers that show it to its bearer.
    pub(super) token: Arc<str>,
    /// For how long the answer is to be wrapped, seconds.
    pub(super) wrap_ttl: Option<u64>,
}

/// A request that nobody has to be allowed, in whatever state the service is.
pub(crate) struct AnyStateCall {
    pub(super) state: Arc<State>,
    /// The mount, if the path is below one and not below sys/.
    pub(super) mount: Option<Arc<Mount>>,
    /// Where it acts; none: in the root namespace.
    pub(super) namespace: Option<Arc<Namespace>>,
    pub(super) verb: Verb,
    pub(super) captures: Captures,
    pub(super) parameters: Parameters,
    pub(super) token: Option<Arc<str>>,
    pub(super) request_id: Uuid,
    pub(super) path: Arc<str>,
    pub(super) peer: Peer,
    pub(super) user_agent: Option<Arc<str>>,
    /// Second factors that came in headers.
    pub(super) mfa: Vec<PresentedFactor>,
    /// How it came.
    pub(super) arrival: Arc<Arrival>,
}

/// The same while the service is unsealed: whoever is given one needs not ask.
pub(crate) struct OpenCall {
    pub(super) services: Services,
    pub(super) request: AnyStateCall,
}

impl Deref for OpenCall {
    type Target = AnyStateCall;

    fn deref(&self) -> &AnyStateCall {
        &self.request
    }
}

impl Call {
    /// What the pattern took under `name`; empty where it took nothing.
    pub(super) fn capture(&self, name: &str) -> &str {
        captured(&self.captures, name)
    }
}

impl AnyStateCall {
    /// What the pattern took under `name`; empty where it took nothing.
    pub(super) fn capture(&self, name: &str) -> &str {
        captured(&self.captures, name)
    }

    /// The organization that is acted in.
    pub(super) fn organization_id(&self) -> Uuid {
        self.namespace.as_ref().map_or(ROOT_ORGANIZATION, |namespace| namespace.id)
    }

    /// Who asks, as far as that is known.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor {
            request_id: self.request_id,
            organization_id: self.organization_id(),
            source: self.peer.source,
            user_agent: self.user_agent.clone(),
            mfa: self.mfa.clone(),
            path: Arc::clone(&self.path),
            arrival: Some(Arc::clone(&self.arrival)),
        }
    }
}

impl OpenCall {
    /// The login method that is asked.
    pub(super) fn login_method(&self) -> Result<(&Core, &Mount)> {
        let mount = self.mount.as_deref().ok_or_else(|| Error::Internal("a login without its mount".into()))?;
        Ok((&self.services.core, mount))
    }

    /// Counts a step of making a root token or new shares, for the record; looking how far it is, is none.
    pub(super) fn note_attempt(&self) {
        if self.verb != Verb::Read {
            self.services.core.note_attempt(self.organization_id(), self.peer.source, &self.path);
        }
    }

    /// Who asks, if the token is good.
    pub(super) async fn context(&self) -> Result<Context> {
        let Some(token) = &self.token else { return Err(Error::Unauthenticated) };
        let comes = Comes {
            request_id: self.request_id,
            arrival: Arc::clone(&self.arrival),
            namespace: self.namespace.as_ref(),
            verb: self.verb,
            path: &self.path,
            source: self.peer.source,
            user_agent: self.user_agent.clone(),
        };
        authenticated(self.services.clone(), token, comes).await
    }
}

/// With what a token comes.
pub(super) struct Comes<'c> {
    pub(super) request_id: Uuid,
    pub(super) arrival: Arc<Arrival>,
    pub(super) namespace: Option<&'c Arc<Namespace>>,
    pub(super) verb: Verb,
    pub(super) path: &'c Arc<str>,
    pub(super) source: Option<IpAddr>,
    pub(super) user_agent: Option<Arc<str>>,
}

/// Who asks, if the token is good where it acts; one of another namespace is refused, on record.
pub(super) async fn authenticated(services: Services, token: &str, comes: Comes<'_>) -> Result<Context> {
    let Comes { request_id, arrival, namespace, verb, path, source, user_agent } = comes;
    let authority = services.core.authenticate(token, source).await?;
    match authority.within(namespace) {
        Ok(authority) => {
            let caller = authority.caller(request_id, Arc::clone(path), source, user_agent);
            let caller = Caller { arrival: Some(arrival), ..caller };
            Ok(Context { services, authority, caller, sudo: false, looked_up: None })
        }
        Err(foreign) => {
            let organization_id = namespace.map_or(ROOT_ORGANIZATION, |namespace| namespace.id);
            let caller = foreign.caller(request_id, Arc::clone(path), source, user_agent);
            let caller = Caller { organization_id, arrival: Some(arrival), ..caller };
            let refused = Authority::refused();
            // Boxed: it is rare, and its size would be every request's.
            Box::pin(services.core.record_denied(&caller, verb.operation(), &refused)).await?;
            Err(Error::Denied)
        }
    }
}

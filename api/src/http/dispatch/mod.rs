//! The order of checks: namespace → sealed → token → policies → route and operation → handler.

mod authenticated;
mod open;
mod routers;

use super::answer::{HttpResponse, empty, refuse};
use super::call::{Comes, Peer, authenticated};
use super::request::Head;
use super::table::{Endpoint, Verb};
use super::trail::{AuditedHeaders, DENIED, Seen, Trail, tell_limit};
use super::witness::Witness;
use crate::app::seal::Phase;
use crate::app::{Error, Services};
use crate::quota::Verdict;
use crate::state::State;
use audit_chain::Arrival;
use clm_core::{Namespace, ROOT_ORGANIZATION};
use hyper::StatusCode;
use hyper::body::Incoming;
pub(super) use open::OpenRoute;
use routers::found;
use std::sync::Arc;
use uuid::Uuid;

/// Operation of requests that reached no route.
pub(super) const NO_OPERATION: &str = "none";

/// One request, and the name of the operation that answered it.
pub(super) struct Dispatch {
    pub(super) state: Arc<State>,
    pub(super) request_id: Uuid,
    /// How it came.
    pub(super) arrival: Arc<Arrival>,
    pub(super) peer: Peer,
    pub(super) operation: &'static str,
    /// Headers that audit devices are told.
    pub(super) headers: AuditedHeaders,
    /// The request was told to audit devices.
    pub(super) trail: Option<Box<Trail>>,
    /// What answers say of rate limits.
    pub(super) verdict: Option<Verdict>,
    /// Where it acts; none: in the root namespace.
    pub(super) namespace: Option<Arc<Namespace>>,
}

/// Refusals are boxed: they are rare and large.
pub(super) type Outcome<T> = Result<T, Box<HttpResponse>>;

impl Dispatch {
    pub(super) async fn answer(&mut self, head: Box<Head>, body: Incoming) -> HttpResponse {
        let mut response = match self.try_answer(head, body).await {
            Ok(response) => response,
            Err(response) => *response,
        };
        if let Some(trail) = self.trail.take() {
            // Boxed, like all that only devices need.
            response = Box::pin(trail.answered(response)).await;
        }
        if let Some(verdict) = self.verdict {
            tell_limit(verdict, &mut response);
        }
        response
    }

    async fn try_answer(&mut self, mut head: Box<Head>, body: Incoming) -> Outcome<HttpResponse> {
        let entered = self.enter_namespace(&mut head).await;
        entered.inspect_err(|refused| self.count_refused("", refused.status()))?;
        // Boxed where there is something to look at, and only there: most services limit nobody.
        if self.state.system.may_have_limits(&self.state.seal) {
            Box::pin(self.limit(&head)).await?;
        }
        let open = head.path.strip_prefix("sys/").and_then(|rest| found("system", rest));
        if let Some((route, _)) = open
            && route.endpoints.iter().any(Endpoint::is_open)
            && !head.help
        {
            return Box::pin(self.answer_without_token((route, None, Vec::new()), head, body)).await;
        }
        let services = match self.state.seal.services() {
            Ok(services) => services.clone(),
            // Whoever asks for it already has it.
            Err(_) if &*head.path == "sys/seal" && head.verb == Verb::Write && self.is_closed() => {
                return Ok(empty(StatusCode::NO_CONTENT));
            }
            Err(error) => return Err(self.refusal(&error)),
        };
        if let Some(open) = self.open_below_mount(&services, &head) {
            return Box::pin(self.answer_without_token(open, head, body)).await;
        }
        let Some(token) = head.token.clone() else {
            return Err(Box::pin(self.turned_away(&services, &head, body, Error::Unauthenticated)).await);
        };
        let comes = Comes {
            request_id: self.request_id,
            arrival: Arc::clone(&self.arrival),
            namespace: self.namespace.as_ref(),
            verb: head.verb,
            path: &head.path,
            source: self.peer.source,
            user_agent: head.user_agent.clone(),
        };
        let context = match authenticated(services.clone(), &token, comes).await {
            Ok(context) => context,
            Err(error @ (Error::Unauthenticated | Error::Denied)) => {
                return Err(Box::pin(self.turned_away(&services, &head, body, error)).await);
            }
            Err(error) => return Err(self.refusal(&error)),
        };
        // Boxed: each step from here to the handler would carry room for it.
        let mut witness = Box::new(Witness::of(&context, head.verb));
        let answered = self.answer_authenticated(context, &mut witness, token, head, body).await;
        if self.is_told(&answered) {
            return answered;
        }
        // Boxed as well: what is done most often leaves records of its own.
        Box::pin(witness.tell(self, answered)).await
    }

    /// No token that is good here: told to audit devices like all others, and counted where no record tells of it.
    async fn turned_away(
        &mut self,
        services: &Services,
        head: &Head,
        body: Incoming,
        error: Error,
    ) -> Box<HttpResponse> {
        let organization = self.organization_id();
        if matches!(error, Error::Unauthenticated) {
            services.core.note_unauthenticated(organization, self.peer.source, &head.path);
        }
        if self.has_devices() {
            let parameters = match self.parameters(head, body).await {
                Ok(parameters) => parameters,
                Err(response) => return response,
            };
            let mount = services.core.resolve(organization, &head.path).map(|(mount, _)| mount);
            let fields = parameters.fields();
            let seen = Seen { head, mount: mount.as_deref(), fields, wrap_ttl: None, by: None, refused: Some(DENIED) };
            if let Err(response) = self.tell_request(services, seen).await {
                return response;
            }
        }
        self.refusal(&error)
    }

    /// The organization that is acted in.
    pub(super) fn organization_id(&self) -> Uuid {
        self.namespace.as_ref().map_or(ROOT_ORGANIZATION, |namespace| namespace.id)
    }

    /// Whether requests are told to anybody, or may have to be.
    fn has_devices(&self) -> bool {
        self.state.system.may_have_devices(&self.state.seal)
    }

    /// Sealed, or not made yet.
    fn is_closed(&self) -> bool {
        matches!(self.state.seal.phase(), Phase::Sealed | Phase::Uninitialised)
    }

    pub(super) fn refusal(&self, error: &Error) -> Box<HttpResponse> {
        match error {
            Error::Internal(_) | Error::Operator(_) => {
                tracing::error!(request_id = %self.request_id, operation = self.operation, %error, "request failed");
            }
            Error::Tampered(_) => {
                tracing::error!(request_id = %self.request_id, operation = self.operation, %error, "row refused");
            }
            Error::Unavailable(_) => {
                tracing::warn!(request_id = %self.request_id, operation = self.operation, %error, "unavailable");
            }
            _ => {}
        }
        Box::new(refuse(error))
    }
}

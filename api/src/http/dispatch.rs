//! The order of checks: namespace → sealed → token → policies → route and operation → handler.

use super::answer::{Answer, HttpResponse, empty, errors, refuse, wrapped};
use super::call::{AnyStateCall, Call, Comes, OpenCall, Peer, authenticated};
use super::fields::warnings;
use super::finish::Wrap;
use super::page::Page;
use super::parameters::Parameters;
use super::request::Head;
use super::table::{Captures, Endpoint, Handler, Route, Router, Shape, Verb};
use super::trail::{AuditedHeaders, DENIED, Seen, Trail, tell_limit};
use super::transit::alias;
use super::witness::Witness;
use super::{ENGINES, help, kv};
use crate::app::seal::Phase;
use crate::app::{Context, Error, Services};
use crate::quota::Verdict;
use crate::state::State;
use audit_chain::{Arrival, Decided};
use clm_core::access::Operation;
use clm_core::{Mount, Namespace, ROOT_ORGANIZATION};
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

static ROUTERS: LazyLock<HashMap<&'static str, Router>> = LazyLock::new(|| {
    ENGINES.iter().fold(HashMap::new(), |mut routers: HashMap<_, Router>, engine| {
        routers.entry(engine.mount_type).or_default().add(engine.routes);
        routers
    })
});

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

/// What is wanted of an endpoint.
struct Wanted {
    captures: Captures,
    parameters: Parameters,
    may_create: bool,
    token: Arc<str>,
    wrap_ttl: Option<u64>,
}

/// Refusals are boxed: they are rare and large.
pub(super) type Outcome<T> = Result<T, Box<HttpResponse>>;

/// A route that asks for no token, and where it was found.
pub(super) type OpenRoute = (&'static Route, Option<Arc<Mount>>, Captures);

fn found(mount_type: &str, path: &str) -> Option<(&'static Route, Captures)> {
    ROUTERS.get(mount_type)?.find(path)
}

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

    /// Logins: nobody has a token yet. The mounts in memory are new enough, for [`Self::enter_namespace`] has seen to it.
    fn open_below_mount(&self, services: &Services, head: &Head) -> Option<OpenRoute> {
        if head.help {
            return None;
        }
        let (mount, rest) = services.core.resolve(self.organization_id(), &head.path)?;
        let found = found(mount.engine(), rest);
        found
            .filter(|(route, _)| mount.mount_type != "system" && route.endpoints.iter().any(Endpoint::is_open))
            .map(|(route, captures)| (route, Some(mount), captures))
    }

    pub(super) async fn answer_open(
        &mut self,
        (route, mount, captures): OpenRoute,
        head: Box<Head>,
        body: Incoming,
    ) -> Outcome<HttpResponse> {
        let services = self.state.seal.services().cloned();
        if let Err(error) = &services
            && !route.endpoints.iter().any(Endpoint::is_answered_while_sealed)
        {
            return Err(self.refusal(error));
        }
        let endpoint = route.endpoints.iter().find(|endpoint| endpoint.verb == head.verb && endpoint.is_open());
        let Some(endpoint) = endpoint else {
            return Err(Box::new(errors(StatusCode::METHOD_NOT_ALLOWED, &[])));
        };
        self.operation = endpoint.id;
        let wrap_ttl = if endpoint.shape == Shape::Bare { None } else { head.wrap_ttl()? };
        let mut parameters = self.parameters(&head, body).await?;
        // Of those below sys/ clients expect no word about fields.
        let warnings = if mount.is_some() { warnings(endpoint, &captures, &mut parameters) } else { Vec::new() };
        // Whoever looks what is wrong is told even where a required device is it.
        if self.has_devices()
            && !endpoint.tells_state()
            && let Ok(services) = &services
        {
            let seen = Seen {
                head: &head,
                mount: mount.as_deref(),
                fields: parameters.fields(),
                wrap_ttl,
                by: None,
                refused: None,
            };
            Box::pin(self.tell_request(services, seen)).await?;
        }
        let call = AnyStateCall {
            state: Arc::clone(&self.state),
            mount,
            namespace: self.namespace.clone(),
            verb: head.verb,
            captures,
            parameters,
            token: head.token,
            request_id: self.request_id,
            path: head.path,
            peer: self.peer.clone(),
            user_agent: head.user_agent,
            mfa: head.mfa,
            arrival: Arc::clone(&self.arrival),
        };
        let caller = call.visitor().caller();
        let answer = match (endpoint.handler, &services) {
            (Handler::AnyState(handler), _) => handler(call).await,
            (Handler::Open(handler), Ok(services)) => {
                handler(OpenCall { services: services.clone(), request: call }).await
            }
            (Handler::Open(_), Err(error)) => return Err(self.refusal(error)),
            _ => Err(Error::Internal("what asks for a token was called without".into())),
        };
        let answer = answer.map_err(|error| self.refusal(&error))?;
        match (wrap_ttl, services) {
            (Some(_), Ok(services)) => {
                self.finish(endpoint, answer, warnings, Wrap { services: &services, caller: &caller, ttl: wrap_ttl })
                    .await
            }
            _ => Ok(answer.render(endpoint, self.request_id, warnings)),
        }
    }

    async fn answer_authenticated(
        &mut self,
        mut context: Context,
        witness: &mut Witness,
        token: Arc<str>,
        head: Box<Head>,
        body: Incoming,
    ) -> Outcome<HttpResponse> {
        let organization = context.caller.organization_id;
        let resolved = context.services.core.resolve(organization, &head.path);
        let mut route = resolved.as_ref().and_then(|(mount, rest)| found(mount.engine(), rest));
        if head.help {
            return Ok(help::of(route.as_ref().map(|(route, _)| *route), &head.path));
        }
        let endpoint =
            route.as_ref().and_then(|(route, _)| route.endpoints.iter().find(|endpoint| endpoint.verb == head.verb));
        let wrap_ttl = head.wrap_ttl()?;
        let parameters = self.parameters(&head, body).await?;
        let (mut may_create, mut refused) = (false, None);
        // Found out before anybody is asked, because whether a thing is there may decide what is asked; said only to those who may.
        let followed = match (&resolved, &mut route) {
            (Some((mount, _)), Some((route, captures))) if mount.engine() == "transit" => {
                alias::follow(&mut context, mount, route, captures).await
            }
            _ => Ok(None),
        };
        if !endpoint.is_some_and(|endpoint| matches!(endpoint.handler, Handler::AnyToken(_))) {
            let exists = endpoint.and_then(|endpoint| endpoint.exists).zip(resolved.as_ref()).zip(route.as_ref());
            let operation = match exists {
                Some(((exists, (mount, _)), (_, captures))) => {
                    let created = || exists(&context, mount, captures);
                    created_or_updated(&context, parameters.fields(), wrap_ttl, created).await
                }
                None => Ok(head.verb.operation()),
            };
            let operation = operation.map_err(|error| self.refusal(&error))?;
            may_create = operation == Operation::Create;
            witness.action = operation.name();
            let permitted = context.permit(operation, parameters.fields(), wrap_ttl).await;
            refused = permitted.err();
            if refused.is_none() {
                // An alias leads nobody to a key whose own path the policies do not allow.
                refused = match followed {
                    Ok(None) => None,
                    Ok(Some(path)) => {
                        Box::pin(context.permit_also(path, operation, parameters.fields(), wrap_ttl)).await.err()
                    }
                    Err(error) => Some(error),
                };
            }
        } else {
            context.caller.verdict = Some(audit_chain::Verdict::by(Decided::Token));
        }
        witness.caller.verdict.clone_from(&context.caller.verdict);
        if self.has_devices() {
            let mount = resolved.as_ref().map(|(mount, _)| &**mount);
            let by = Some((&context, refused.is_none()));
            let refused = refused.is_some().then_some(DENIED);
            let seen = Seen { head: &head, mount, fields: parameters.fields(), wrap_ttl, by, refused };
            Box::pin(self.tell_request(&context.services, seen)).await?;
        }
        if let Some(error) = refused {
            return Err(self.refusal(&error));
        }
        let Some((mount, rest)) = resolved else {
            let text = format!("no handler for route \"{}\". route entry not found.", head.path);
            return Err(Box::new(errors(StatusCode::NOT_FOUND, &[&text])));
        };
        match (route, endpoint) {
            (Some((_, captures)), Some(endpoint)) => {
                let wanted = Wanted { captures, parameters, may_create, token, wrap_ttl };
                self.call(endpoint, context, mount, wanted, witness).await
            }
            (route, _) => Err(Box::new(self.elsewhere(&mount, head.verb, rest, route.map(|(route, _)| route)))),
        }
    }

    /// Nothing is offered there, or not that.
    fn elsewhere(&self, mount: &Mount, verb: Verb, path: &str, route: Option<&'static Route>) -> HttpResponse {
        match (kv::elsewhere(mount.engine(), verb, path, self.request_id), route) {
            (Some(response), route) if route.is_none() || path.is_empty() => response,
            (_, Some(route)) if verb != Verb::List || route.takes_rest() => {
                wrapped(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")
            }
            _ => wrapped(StatusCode::NOT_FOUND, "unsupported path"),
        }
    }

    async fn call(
        &mut self,
        endpoint: &'static Endpoint,
        context: Context,
        mount: Arc<Mount>,
        Wanted { captures, mut parameters, may_create, token, wrap_ttl }: Wanted,
        witness: &Witness,
    ) -> Outcome<HttpResponse> {
        self.operation = endpoint.id;
        let (Handler::Permitted(handler) | Handler::AnyToken(handler)) = endpoint.handler else {
            return Err(self.refusal(&Error::Internal("an open endpoint outside sys/".into())));
        };
        let warnings = warnings(endpoint, &captures, &mut parameters);
        let page = if endpoint.is_cut_in_pages() { Page::of(&parameters) } else { Ok(None) };
        let page = page.map_err(|error| self.refusal(&error))?;
        let state = Arc::clone(&self.state);
        let call = Call { state, context, mount, captures, parameters, may_create, token, wrap_ttl };
        let answer = handler(call).await.map_err(|error| self.refusal(&error))?;
        let answer = page.iter().fold(answer, Answer::paged);
        let wrap = Wrap { services: &witness.services, caller: &witness.caller, ttl: wrap_ttl };
        self.finish(endpoint, answer, warnings, wrap).await
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

/// Which of the two a write is. Whoever may do both needs no look, and whoever may do neither gets none.
async fn created_or_updated<'c>(
    context: &'c Context,
    fields: &Map<String, Value>,
    wrap_ttl: Option<u64>,
    exists: impl FnOnce() -> BoxFuture<'c, Result<bool, Error>>,
) -> Result<Operation, Error> {
    let may = |operation| context.may(operation, fields, wrap_ttl);
    match (may(Operation::Create), may(Operation::Update)) {
        (true, true) => Ok(Operation::Create),
        (false, false) => Ok(Operation::Update),
        _ => Ok(if exists().await? { Operation::Update } else { Operation::Create }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_with_what_its_path_says() {
        let (route, captures) = found("transit", "sign/orders/sha2-256").expect("a route");
        assert!(route.pattern.starts_with("sign/"), "{}", route.pattern);
        let values: Vec<&str> = captures.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["orders", "sha2-256"]);
        assert!(found("transit", "sign").is_none() && found("nosuch", "sign/orders").is_none());
    }

    #[test]
    fn no_route_stands_where_another_of_the_same_pattern_is_found_first() {
        let all =
            ENGINES.iter().flat_map(|engine| engine.routes.iter().map(|route| (engine.mount_type, route.pattern)));
        let mut seen = std::collections::HashSet::new();
        for route in all {
            assert!(seen.insert(route), "{route:?} stands in two tables");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut ids: Vec<_> = super::super::routes().map(|route| route.operation_id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "two operations share an id");
    }
}

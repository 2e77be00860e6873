//! What a request with a good token comes to: policies → route and operation → handler.

use super::routers::found;
use super::{Dispatch, Outcome};
use crate::app::{Context, Error};
use crate::http::answer::{Answer, HttpResponse, errors, wrapped};
use crate::http::call::Call;
use crate::http::fields::warnings;
use crate::http::finish::Wrap;
use crate::http::page::Page;
use crate::http::parameters::Parameters;
use crate::http::request::Head;
use crate::http::table::{Captures, Endpoint, Handler, Route, Verb};
use crate::http::trail::{DENIED, Seen};
use crate::http::transit::alias;
use crate::http::witness::Witness;
use crate::http::{help, kv};
use audit_chain::Decided;
use clm_core::Mount;
use clm_core::access::Operation;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What is wanted of an endpoint.
struct Wanted {
    captures: Captures,
    parameters: Parameters,
    may_create: bool,
    token: Arc<str>,
    wrap_ttl: Option<u64>,
}

impl Dispatch {
    pub(super) async fn answer_authenticated(
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

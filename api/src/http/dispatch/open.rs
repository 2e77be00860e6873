//! Routes that ask for no token: what tells of the service and opens it, and logins.

use super::routers::found;
use super::{Dispatch, Outcome};
use crate::app::{Error, Services};
use crate::http::answer::{HttpResponse, errors};
use crate::http::call::{AnyStateCall, OpenCall};
use crate::http::fields::warnings;
use crate::http::finish::Wrap;
use crate::http::request::Head;
use crate::http::table::{Captures, Endpoint, Handler, Route, Shape};
use crate::http::trail::Seen;
use clm_core::Mount;
use hyper::StatusCode;
use hyper::body::Incoming;
use std::sync::Arc;

/// A route that asks for no token, and where it was found.
pub(in crate::http) type OpenRoute = (&'static Route, Option<Arc<Mount>>, Captures);

impl Dispatch {
    /// Logins: nobody has a token yet. The mounts in memory are new enough, for [`Self::enter_namespace`] has seen to it.
    pub(super) fn open_below_mount(&self, services: &Services, head: &Head) -> Option<OpenRoute> {
        if head.help {
            return None;
        }
        let (mount, rest) = services.core.resolve(self.organization_id(), &head.path)?;
        let found = found(mount.engine(), rest);
        found
            .filter(|(route, _)| mount.mount_type != "system" && route.endpoints.iter().any(Endpoint::is_open))
            .map(|(route, captures)| (route, Some(mount), captures))
    }

    pub(in crate::http) async fn answer_open(
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
}

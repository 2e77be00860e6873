//! Why somebody may do something, or not.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use clm_core::access::{AccessRequest, Candidate, Operation, Rule, Stage, needs_sudo};
use clm_core::{Explained, Whose};
use serde_json::{Value, json};

const FIELDS: &[Parameter] = &[
    Parameter::new("path", Kind::Text, "The path that would be asked for, without /v1/").required(),
    Parameter::new("operation", Kind::Text, "create, delete, list, patch, read or update").required(),
    Parameter::new("accessor", Kind::Text, "Whose request it would be: that of the token with this accessor"),
    Parameter::new("token", Kind::Text, "The same by the token itself"),
    Parameter::new(
        "policies",
        Kind::List,
        "The same for whoever has these policies, and roles as `role:CODE`, and nothing else",
    ),
    Parameter::new("source", Kind::Text, "The address that it would come from; without, conditions on it do not hold"),
    Parameter::new("parameters", Kind::Object, "Fields that the request would have"),
    Parameter::new("wrap_ttl", Kind::Duration, "For how long its answer would be wrapped"),
];

pub(crate) const ROUTES: &[Route] = &[Route {
    pattern: "access/explain",
    endpoints: &[Endpoint::new(
        Verb::Write,
        "clm-explain-access",
        "Which rule of which policy decides about a request, and why",
        |call| Box::pin(explain(call)),
    )
    .audited(false)
    .with(FIELDS)],
}];

async fn explain(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let path = parameters.text("path")?.filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Error::invalid("path must be supplied: the path without /v1/"))?;
    let path = path.trim_start_matches('/');
    let operation = parameters.text("operation")?.unwrap_or_default();
    let operation = Operation::from_name(&operation).ok_or_else(|| {
        Error::invalid(format!("operation {operation:?} is none: create, delete, list, patch, read or update"))
    })?;
    let fields = parameters.object("parameters")?;
    let request = AccessRequest {
        path,
        operation,
        parameters: Some(fields.fields()),
        wrap_ttl: parameters.lasting("wrap_ttl")?.filter(|ttl| *ttl > 0),
    };
    let source = parameters.text("source")?.filter(|source| !source.is_empty());
    let source = source
        .map(|source| source.parse().map_err(|_| Error::invalid(format!("source {source:?} is no address"))))
        .transpose()?;
    let core = &call.context.services.core;
    let explained = core.explain(&call.context.caller, whose(&call)?, &request, source).await?;
    Ok(Answer::data(shown(&explained, &request)))
}

fn whose(call: &Call) -> Result<Whose> {
    let text = |name: &str| -> Result<_> { Ok(call.parameters.text(name)?.filter(|text| !text.is_empty())) };
    match (text("accessor")?, text("token")?, call.parameters.list("policies")?) {
        (Some(accessor), None, None) => Ok(Whose::Accessor(accessor)),
        (None, Some(token), None) => Ok(Whose::Token(token.into())),
        (None, None, Some(policies)) => Ok(Whose::Policies(policies)),
        _ => Err(Error::invalid("say who asks by exactly one of accessor, token and policies")),
    }
}

fn shown(Explained { explanation, left_out }: &Explained, request: &AccessRequest<'_>) -> Value {
    let decision = &explanation.decision;
    let steps = explanation.steps.iter().map(|step| {
        json!({
            "looks_at": step.stage.text(),
            "rule": step.found.as_ref().map(|(rule, _)| rule.path()),
            "finds": step.found.as_ref().map_or("nothing", |(_, reason)| reason.text()),
        })
    });
    json!({
        "allowed": decision.allowed,
        "because": explanation.because(),
        "deciding_path": explanation.path,
        "left_out": left_out,
        "matching": explanation.matching.iter().map(candidate).collect::<Vec<_>>(),
        "needs_sudo": needs_sudo(request.operation, request.path),
        "not_counting": explanation.idle.iter().map(|idle| {
            json!({"policy": &*idle.policy, "effect": if idle.denies { "deny" } else { "grant" }, "why": idle.why})
        }).collect::<Vec<_>>(),
        "operation": request.operation.name(),
        "path": request.path,
        "reason": decision.reason.text(),
        "rule": decision.rule.as_deref().map(rule),
        "steps": steps.collect::<Vec<_>>(),
        "sudo": decision.sudo,
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "path": rule.path(),
        "policies": rule.policies(),
        "capabilities": rule.capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>(),
    })
}

fn candidate(candidate: &Candidate) -> Value {
    let mut shown = rule(&candidate.rule);
    shown["kind"] = match candidate.stage {
        Stage::Denials => "denies by itself",
        Stage::Name => "on the secret's name",
        Stage::Grants => "grants by itself",
        Stage::Root | Stage::Ruled => "decides alone",
    }
    .into();
    shown["behind"] = candidate.lag.into();
    shown
}

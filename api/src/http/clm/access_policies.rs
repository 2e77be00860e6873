//! Policies about secrets by their names.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use clm_core::NewSecretsPolicy;
use serde_json::{Value, json};

const FIELDS: &[Parameter] = &[
    Parameter::new(
        "policy_document",
        Kind::Object,
        "`allowed_secrets`: names with `*` for a part or at the end; `allowed_operations`: create, delete, list, read, rotate, update, write; \
         `conditions`: `time_window` (`start`, `end`, `days`; UTC), `source_cidrs`, `max_ttl_seconds`",
    )
    .required(),
    Parameter::new(
        "entity_bindings",
        Kind::List,
        "`user:NAME` and `app_role:NAME`, or with their ids, and `certificate:SHA256`, for whose tokens it counts; none: for whoever carries its name",
    ),
    Parameter::new("max_ttl_seconds", Kind::Duration, "It counts for tokens so long after they were made"),
    Parameter::new("deny_policy", Kind::Boolean, "It forbids what it names, whatever others grant"),
];

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "access-policies",
        endpoints: &[Endpoint::new(
            Verb::List,
            "clm-list-access-policies",
            "Names of policies about secrets",
            |call| Box::pin(list(call)),
        )],
    },
    Route {
        pattern: "access-policies/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "clm-read-access-policy", "A policy about secrets", |call| Box::pin(read(call))),
            Endpoint::new(
                Verb::Write,
                "clm-write-access-policy",
                "Say which secrets may be used by whom and when; it counts at once",
                |call| Box::pin(write(call)),
            )
            .with(FIELDS),
            Endpoint::new(Verb::Delete, "clm-delete-access-policy", "Delete a policy about secrets", |call| {
                Box::pin(delete(call))
            }),
        ],
    },
];

async fn list(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    Ok(Answer::keys(core.list_secrets_policies(call.context.caller.organization_id).await?))
}

async fn read(call: Call) -> Result<Answer> {
    let organization_id = call.context.caller.organization_id;
    let found = call.context.services.core.secrets_policy(organization_id, call.capture("name")).await?;
    let Some(found) = found else { return Ok(Answer::nothing()) };
    let document: Value = serde_json::from_str(&found.policy.document)
        .map_err(|error| Error::Internal(format!("stored policy {}: {error}", found.name)))?;
    Ok(Answer::data(json!({
        "name": found.name,
        "policy_document": document,
        "entity_bindings": found.policy.entity_bindings,
        "max_ttl_seconds": found.policy.max_ttl_seconds,
        "deny_policy": found.policy.denies,
    })))
}

async fn write(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.put_secrets_policy(&call.context.caller, call.capture("name"), sent(&call)?).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_secrets_policy(&call.context.caller, call.capture("name")).await?;
    Ok(Answer::nothing())
}

fn sent(call: &Call) -> Result<NewSecretsPolicy> {
    let parameters = &call.parameters;
    let document = match parameters.value("policy_document") {
        Some(document @ Value::Object(_)) => document.to_string(),
        // A document in a text, as policies of the other kind are sent.
        Some(Value::String(text)) => text.clone(),
        _ => {
            return Err(Error::invalid(
                "'policy_document' must be an object: allowed_secrets, allowed_operations, conditions",
            ));
        }
    };
    Ok(NewSecretsPolicy {
        document,
        entity_bindings: parameters.list("entity_bindings")?.unwrap_or_default(),
        max_ttl_seconds: parameters.lasting("max_ttl_seconds")?,
        denies: parameters.flag("deny_policy")?.unwrap_or_default(),
    })
}

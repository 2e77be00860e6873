//! What generated passwords look like.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use clm_core::EntryKind;
use clm_core::access::PasswordPolicy;
use serde_json::json;

const POLICY: &[Parameter] =
    &[Parameter::new("policy", Kind::Text, "Length and character sets, HCL or JSON").required()];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "policies/password",
        endpoints: &[Endpoint::new(Verb::List, "password-policies-list", "Names of all password policies", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "policies/password/{name}/generate",
        endpoints: &[Endpoint::new(Verb::Read, "password-policies-generate", "A password", |call| {
            Box::pin(generate(call))
        })],
    },
    Route {
        pattern: "policies/password/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "password-policies-read", "One password policy", |call| Box::pin(read(call))),
            Endpoint::new(Verb::Write, "password-policies-write", "Say what passwords look like", |call| {
                Box::pin(write(call))
            })
            .with(POLICY),
            Endpoint::new(Verb::Delete, "password-policies-delete", "Delete a password policy", |call| {
                Box::pin(delete(call))
            }),
        ],
    },
];

async fn list(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entries = call.context.services.core.system_entries(organization, EntryKind::PasswordPolicy).await?;
    Ok(Answer::keys(entries.into_iter().map(|entry| entry.name).collect()))
}

async fn read(call: Call) -> Result<Answer> {
    Ok(text(&call).await?.map_or_else(Answer::nothing, |policy| Answer::data(json!({ "policy": policy }))))
}

async fn write(call: Call) -> Result<Answer> {
    let policy = call.parameters.text("policy")?.filter(|policy| !policy.is_empty());
    let policy = policy.ok_or_else(|| Error::invalid("missing password policy"))?;
    PasswordPolicy::parse(&policy)?.generate()?;
    let (core, name) = (&call.context.services.core, call.capture("name"));
    core.put_system_entry(&call.context.caller, EntryKind::PasswordPolicy, name, |_| Ok(json!({ "policy": policy })))
        .await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    super::delete_entry(&call, EntryKind::PasswordPolicy, call.capture("name")).await
}

async fn generate(call: Call) -> Result<Answer> {
    let Some(policy) = text(&call).await? else {
        return Err(Error::NotFound("policy does not exist".into()));
    };
    Ok(Answer::data(json!({ "password": *PasswordPolicy::parse(&policy)?.generate()? })))
}

async fn text(call: &Call) -> Result<Option<String>> {
    let (organization, name) = (call.context.caller.organization_id, call.capture("name"));
    let entry = call.context.services.core.system_entry(organization, EntryKind::PasswordPolicy, name).await?;
    Ok(entry.and_then(|entry| entry.document["policy"].as_str().map(str::to_owned)))
}

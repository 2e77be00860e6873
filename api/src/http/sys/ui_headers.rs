//! Headers of answers below `ui/`. There is no interface for people here; what answers in its place has them.

use super::audit::expect_root;
use crate::app::system_settings::{UiHeader, document};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use clm_core::EntryKind;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

const HEADER: &[Parameter] = &[
    Parameter::new("multivalue", Kind::Boolean, "Show all values (read)"),
    Parameter::new("values", Kind::List, "The header's values").required(),
];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "config/ui/headers",
        endpoints: &[Endpoint::new(Verb::List, "ui-headers-list", "Headers of answers below ui/", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "config/ui/headers/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "ui-headers-read", "One header of answers below ui/", |call| {
                Box::pin(read(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(Verb::Write, "ui-headers-write", "Give answers below ui/ a header", |call| {
                Box::pin(write(call))
            })
            .with(HEADER),
            Endpoint::new(Verb::Delete, "ui-headers-delete", "Do not any more", |call| Box::pin(delete(call))),
        ],
    },
];

async fn list(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entries = call.context.services.core.system_entries(organization, EntryKind::UiHeader).await?;
    Ok(Answer::keys(entries.into_iter().map(|entry| entry.name).collect()))
}

async fn read(call: Call) -> Result<Answer> {
    let (organization, name) = (call.context.caller.organization_id, call.capture("name").to_lowercase());
    let entry = call.context.services.core.system_entry(organization, EntryKind::UiHeader, &name).await?;
    let Some(header) = entry.as_ref().map(document::<UiHeader>).transpose()? else { return Ok(Answer::nothing()) };
    if call.parameters.flag("multivalue")?.unwrap_or_default() {
        return Ok(Answer::data(json!({ "values": header.values })));
    }
    Ok(Answer::data(json!({ "value": header.values.first(), "values": header.values })))
}

async fn write(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let name = call.capture("name").to_lowercase();
    if name.starts_with("x-vault-") {
        return Err(Error::invalid("X-Vault headers cannot be set"));
    }
    if name.parse::<HeaderName>().is_err() {
        return Err(Error::invalid(format!("{name:?} is no name of a header")));
    }
    let values = call.parameters.list("values")?.unwrap_or_default();
    if values.is_empty() || values.iter().any(|value| value.parse::<HeaderValue>().is_err()) {
        return Err(Error::invalid("values must be one value of a header or several"));
    }
    let core = &call.context.services.core;
    let document = json!(UiHeader { values });
    core.put_system_entry(&call.context.caller, EntryKind::UiHeader, &name, |_| Ok(document.clone())).await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let name = call.capture("name").to_lowercase();
    super::delete_entry(&call, EntryKind::UiHeader, &name).await
}

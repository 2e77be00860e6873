//! Which web pages may ask.

use super::audit::expect_root;
use crate::app::system_settings::{Cors, document};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use clm_core::EntryKind;
use serde_json::json;

const CORS: &[Parameter] = &[
    Parameter::new("allowed_headers", Kind::List, "Headers beyond those that clients of this API send"),
    Parameter::new("allowed_origins", Kind::List, "`https://host`, or `*`").required(),
];
/// Of the one entry.
const NAME: &str = "config";

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    pattern: "config/cors",
    endpoints: &[
        Endpoint::new(Verb::Read, "cors-read", "Which web pages may ask", |call| Box::pin(read(call)))
            .shaped(Shape::Injected),
        Endpoint::new(Verb::Write, "cors-write", "Let web pages ask", |call| Box::pin(write(call))).with(CORS),
        Endpoint::new(Verb::Delete, "cors-delete", "Do not any more", |call| Box::pin(delete(call))),
    ],
}];

async fn read(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entry = call.context.services.core.system_entry(organization, EntryKind::Cors, NAME).await?;
    Ok(Answer::data(match entry.as_ref().map(document::<Cors>).transpose()? {
        None => json!({ "enabled": false }),
        Some(cors) => json!({
            "enabled": true,
            "allowed_origins": cors.allowed_origins,
            "allowed_headers": crate::http::cors::allowed_headers(&cors).collect::<Vec<_>>(),
        }),
    }))
}

async fn write(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let allowed_origins = call.parameters.list("allowed_origins")?.unwrap_or_default();
    if allowed_origins.is_empty() {
        return Err(Error::invalid("at least one origin or the wildcard must be provided"));
    }
    if allowed_origins.len() > 1 && allowed_origins.iter().any(|origin| origin == "*") {
        return Err(Error::invalid("to allow all origins the '*' must be the only value for allowed_origins"));
    }
    let cors = Cors { allowed_origins, allowed_headers: call.parameters.list("allowed_headers")?.unwrap_or_default() };
    let core = &call.context.services.core;
    core.put_system_entry(&call.context.caller, EntryKind::Cors, NAME, |_| Ok(json!(cors))).await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    super::delete_entry(&call, EntryKind::Cors, NAME).await
}

//! Organizations as Vault's clients know them: namespaces. The rows are those of `clm/organizations`.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, Endpoint, Kind, Parameter, Route, Verb};
use clm_core::RegisteredKind;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

const NAMESPACE: &[Parameter] = &[Parameter::new("custom_metadata", Kind::Object, "Texts by name, kept and shown")];
const KIND: RegisteredKind = RegisteredKind::Organization;
/// Its own namespace is everybody's.
const ROOT: &str = "root";

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "namespaces",
        endpoints: &[Endpoint::new(Verb::List, "namespaces-list", "Paths of all namespaces", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "namespaces/{+path}",
        endpoints: &[
            Endpoint::new(Verb::Read, "namespaces-read", "One namespace", |call| Box::pin(read(call))),
            Endpoint::new(
                Verb::Write,
                "namespaces-write",
                "Make a namespace, or change what is kept with it",
                |call| Box::pin(write(call)),
            )
            .with(NAMESPACE)
            .creating(|context, _, captures| exists(context, captures)),
            Endpoint::new(Verb::Patch, "namespaces-patch", "Change some of what is kept with a namespace", |call| {
                Box::pin(patch(call))
            })
            .with(NAMESPACE),
            Endpoint::new(
                Verb::Delete,
                "namespaces-delete",
                "Delete a namespace, so that it can be restored",
                |call| Box::pin(delete(call)),
            ),
        ],
    },
    Route {
        pattern: "internal/ui/namespaces",
        endpoints: &[Endpoint::new(
            Verb::Read,
            "ui-namespaces",
            "Paths of namespaces that the caller may see something of",
            |call| Box::pin(visible(call)),
        )
        .any_token()],
    },
];

/// The code, from a path with or without its final slash.
fn code(path: &str) -> Result<&str> {
    let code = path.trim_matches('/');
    match code {
        _ if code.contains('/') => Err(Error::invalid("name must not contain /: organizations do not nest")),
        "" | ROOT => {
            Err(Error::invalid("the root namespace is always there, and is neither made, changed nor deleted"))
        }
        code => Ok(code),
    }
}

fn shown(organization: &Value) -> Value {
    let metadata = &organization["custom_metadata"];
    json!({
        "id": organization["id"],
        "uuid": organization["id"],
        "path": format!("{}/", organization["code"].as_str().unwrap_or_default()),
        "custom_metadata": if metadata.is_null() { json!({}) } else { metadata.clone() },
        "locked": organization["status"] != "active",
        "tainted": false,
    })
}

async fn found(context: &Context, code: &str) -> Result<Option<Value>> {
    let organization = context.services.core.registered(&context.caller, KIND, code).await?;
    Ok(organization.as_ref().map(shown))
}

fn exists<'c>(context: &'c Context, captures: &'c Captures) -> BoxFuture<'c, Result<bool>> {
    let path = captures.first().map(|(_, path)| path.as_str()).unwrap_or_default();
    Box::pin(async move {
        match code(path) {
            Ok(code) => Ok(found(context, code).await?.is_some()),
            Err(_) => Ok(false),
        }
    })
}

/// Inside a namespace there are none.
async fn list(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    if caller.organization_id != services.core.root_organization() {
        return Ok(Answer::nothing());
    }
    let (mut keys, mut info) = (Vec::new(), Map::new());
    for code in services.core.list_registered(caller, KIND, false).await? {
        if code == ROOT {
            continue;
        }
        let path = format!("{code}/");
        match found(&call.context, &code).await {
            Ok(namespace) => info.extend(namespace.map(|namespace| (path.clone(), namespace))),
            // Its alarm was raised; the others are shown.
            Err(Error::Tampered(_)) => {}
            Err(error) => return Err(error),
        }
        keys.push(path);
    }
    Ok(if keys.is_empty() { Answer::nothing() } else { Answer::data(json!({ "keys": keys, "key_info": info })) })
}

async fn read(call: Call) -> Result<Answer> {
    let Ok(code) = code(call.capture("path")) else { return Ok(Answer::nothing()) };
    Ok(found(&call.context, code).await?.map_or_else(Answer::nothing, Answer::data))
}

async fn write(call: Call) -> Result<Answer> {
    let code = code(call.capture("path"))?;
    let fields = match call.parameters.value("custom_metadata") {
        Some(metadata) if !metadata.is_null() => Map::from_iter([("custom_metadata".to_owned(), metadata.clone())]),
        _ => Map::new(),
    };
    call.context.register(KIND, code, fields).await?;
    Ok(found(&call.context, code).await?.map_or_else(Answer::nothing, Answer::data))
}

async fn patch(call: Call) -> Result<Answer> {
    let code = code(call.capture("path"))?;
    let Context { services, caller, .. } = &call.context;
    let none = Map::new();
    let patch = match call.parameters.value("custom_metadata") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(patch)) => patch,
        Some(_) => return Err(Error::invalid("custom_metadata is an object of texts by name")),
    };
    let patched = services.core.patch_custom_metadata(caller, code, patch).await;
    if !call.context.recorded("update", patched).await? {
        return Err(Error::NotFound("requested namespace does not exist".into()));
    }
    Ok(found(&call.context, code).await?.map_or_else(Answer::nothing, Answer::data))
}

async fn delete(call: Call) -> Result<Answer> {
    let code = code(call.capture("path"))?;
    let Context { services, caller, .. } = &call.context;
    let deleted = services.core.unregister(caller, KIND, code).await;
    call.context.recorded("delete", deleted).await?;
    Ok(Answer::nothing())
}

async fn visible(call: Call) -> Result<Answer> {
    let Context { services, authority, .. } = &call.context;
    let is_root = authority.organization_id() == services.core.root_organization();
    let namespaces = if is_root { services.core.namespaces() } else { Vec::new() };
    let seen = namespaces.into_iter().filter(|namespace| authority.touches(&namespace.path));
    Ok(Answer::data(json!({ "keys": seen.map(|namespace| namespace.path.to_string()).collect::<Vec<_>>() })))
}

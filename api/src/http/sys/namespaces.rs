//! Organizations as Vault's clients know them: namespaces. The rows are those of `clm/organizations`.

use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, Endpoint, Kind, Parameter, Route, Verb, captured};
use clm_core::RegisteredKind;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NAMESPACE: &[Parameter] = &[Parameter::new("custom_metadata", Kind::Object, "Texts by name, kept and shown")];
const UNLOCK: &[Parameter] =
    &[Parameter::new("unlock_key", Kind::Text, "The key that locking gave; a token with the policy root needs none")];
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
        pattern: "namespaces/api-lock/lock",
        endpoints: &[Endpoint::new(
            Verb::Write,
            "namespaces-lock",
            "Have the caller's namespace answer nothing until it is unlocked; gives the key for that",
            |call| Box::pin(lock(call)),
        )],
    },
    Route {
        pattern: "namespaces/api-lock/lock/{+path}",
        endpoints: &[Endpoint::new(
            Verb::Write,
            "namespaces-lock-below",
            "Have a namespace answer nothing until it is unlocked; gives the key for that",
            |call| Box::pin(lock(call)),
        )],
    },
    Route {
        pattern: "namespaces/api-lock/unlock",
        endpoints: &[Endpoint::new(Verb::Write, "namespaces-unlock", "Unlock the caller's namespace", |call| {
            Box::pin(unlock(call))
        })
        .with(UNLOCK)],
    },
    Route {
        pattern: "namespaces/api-lock/unlock/{+path}",
        endpoints: &[Endpoint::new(Verb::Write, "namespaces-unlock-below", "Unlock a namespace", |call| {
            Box::pin(unlock(call))
        })
        .with(UNLOCK)],
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

/// The organization whose namespace is meant: the caller's own, or the one that the path names, which only the root namespace has below it.
fn meant(call: &Call) -> Result<Uuid> {
    let Context { services, caller, .. } = &call.context;
    let below = call.capture("path").trim_matches('/');
    if below.is_empty() {
        return Ok(caller.organization_id);
    }
    let absent = || Error::invalid(format!("there is no namespace {below:?} below this one"));
    if caller.organization_id != services.core.root_organization() {
        return Err(absent());
    }
    let known = services.core.namespaces();
    let found = known.iter().find(|namespace| namespace.path.trim_matches('/') == below);
    Ok(found.ok_or_else(absent)?.id)
}

async fn lock(call: Call) -> Result<Answer> {
    let Context { services, caller, .. } = &call.context;
    let key = services.core.lock_namespace(caller, meant(&call)?).await?;
    Ok(Answer::data(json!({ "unlock_key": key.expose_secret() })))
}

async fn unlock(call: Call) -> Result<Answer> {
    let Context { services, caller, authority, .. } = &call.context;
    let key = call.parameters.text("unlock_key")?.filter(|key| !key.is_empty()).map(SecretString::from);
    services.core.unlock_namespace(caller, meant(&call)?, key.as_ref(), authority.is_root()).await?;
    Ok(Answer::nothing())
}

fn shown(context: &Context, organization: &Value) -> Value {
    let id = organization["id"].as_str().unwrap_or_default();
    let locked = context.services.core.namespaces().iter().any(|known| known.locked && known.id.to_string() == id);
    let metadata = &organization["custom_metadata"];
    json!({
        "id": organization["id"],
        "uuid": organization["id"],
        "path": format!("{}/", organization["code"].as_str().unwrap_or_default()),
        "custom_metadata": if metadata.is_null() { json!({}) } else { metadata.clone() },
        "locked": locked || organization["status"] != "active",
        "tainted": false,
    })
}

async fn found(context: &Context, code: &str) -> Result<Option<Value>> {
    let organization = context.services.core.registered(&context.caller, KIND, code).await?;
    Ok(organization.map(|organization| shown(context, &organization)))
}

fn exists<'c>(context: &'c Context, captures: &'c Captures) -> BoxFuture<'c, Result<bool>> {
    let path = captured(captures, "path");
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
    if !services.core.patch_custom_metadata(caller, code, patch).await? {
        return Err(Error::NotFound("requested namespace does not exist".into()));
    }
    Ok(found(&call.context, code).await?.map_or_else(Answer::nothing, Answer::data))
}

async fn delete(call: Call) -> Result<Answer> {
    let code = code(call.capture("path"))?;
    let Context { services, caller, .. } = &call.context;
    services.core.unregister(caller, KIND, code).await?;
    Ok(Answer::nothing())
}

async fn visible(call: Call) -> Result<Answer> {
    let Context { services, authority, .. } = &call.context;
    let is_root = authority.organization_id() == services.core.root_organization();
    let namespaces = if is_root { services.core.namespaces() } else { Vec::new() };
    let seen = namespaces.into_iter().filter(|namespace| authority.touches(&namespace.path));
    Ok(Answer::data(json!({ "keys": seen.map(|namespace| namespace.path.to_string()).collect::<Vec<_>>() })))
}

//! Engines and login methods, which are all part of the program: what clients call plugins.

use super::audit::expect_root;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use clm_core::{MountClass, mountable};
use serde_json::{Map, Value, json};

/// As clients read which release a plugin is of.
const RELEASE: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.clm");
const REFUSED: &str =
    "engines and login methods are part of this program: none can be registered, taken away or loaded anew";

const PLUGIN: &[Parameter] = &[
    Parameter::new("args", Kind::List, "Not supported"),
    Parameter::new("command", Kind::Text, "Not supported"),
    Parameter::new("env", Kind::List, "Not supported"),
    Parameter::new("sha256", Kind::Text, "Not supported"),
    Parameter::new("version", Kind::Text, "Not supported"),
];
const RELOADED: &[Parameter] = &[
    Parameter::new("mounts", Kind::List, "Not supported"),
    Parameter::new("plugin", Kind::Text, "Not supported"),
    Parameter::new("scope", Kind::Text, "Not supported"),
];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "plugins/catalog",
        endpoints: &[Endpoint::new(Verb::Read, "plugins-read-catalog", "All engines and login methods", |call| {
            Box::pin(catalog(call))
        })],
    },
    Route {
        pattern: "plugins/catalog/{plugin_type}",
        endpoints: &[Endpoint::new(Verb::List, "plugins-list", "Those of a type: auth, database or secret", |call| {
            Box::pin(list(call))
        })],
    },
    Route {
        pattern: "plugins/catalog/{plugin_type}/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "plugins-read", "One engine or login method", |call| Box::pin(read(call))),
            Endpoint::new(Verb::Write, "plugins-register", "Refused: all are part of the program", |call| {
                Box::pin(refuse(call))
            })
            .with(PLUGIN),
            Endpoint::new(Verb::Delete, "plugins-deregister", "Refused: all are part of the program", |call| {
                Box::pin(refuse(call))
            }),
        ],
    },
    Route {
        pattern: "plugins/reload/backend",
        endpoints: &[Endpoint::new(Verb::Write, "plugins-reload", "Refused: all are part of the program", |call| {
            Box::pin(refuse(call))
        })
        .with(RELOADED)],
    },
];

/// Types, and what there is of each. There are no engines for databases.
fn known(plugin_type: &str) -> Result<Vec<&'static str>> {
    match plugin_type {
        "auth" => Ok(mountable(MountClass::Auth)),
        "database" => Ok(Vec::new()),
        "secret" => Ok(mountable(MountClass::Secret)),
        other => Err(Error::invalid(format!("{other:?} is not a type of plugin: auth, database and secret are"))),
    }
}

async fn catalog(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let (mut data, mut detailed) = (Map::new(), Vec::new());
    for plugin_type in ["auth", "database", "secret"] {
        let names = known(plugin_type)?;
        detailed.extend(names.iter().map(|name| {
            json!({
                "builtin": true,
                "deprecation_status": "supported",
                "name": name,
                "type": plugin_type,
                "version": RELEASE,
            })
        }));
        data.insert(plugin_type.into(), names.into());
    }
    data.insert("detailed".into(), detailed.into());
    Ok(Answer::data(Value::Object(data)))
}

async fn list(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Ok(Answer::keys(known(call.capture("plugin_type"))?.into_iter().map(str::to_owned).collect()))
}

async fn read(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let name = call.capture("name");
    if !known(call.capture("plugin_type"))?.contains(&name) {
        return Ok(Answer::nothing());
    }
    Ok(Answer::data(json!({
        "args": [],
        "builtin": true,
        "command": "",
        "deprecation_status": "supported",
        "name": name,
        "sha256": "",
        "version": RELEASE,
    })))
}

async fn refuse(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    Err(Error::invalid(REFUSED))
}

//! What a caller is told of the API by `sys/internal/specs/openapi` and `?help=1`: as Vault tells it, in OpenAPI 3.0.2, what is mounted and where it is
//! mounted (docs/decisions/0009-openapi-in-two-editions.md).

use super::{components, path_item, plain};
use crate::http::{ENGINES, Engine, Route, VERSION};
use clm_core::{Mount, MountClass};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

const EDITION: &str = "3.0.2";

/// What lies below these mounts, by its path behind `/v1`. `generic`: a parameter stands where an engine is mounted, once for all of its mounts.
pub(in crate::http) fn of_mounts(mounts: &[Arc<Mount>], generic: bool) -> Value {
    let (mut paths, mut named) = (Map::new(), HashMap::new());
    for mount in mounts {
        let place = Place::of(mount, generic);
        for engine in ENGINES.iter().filter(|engine| engine.mount_type == mount.engine()) {
            for route in engine.routes {
                paths.entry(format!("/{}{}", place.path, plain(route.pattern))).or_insert_with(|| {
                    let mut item = path_item(engine, route);
                    item.values_mut().for_each(|operation| name(operation, &mut named));
                    place.describe(&mut item);
                    Value::Object(item)
                });
            }
        }
    }
    let mut document = json!({
        "openapi": EDITION,
        "info": {
            "title": "clm",
            "description": "HTTP API that gives you full access to the service. All API routes are prefixed with `/v1/`.",
            "version": VERSION,
            "license": { "name": "Apache-2.0" },
        },
        "servers": [{ "url": "/v1" }],
        "paths": paths,
        "components": components(),
        "security": [{ "token": [] }, { "bearer": [] }],
    });
    into_edition(&mut document);
    document
}

/// One route, for `?help=1`.
pub(in crate::http) fn of_route(route: &'static Route) -> Value {
    let has_it = |engine: &&Engine| engine.routes.iter().any(|known| std::ptr::eq(known, route));
    let Some(engine) = ENGINES.iter().find(has_it) else { return Value::Null };
    let paths = json!({ format!("/{}", plain(route.pattern)): path_item(engine, route) });
    let mut document = json!({ "openapi": EDITION, "paths": paths });
    into_edition(&mut document);
    document
}

/// Where a mount is told to be.
struct Place {
    path: String,
    /// The parameter in it, and what it is where nobody says otherwise.
    parameter: Option<(String, String)>,
}

impl Place {
    fn of(mount: &Mount, generic: bool) -> Self {
        let class = if mount.class == MountClass::Auth { "auth/" } else { "" };
        // What is built in stands in one place.
        if !generic || mount.builtin {
            return Self { path: format!("{class}{}", mount.path), parameter: None };
        }
        let parameter = format!("{}_mount_path", mount.engine().replace('-', "_"));
        let usual = ENGINES.iter().find(|engine| engine.mount_type == mount.engine());
        let usual = usual.map_or("", |engine| engine.usual_path.strip_prefix(class).unwrap_or(engine.usual_path));
        let default = usual.trim_end_matches('/').to_owned();
        Self { path: format!("{class}{{{parameter}}}/"), parameter: Some((parameter, default)) }
    }

    fn describe(&self, item: &mut Map<String, Value>) {
        let Some((name, default)) = &self.parameter else { return };
        let schema = json!({ "type": "string", "default": default });
        let parameter = json!({ "name": name, "in": "path", "required": true, "description": "Where it is mounted", "schema": schema });
        if let Some(parameters) = item.entry("parameters").or_insert_with(|| json!([])).as_array_mut() {
            parameters.insert(0, parameter);
        }
    }
}

/// No two operations of a document have one id: the second of an engine that is mounted twice ends in `_2`.
fn name(operation: &mut Value, named: &mut HashMap<String, u32>) {
    let Some(Value::String(id)) = operation.get_mut("operationId") else { return };
    let times = named.entry(id.clone()).and_modify(|times| *times += 1).or_insert(1);
    if *times > 1 {
        *id = format!("{id}_{times}");
    }
}

/// 3.0 knows no lists of types: what may be null says so, and what may be either of two is one of them.
fn into_edition(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(into_edition),
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get("type").cloned() {
                fields.shift_remove("type");
                let (null, others): (Vec<_>, Vec<_>) = types.into_iter().partition(|one| one == "null");
                if !null.is_empty() {
                    fields.insert("nullable".into(), true.into());
                }
                match others.as_slice() {
                    [only] => fields.insert("type".into(), only.clone()),
                    _ => fields.insert("oneOf".into(), others.iter().map(|one| json!({ "type": one })).collect()),
                };
            }
            fields.values_mut().for_each(into_edition);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_the_edition_has_them() {
        let mut schema = json!({
            "properties": {
                "type": { "type": "string", "enum": ["a"] },
                "data": { "type": ["object", "null"] },
                "ttl": { "type": ["integer", "string"], "format": "duration" },
            },
        });
        into_edition(&mut schema);
        let expected = json!({
            "properties": {
                "type": { "type": "string", "enum": ["a"] },
                "data": { "type": "object", "nullable": true },
                "ttl": { "oneOf": [{ "type": "integer" }, { "type": "string" }], "format": "duration" },
            },
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn whoever_sees_no_mount_is_told_no_path() {
        let document = of_mounts(&[], false);
        assert_eq!((&document["openapi"], &document["paths"]), (&json!("3.0.2"), &json!({})));
    }
}

//! The tables as OpenAPI: all of them in 3.1 ([`document`]), and what of them a caller is told in 3.0.2 (`served`).
//!
//! OpenAPI has no method LIST: a list is a GET with `list=true` in its query, which the service takes as well.

mod served;

// The public interface is:
pub(super) use served::{of_mounts, of_route};

use super::page::Page;
use super::table::{Endpoint, Kind, Route, Shape, Verb};
use super::{ENGINES, Engine, VERSION};
use serde_json::{Map, Value, json};

/// The whole API, with every engine where it usually is.
pub fn document() -> Value {
    let mut paths = Map::new();
    for engine in ENGINES {
        for route in engine.routes {
            let mut item = path_item(engine, route);
            item.insert("x-vault-mount".into(), engine.usual_path.into());
            paths.insert(format!("/v1/{}{}", engine.usual_path, plain(route.pattern)), Value::Object(item));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "clm",
            "description": "A key service whose private keys live in an HSM, with the API of HashiCorp Vault. `X-Vault-Namespace: CODE`, or `CODE/` in front of the path, names the organization that a request acts in.",
            "version": VERSION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": components(),
        "security": [{ "token": [] }, { "bearer": [] }],
    })
}

/// `{+path}` as OpenAPI writes it.
fn plain(pattern: &str) -> String {
    pattern.replace("{+", "{")
}

fn path_item(engine: &Engine, route: &'static Route) -> Map<String, Value> {
    let mut item = Map::new();
    let captures: Vec<Value> = plain(route.pattern)
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if !captures.is_empty() {
        item.insert("parameters".into(), captures.into());
    }
    for endpoint in route.endpoints {
        let method = match endpoint.verb {
            Verb::Delete => "delete",
            Verb::List if item.contains_key("get") => continue,
            Verb::List | Verb::Read => "get",
            Verb::Patch => "patch",
            Verb::Write => "post",
        };
        item.insert(method.into(), operation(engine, route, endpoint));
    }
    item
}

fn operation(engine: &Engine, route: &'static Route, endpoint: &'static Endpoint) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), endpoint.id.into());
    operation.insert("summary".into(), endpoint.summary.into());
    operation.insert("tags".into(), json!([engine.mount_type]));
    if endpoint.is_open() {
        operation.insert("security".into(), json!([]));
    }
    if endpoint.takes_any_field() {
        let schema = json!({ "type": "object", "additionalProperties": true });
        operation.insert("requestBody".into(), json!({ "content": { "application/json": { "schema": schema } } }));
    } else if endpoint.verb.has_body() && !endpoint.parameters.is_empty() {
        let kind = if endpoint.verb == Verb::Patch { "application/merge-patch+json" } else { "application/json" };
        operation.insert("requestBody".into(), json!({ "content": { kind: { "schema": body_schema(endpoint) } } }));
    } else {
        let mut parameters = query(endpoint);
        let both = route.endpoints.iter().any(|other| other.verb == Verb::List);
        if both && matches!(endpoint.verb, Verb::Read | Verb::List) {
            let must = endpoint.verb == Verb::List;
            let schema = json!({ "type": "string", "enum": ["true"] });
            parameters.push(json!({ "name": "list", "in": "query", "required": must, "schema": schema }));
        }
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
    }
    operation.insert("responses".into(), responses(endpoint));
    operation.insert("x-clm-audited".into(), endpoint.audited.into());
    Value::Object(operation)
}

fn query(endpoint: &Endpoint) -> Vec<Value> {
    let shown = |parameter: &super::Parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "schema": schema(parameter.kind),
        })
    };
    let pages = Page::FIELDS.map(|(name, description)| {
        let kind = if name == "limit" { Kind::Integer } else { Kind::Text };
        shown(&super::Parameter::new(name, kind, description))
    });
    let pages = pages.into_iter().filter(|_| endpoint.is_cut_in_pages());
    endpoint.parameters.iter().map(shown).chain(pages).collect()
}

fn body_schema(endpoint: &Endpoint) -> Value {
    let properties: Map<String, Value> = endpoint
        .parameters
        .iter()
        .map(|parameter| {
            let mut schema = schema(parameter.kind);
            schema["description"] = parameter.description.into();
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> =
        endpoint.parameters.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Duration => json!({ "type": ["integer", "string"], "format": "duration" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Objects => json!({ "type": "array", "items": { "type": "object" } }),
        Kind::Object | Kind::Texts => json!({ "type": "object" }),
        Kind::Text => json!({ "type": "string" }),
    }
}

fn responses(endpoint: &Endpoint) -> Value {
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let body = if endpoint.shape == Shape::Bare {
        json!({ "type": "object" })
    } else {
        json!({ "$ref": "#/components/schemas/Envelope" })
    };
    json!({
        "200": { "description": "Done", "content": content(body) },
        "default": {
            "description": "Refused or failed; 204 and 404 where there is nothing to say",
            "content": content(json!({ "$ref": "#/components/schemas/Errors" })),
        },
    })
}

fn components() -> Value {
    json!({
        "schemas": {
            "Envelope": {
                "type": "object",
                "required": [
                    "request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"
                ],
                "properties": {
                    "request_id": { "type": "string", "format": "uuid" },
                    "lease_id": { "type": "string" },
                    "renewable": { "type": "boolean" },
                    "lease_duration": { "type": "integer" },
                    "data": { "type": ["object", "null"] },
                    "wrap_info": { "type": ["object", "null"] },
                    "warnings": { "type": ["array", "null"], "items": { "type": "string" } },
                    "auth": { "type": ["object", "null"] },
                },
            },
            "Errors": {
                "type": "object",
                "required": ["errors"],
                "properties": { "errors": { "type": "array", "items": { "type": "string" } } },
            },
        },
        "securitySchemes": {
            "token": { "type": "apiKey", "in": "header", "name": "X-Vault-Token" },
            "bearer": { "type": "http", "scheme": "bearer" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_it() {
        let document = document();
        for route in super::super::routes() {
            assert!(document["paths"].get(plain(&route.path)).is_some(), "{}", route.path);
        }
    }
}

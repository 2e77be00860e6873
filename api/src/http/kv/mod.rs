//! Secrets. Version 2 of the engine keeps versions, version 1 one value a path; a mount says by an option which it is.

mod config;
mod data;
mod metadata;
pub(super) mod shown;
mod single;
mod versions;

pub(super) use data::sent;

use super::answer::{HttpResponse, empty, errors, warned};
use super::call::Call;
use super::table::{Captures, Endpoint, Kind, Parameter, Route, Verb, captured};
use crate::app::{self, Context};
use Verb::{Delete, List, Patch, Read, Write};
use clm_core::Mount;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use keyvault::secret::SecretName;
use uuid::Uuid;

const DATA: Parameter = Parameter::new("data", Kind::Object, "What the secret holds").required();
const OPTIONS: Parameter =
    Parameter::new("options", Kind::Object, "`cas`: the version that the new one must follow, 0 if there must be none");
const VERSION: Parameter = Parameter::new("version", Kind::Integer, "Version; 0: the newest");
const VERSIONS: Parameter = Parameter::new("versions", Kind::List, "Their numbers").required();
const MAX_VERSIONS: Parameter = Parameter::new(
    "max_versions",
    Kind::Integer,
    "How many versions are kept, up to 10000; 0: as the mount says, there 10",
);
const CAS_REQUIRED: Parameter =
    Parameter::new("cas_required", Kind::Boolean, "Whether each write must say which version it follows");
const DELETE_VERSION_AFTER: Parameter = Parameter::new(
    "delete_version_after",
    Kind::Duration,
    "When new versions are deleted by themselves; negative: never",
);
const CUSTOM_METADATA: Parameter =
    Parameter::new("custom_metadata", Kind::Texts, "Up to 64 texts of your own, readable by who may read metadata");
const SETTINGS: &[Parameter] = &[MAX_VERSIONS, CAS_REQUIRED, DELETE_VERSION_AFTER];
const METADATA: &[Parameter] = &[MAX_VERSIONS, CAS_REQUIRED, DELETE_VERSION_AFTER, CUSTOM_METADATA];

/// Version 1.
pub(super) const FIRST: &[Route] = &[
    Route {
        pattern: "",
        endpoints: &[Endpoint::new(List, "kv1-list-all", "Names of all that is kept", |call| {
            Box::pin(single::list(call))
        })
        .audited(true)],
    },
    Route {
        pattern: "{+path}",
        endpoints: &[
            Endpoint::new(Read, "kv1-read", "What is kept there", |call| Box::pin(single::read(call))).audited(true),
            Endpoint::new(List, "kv1-list", "Names of what is kept below", |call| Box::pin(single::list(call)))
                .audited(true),
            Endpoint::new(Write, "kv1-write", "Keep all fields of the body there", |call| {
                Box::pin(single::write(call))
            })
            .with(&[Parameter::ANY])
            .creating(exists),
            Endpoint::new(Delete, "kv1-delete", "Delete what is kept there", |call| Box::pin(single::delete(call))),
        ],
    },
];

/// Version 2.
pub(super) const SECOND: &[Route] = &[
    Route {
        pattern: "config",
        endpoints: &[
            Endpoint::new(Read, "kv2-read-config", "Settings of the mount", |call| Box::pin(config::read(call)))
                .audited(true),
            Endpoint::new(Write, "kv2-write-config", "Change settings of the mount", |call| {
                Box::pin(config::write(call))
            })
            .with(SETTINGS),
        ],
    },
    Route {
        pattern: "data/{+path}",
        endpoints: &[
            Endpoint::new(Read, "kv2-read-data", "A version of a secret", |call| Box::pin(data::read(call)))
                .with(&[VERSION])
                .audited(true),
            Endpoint::new(Write, "kv2-write-data", "Write a new version", |call| Box::pin(data::write(call)))
                .with(&[DATA, OPTIONS])
                .creating(exists),
            Endpoint::new(
                Patch,
                "kv2-patch-data",
                "Write a new version, the newest with some fields changed",
                |call| Box::pin(data::patch(call)),
            )
            .with(&[DATA, OPTIONS]),
            Endpoint::new(Delete, "kv2-delete-data", "Delete the newest version; it can come back", |call| {
                Box::pin(versions::delete_newest(call))
            }),
        ],
    },
    Route {
        pattern: "delete/{+path}",
        endpoints: &[Endpoint::new(Write, "kv2-delete-versions", "Delete versions; they can come back", |call| {
            Box::pin(versions::delete(call))
        })
        .with(&[VERSIONS])],
    },
    Route {
        pattern: "destroy/{+path}",
        endpoints: &[Endpoint::new(Write, "kv2-destroy-versions", "Destroy versions for good", |call| {
            Box::pin(versions::destroy(call))
        })
        .with(&[VERSIONS])],
    },
    Route {
        pattern: "metadata",
        endpoints: &[Endpoint::new(List, "kv2-list-all", "Names of all secrets", |call| {
            Box::pin(metadata::list(call))
        })
        .audited(true)],
    },
    Route {
        pattern: "metadata/{+path}",
        endpoints: &[
            Endpoint::new(Read, "kv2-read-metadata", "Settings and versions of a secret", |call| {
                Box::pin(metadata::read(call))
            })
            .audited(true),
            Endpoint::new(List, "kv2-list", "Names of secrets below", |call| Box::pin(metadata::list(call)))
                .audited(true),
            Endpoint::new(
                Write,
                "kv2-write-metadata",
                "Change settings of a secret; it is made if it is not there",
                |call| Box::pin(metadata::write(call)),
            )
            .with(METADATA)
            .creating(exists),
            Endpoint::new(Patch, "kv2-patch-metadata", "Change some settings of a secret", |call| {
                Box::pin(metadata::patch(call))
            })
            .with(METADATA),
            Endpoint::new(Delete, "kv2-delete-metadata", "Delete a secret with all its versions, for good", |call| {
                Box::pin(metadata::delete(call))
            }),
        ],
    },
    Route {
        pattern: "subkeys/{+path}",
        endpoints: &[Endpoint::new(
            Read,
            "kv2-read-subkeys",
            "Names of a version's fields, without what they hold",
            |call| Box::pin(data::subkeys(call)),
        )
        .with(&[VERSION, Parameter::new("depth", Kind::Integer, "How deep to look; 0: all the way")])
        .audited(true)],
    },
    Route {
        pattern: "undelete/{+path}",
        endpoints: &[Endpoint::new(Write, "kv2-undelete-versions", "Bring deleted versions back", |call| {
            Box::pin(versions::undelete(call))
        })
        .with(&[VERSIONS])],
    },
];

/// What is answered where an engine of this kind offers nothing.
pub(super) fn elsewhere(engine: &str, verb: Verb, path: &str, request_id: Uuid) -> Option<HttpResponse> {
    match (engine, verb) {
        ("kv-v1", Write) => Some(errors(StatusCode::BAD_REQUEST, &["missing path"])),
        ("kv-v1", Read) => Some(errors(StatusCode::NOT_FOUND, &[])),
        ("kv-v1", Delete) => Some(empty(StatusCode::NO_CONTENT)),
        ("kv-v2", Read) if path == "metadata/" => Some(errors(StatusCode::NOT_FOUND, &[])),
        ("kv-v2", _) => {
            let warning = if path.trim_end_matches('/') == "data" {
                "Non-listing operations on the root of a K/V v2 mount are not supported."
            } else {
                "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation."
            };
            Some(warned(StatusCode::NOT_FOUND, request_id, warning))
        }
        _ => None,
    }
}

/// The secret that a path names.
fn named(call: &Call) -> SecretName {
    SecretName { mount_id: call.mount.id, path: call.capture("path").to_owned() }
}

fn exists<'c>(context: &'c Context, mount: &'c Mount, captures: &'c Captures) -> BoxFuture<'c, app::Result<bool>> {
    let path = captured(captures, "path").to_owned();
    let name = SecretName { mount_id: mount.id, path };
    Box::pin(async move { context.secret_exists(&name).await })
}

//! What clients ask for themselves.

use crate::http::sys::{capabilities, field, internal};
use crate::http::table::{Endpoint, Kind, Route, Shape, Verb};
use Kind::Boolean;
use Verb::Read;

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "internal/ui/mounts",
        endpoints: &[Endpoint::open(Read, "ui-mounts-list", "Mounts that the caller may see something of", |call| {
            Box::pin(internal::mounts(call))
        })
        .shaped(Shape::Envelope)
        .audited(true)],
    },
    Route {
        pattern: "internal/ui/mounts/{+path}",
        endpoints: &[Endpoint::new(Read, "ui-mounts-read", "The mount that a path lies in", |call| {
            Box::pin(internal::mount(call))
        })
        .any_token()],
    },
    Route {
        pattern: "internal/ui/resultant-acl",
        endpoints: &[Endpoint::new(Read, "ui-resultant-acl", "All that the caller's policies grant", |call| {
            Box::pin(capabilities::resultant(call))
        })],
    },
    Route {
        pattern: "internal/specs/openapi",
        endpoints: &[Endpoint::open(
            Read,
            "openapi",
            "What of this API the caller may see something of, as OpenAPI 3.0",
            |call| Box::pin(internal::openapi(call)),
        )
        .with(&[field("generic_mount_paths", Boolean, "`{transit_mount_path}` in place of where an engine is mounted")])
        .audited(true)],
    },
];

//! Where engines and login methods are mounted.

use crate::http::sys::{auth, field, mounts, remount};
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use Kind::{Boolean, Duration, List, Object, Text, Texts};
use Verb::{Delete, Read, Write};

const MOUNT: &[Parameter] = &[
    field("config", Texts, "default_lease_ttl, max_lease_ttl, force_no_cache, listing_visibility, …"),
    field("description", Text, "A word for people"),
    field("external_entropy_access", Boolean, "Read, without meaning here"),
    field("local", Boolean, "Kept and shown"),
    field("options", Texts, "The engine's own"),
    field("plugin_name", Text, "Read, without meaning here"),
    field("seal_wrap", Boolean, "Kept and shown"),
    field("type", Text, "The engine: transit, kv, kv-v1 or kv-v2").required(),
];
const TUNE: &[Parameter] = &[
    field("allowed_response_headers", List, "Kept and shown"),
    field("audit_non_hmac_request_keys", List, "Kept and shown"),
    field("audit_non_hmac_response_keys", List, "Kept and shown"),
    field("default_lease_ttl", Duration, "Seconds, a duration, or `system`"),
    field("description", Text, "A word for people"),
    field("force_no_cache", Boolean, "Kept and shown"),
    field("listing_visibility", Text, "unauth or hidden"),
    field("max_lease_ttl", Duration, "Seconds, a duration, or `system`"),
    field("options", Texts, "The engine's own"),
    field("passthrough_request_headers", List, "Kept and shown"),
    field("token_type", Text, "Of login methods: service, batch, default-service or default-batch"),
    field(
        "user_lockout_config",
        Object,
        "Of userpass: lockout_threshold, lockout_duration, lockout_counter_reset_duration, lockout_disable; 0 or `system`: the service's",
    ),
];
const LOGIN: &[Parameter] = &[
    field("config", Texts, "default_lease_ttl, max_lease_ttl, listing_visibility, token_type, user_lockout_config, …"),
    field("description", Text, "A word for people"),
    field("external_entropy_access", Boolean, "Read, without meaning here"),
    field("local", Boolean, "Kept and shown"),
    field("options", Texts, "The method's own"),
    field("plugin_name", Text, "Read, without meaning here"),
    field("seal_wrap", Boolean, "Kept and shown"),
    field("type", Text, "The method").required(),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "mounts",
        endpoints: &[Endpoint::new(Read, "mounts-list", "All mounts", |call| Box::pin(mounts::list(call)))
            .shaped(Shape::Injected)],
    },
    Route {
        pattern: "mounts/{+path}/tune",
        endpoints: &[
            Endpoint::new(Read, "mounts-read-tuning", "Settings of a mount as they work out", |call| {
                Box::pin(mounts::read_tuning(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(Write, "mounts-tune", "Change settings of a mount", |call| Box::pin(mounts::tune(call)))
                .with(TUNE),
        ],
    },
    Route {
        pattern: "mounts/{+path}",
        endpoints: &[
            Endpoint::new(Read, "mounts-read", "One mount", |call| Box::pin(mounts::read(call)))
                .shaped(Shape::Injected),
            Endpoint::new(Write, "mounts-enable", "Mount an engine", |call| Box::pin(mounts::enable(call))).with(MOUNT),
            Endpoint::new(Delete, "mounts-disable", "Unmount an engine", |call| Box::pin(mounts::disable(call))),
        ],
    },
    Route {
        pattern: "auth",
        endpoints: &[Endpoint::new(Read, "auth-list", "All ways to log in", |call| Box::pin(auth::list(call)))
            .shaped(Shape::Injected)],
    },
    Route {
        pattern: "auth/{+path}/tune",
        endpoints: &[
            Endpoint::new(Read, "auth-read-tuning", "Settings of a way to log in as they work out", |call| {
                Box::pin(auth::read_tuning(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(Write, "auth-tune", "Change settings of a way to log in", |call| Box::pin(auth::tune(call)))
                .with(TUNE),
        ],
    },
    Route {
        pattern: "auth/{+path}",
        endpoints: &[
            Endpoint::new(Read, "auth-read", "One way to log in", |call| Box::pin(auth::read(call)))
                .shaped(Shape::Injected),
            Endpoint::new(Write, "auth-enable", "Enable a way to log in", |call| Box::pin(auth::enable(call)))
                .with(LOGIN),
            Endpoint::new(Delete, "auth-disable", "Disable a way to log in; its tokens end", |call| {
                Box::pin(auth::disable(call))
            }),
        ],
    },
    Route {
        pattern: "remount",
        endpoints: &[Endpoint::new(Write, "remount", "Move a mount with all that belongs to it", |call| {
            Box::pin(remount::remount(call))
        })
        .with(&[field("from", Text, "Where it is").required(), field("to", Text, "Where it shall be").required()])
        .shaped(Shape::Injected)],
    },
    Route {
        pattern: "remount/status/{id}",
        endpoints: &[Endpoint::new(Read, "remount-status", "How far a move is", |call| {
            Box::pin(remount::status(call))
        })],
    },
];

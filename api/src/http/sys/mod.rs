//! `sys/`: the life of the service, mounts, policies, capabilities.

mod audit;
mod auth;
mod capabilities;
mod cors;
mod generate_root;
mod health;
mod hsm;
mod init;
mod integrity;
mod internal;
mod leases;
mod metrics;
mod mounts;
mod namespaces;
mod passwords;
mod policies;
mod quotas;
mod rekey;
mod remount;
mod rotate;
mod seal;
mod wrapping;

pub(super) use metrics::CONTENT_TYPE as METRICS_CONTENT_TYPE;
pub(super) use wrapping::envelope as wrapping_envelope;

use super::answer::Answer;
use super::call::Call;
use super::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use super::transit::tools;
use crate::app::Result;
use Kind::{Boolean, Duration, Integer, List, Text, Texts};
use Verb::{Delete, Read, Write};
use clm_core::EntryKind;

/// What is in files of its own; narrower paths before wider ones, within a table and from one to the next.
pub(super) const TABLES: [&[Route]; 7] =
    [audit::ROUTES, cors::ROUTES, leases::ROUTES, namespaces::ROUTES, passwords::ROUTES, quotas::ROUTES, rekey::ROUTES];

/// Deletes what was made through `sys/`; nothing there is as good.
async fn delete_entry(call: &Call, kind: EntryKind, name: &str) -> Result<Answer> {
    let services = &call.context.services;
    let deleted = services.core.delete_system_entry(&call.context.caller, kind, name).await;
    call.context.recorded("delete", deleted).await?;
    call.state.system.reread(services).await?;
    Ok(Answer::nothing())
}

const LIST: Verb = Verb::List;

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const fn rotation(id: &'static str) -> Endpoint {
    let summary =
        "Make a new data key, under which secrets are encrypted from now on, and in time those that are there";
    Endpoint::new(Write, id, summary, |call| Box::pin(rotate::rotate(call)))
}

const HEALTH: &[Parameter] = &[
    field("activecode", Integer, "Status when the service works"),
    field("sealedcode", Integer, "Status when it is sealed or its HSM is away"),
    field("standbycode", Integer, "Read; there are no standbys"),
    field("uninitcode", Integer, "Status before initialisation"),
];

const INIT: &[Parameter] = &[
    field("recovery_shares", Integer, "Shares of the recovery key (seal pkcs11)"),
    field("recovery_threshold", Integer, "Shares needed of the recovery key (seal pkcs11)"),
    field("secret_shares", Integer, "Shares of the token's PIN (seal shamir)"),
    field("secret_threshold", Integer, "Shares needed to unseal (seal shamir)"),
];

const GENERATE_ROOT: &[Parameter] =
    &[field("otp", Text, "The pad, as long as a token; else one is made"), field("pgp_key", Text, "Not supported")];
const GENERATE_ROOT_UPDATE: &[Parameter] =
    &[field("key", Text, "A share, hex or base64").required(), field("nonce", Text, "Of the attempt").required()];

const UNSEAL: &[Parameter] = &[
    field("key", Text, "A share, hex or base64"),
    field("migrate", Boolean, "Read, without meaning here"),
    field("reset", Boolean, "Forget the shares given so far"),
];

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
];

const LOGIN: &[Parameter] = &[
    field("config", Texts, "default_lease_ttl, max_lease_ttl, listing_visibility, token_type, …"),
    field("description", Text, "A word for people"),
    field("external_entropy_access", Boolean, "Read, without meaning here"),
    field("local", Boolean, "Kept and shown"),
    field("options", Texts, "The method's own"),
    field("plugin_name", Text, "Read, without meaning here"),
    field("seal_wrap", Boolean, "Kept and shown"),
    field("type", Text, "The method").required(),
];

const POLICY: &[Parameter] = &[
    field("policy", Text, "HCL or JSON, or base64 of it").required(),
    field("rules", Text, "The old name of `policy`"),
];

const CAPABILITIES: &[Parameter] = &[
    field("accessor", Text, "Names the token asked about (capabilities-accessor)"),
    field("path", List, "The old name of `paths`"),
    field("paths", List, "Paths asked about").required(),
    field("token", Text, "The token asked about (capabilities)"),
];

const WRAPPED: &[Parameter] = &[field("token", Text, "The wrapping token; none: the request's own")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "health",
        endpoints: &[Endpoint::open(Read, "health", "Whether the service works, by status", |call| {
            Box::pin(health::health(call))
        })
        .with(HEALTH)],
    },
    Route {
        pattern: "seal-status",
        endpoints: &[Endpoint::open(Read, "seal-status", "Where the service stands", |call| {
            Box::pin(seal::status(call))
        })],
    },
    Route {
        pattern: "leader",
        endpoints: &[Endpoint::open(Read, "leader", "There is no leader: replicas are equal", |call| {
            Box::pin(health::leader(call))
        })],
    },
    Route {
        pattern: "init",
        endpoints: &[
            Endpoint::open(Read, "init-status", "Whether the deployment is initialised", |call| {
                Box::pin(init::status(call))
            }),
            Endpoint::open(Write, "init", "Initialise the deployment, once", |call| Box::pin(init::init(call)))
                .with(INIT)
                .audited(true),
        ],
    },
    Route {
        pattern: "unseal",
        endpoints: &[Endpoint::open(Write, "unseal", "Give a share", |call| Box::pin(seal::unseal(call))).with(UNSEAL)],
    },
    Route {
        pattern: "generate-root/attempt",
        endpoints: &[
            Endpoint::open(Read, "generate-root-status", "How far a new root token is", |call| {
                Box::pin(generate_root::status(call))
            }),
            Endpoint::open(Write, "generate-root-start", "Start making a root token by shares", |call| {
                Box::pin(generate_root::start(call))
            })
            .with(GENERATE_ROOT),
            Endpoint::open(Delete, "generate-root-cancel", "Forget the attempt", |call| {
                Box::pin(generate_root::cancel(call))
            }),
        ],
    },
    Route {
        pattern: "generate-root/update",
        endpoints: &[Endpoint::open(Write, "generate-root-update", "Give a share for a new root token", |call| {
            Box::pin(generate_root::update(call))
        })
        .with(GENERATE_ROOT_UPDATE)
        .audited(true)],
    },
    Route {
        pattern: "seal",
        endpoints: &[Endpoint::new(Write, "seal", "Stop working and forget the PIN", |call| {
            Box::pin(seal::seal(call))
        })],
    },
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
    Route {
        pattern: "key-status",
        endpoints: &[Endpoint::new(Read, "key-status", "Which data key secrets are encrypted under", |call| {
            Box::pin(rotate::status(call))
        })
        .shaped(Shape::Injected)],
    },
    Route { pattern: "rotate", endpoints: &[rotation("rotate")] },
    Route { pattern: "rotate/keyring", endpoints: &[rotation("rotate-keyring")] },
    Route {
        pattern: "policy",
        endpoints: &[
            Endpoint::new(Read, "policy-list-read", "Names of all policies (old path)", |call| {
                Box::pin(policies::list_old(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(LIST, "policy-list", "Names of all policies (old path)", |call| {
                Box::pin(policies::list_old(call))
            })
            .shaped(Shape::Injected),
        ],
    },
    Route {
        pattern: "policy/{+name}",
        endpoints: &[
            Endpoint::new(Read, "policy-read", "One policy (old path)", |call| Box::pin(policies::read_old(call)))
                .shaped(Shape::Injected),
            Endpoint::new(Write, "policy-write", "Write a policy (old path)", |call| Box::pin(policies::write(call)))
                .with(POLICY),
            Endpoint::new(Delete, "policy-delete", "Delete a policy (old path)", |call| {
                Box::pin(policies::delete(call))
            }),
        ],
    },
    Route {
        pattern: "policies/acl",
        endpoints: &[Endpoint::new(LIST, "policies-acl-list", "Names of all policies", |call| {
            Box::pin(policies::list(call))
        })],
    },
    Route {
        pattern: "policies/acl/{+name}",
        endpoints: &[
            Endpoint::new(Read, "policies-acl-read", "One policy", |call| Box::pin(policies::read(call))),
            Endpoint::new(Write, "policies-acl-write", "Write a policy", |call| Box::pin(policies::write(call)))
                .with(POLICY),
            Endpoint::new(Delete, "policies-acl-delete", "Delete a policy", |call| Box::pin(policies::delete(call))),
        ],
    },
    Route {
        pattern: "capabilities",
        endpoints: &[Endpoint::new(Write, "capabilities", "What a token may do to paths", |call| {
            Box::pin(capabilities::of_token(call))
        })
        .with(CAPABILITIES)
        .shaped(Shape::Injected)
        .audited(false)],
    },
    Route {
        pattern: "capabilities-accessor",
        endpoints: &[Endpoint::new(
            Write,
            "capabilities-accessor",
            "What a token, named by its accessor, may do",
            |call| Box::pin(capabilities::of_accessor(call)),
        )
        .with(CAPABILITIES)
        .shaped(Shape::Injected)
        .audited(false)],
    },
    Route {
        pattern: "capabilities-self",
        endpoints: &[Endpoint::new(Write, "capabilities-self", "What the caller may do to paths", |call| {
            Box::pin(capabilities::of_self(call))
        })
        .with(CAPABILITIES)
        .shaped(Shape::Injected)
        .audited(false)],
    },
    Route {
        pattern: "internal/ui/mounts",
        endpoints: &[Endpoint::open(Read, "ui-mounts-list", "Mounts that the caller may see something of", |call| {
            Box::pin(internal::mounts(call))
        })
        .shaped(Shape::Envelope)],
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
        endpoints: &[Endpoint::open(Read, "openapi", "This API, as OpenAPI 3.1", |call| {
            Box::pin(internal::openapi(call))
        })
        .with(&[field("generic_mount_paths", Boolean, "Read, without meaning here")])],
    },
    Route {
        pattern: "metrics",
        endpoints: &[Endpoint::new(Read, "metrics", "Counters, in Prometheus' text format", |call| {
            Box::pin(metrics::metrics(call))
        })
        .with(&[field("format", Text, "prometheus; other formats are not offered")])],
    },
    Route {
        pattern: "wrapping/wrap",
        endpoints: &[Endpoint::new(Write, "wrapping-wrap", "Put the body into a wrapping token", |call| {
            Box::pin(wrapping::wrap(call))
        })
        .with(&[Parameter::ANY])
        .shaped(Shape::Injected)],
    },
    Route {
        pattern: "wrapping/lookup",
        endpoints: &[
            Endpoint::open(Write, "wrapping-look-up", "What a wrapping token holds, by its path", |call| {
                Box::pin(wrapping::lookup(call))
            })
            .with(WRAPPED)
            .shaped(Shape::Envelope),
            Endpoint::open(Read, "wrapping-look-up-own", "What the caller's wrapping token holds", |call| {
                Box::pin(wrapping::lookup(call))
            })
            .shaped(Shape::Envelope),
        ],
    },
    Route {
        pattern: "wrapping/unwrap",
        endpoints: &[Endpoint::open(Write, "wrapping-unwrap", "Take out what a wrapping token holds, once", |call| {
            Box::pin(wrapping::unwrap(call))
        })
        .with(WRAPPED)
        .shaped(Shape::Envelope)
        .audited(true)],
    },
    Route {
        pattern: "wrapping/rewrap",
        endpoints: &[Endpoint::open(Write, "wrapping-rewrap", "Put it into another wrapping token", |call| {
            Box::pin(wrapping::rewrap(call))
        })
        .with(WRAPPED)
        .shaped(Shape::Envelope)
        .audited(true)],
    },
    Route {
        pattern: "hsm/status",
        endpoints: &[Endpoint::new(Read, "hsm-status", "Workers, and what the token can do", |call| {
            Box::pin(hsm::status(call))
        })],
    },
    Route {
        pattern: "hsm/integrity",
        endpoints: &[
            Endpoint::new(Read, "hsm-integrity", "What of databases and token does not fit together", |call| {
                Box::pin(integrity::check(call))
            }),
            Endpoint::new(Write, "hsm-integrity-repair", "Repair of it what can be without losing anything", |call| {
                Box::pin(integrity::repair(call))
            }),
        ],
    },
    Route {
        pattern: "tools/random",
        endpoints: &[Endpoint::new(Write, "tools-random", "Random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "tools/random/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "tools-random-bytes", "So many random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "tools/random/{source}/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "tools-random-source", "Random bytes of a source: the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "tools/hash",
        endpoints: &[
            Endpoint::new(Write, "tools-hash", "A digest", |call| Box::pin(tools::sys_hash(call))).with(tools::HASH)
        ],
    },
    Route {
        pattern: "tools/hash/{urlalgorithm}",
        endpoints: &[Endpoint::new(Write, "tools-hash-with-algorithm", "A digest, the hash in the path", |call| {
            Box::pin(tools::sys_hash(call))
        })
        .with(tools::HASH)],
    },
];

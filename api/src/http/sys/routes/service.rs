//! The life of the service: how it stands, its seal, its keys, its HSM.

use crate::http::sys::{field, generate_root, health, hsm, init, integrity, metrics, rotate, seal};
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use Kind::{Boolean, Integer, Text};
use Verb::{Delete, Read, Write};

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

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "health",
        endpoints: &[Endpoint::in_any_state(Read, "health", "Whether the service works, by status", |call| {
            Box::pin(health::health(call))
        })
        .with(HEALTH)],
    },
    Route {
        pattern: "seal-status",
        endpoints: &[Endpoint::in_any_state(Read, "seal-status", "Where the service stands", |call| {
            Box::pin(seal::status(call))
        })],
    },
    Route {
        pattern: "leader",
        endpoints: &[Endpoint::in_any_state(Read, "leader", "There is no leader: replicas are equal", |call| {
            Box::pin(health::leader(call))
        })],
    },
    Route {
        pattern: "init",
        endpoints: &[
            Endpoint::in_any_state(Read, "init-status", "Whether the deployment is initialised", |call| {
                Box::pin(init::status(call))
            }),
            Endpoint::in_any_state(Write, "init", "Initialise the deployment, once", |call| Box::pin(init::init(call)))
                .with(INIT)
                .audited(true),
        ],
    },
    Route {
        pattern: "unseal",
        endpoints: &[Endpoint::in_any_state(Write, "unseal", "Give a share", |call| Box::pin(seal::unseal(call)))
            .with(UNSEAL)
            .audited(true)],
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
        pattern: "generate-root-token/attempt",
        endpoints: &[
            Endpoint::new(Read, "generate-root-token-status", "How far a new root token is", |call| {
                Box::pin(generate_root::status_by_token(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(Write, "generate-root-token-start", "Start making a root token by shares", |call| {
                Box::pin(generate_root::start_by_token(call))
            })
            .with(GENERATE_ROOT)
            .shaped(Shape::Injected),
            Endpoint::new(Delete, "generate-root-token-cancel", "Forget the attempt", |call| {
                Box::pin(generate_root::cancel_by_token(call))
            }),
        ],
    },
    Route {
        pattern: "generate-root-token/update",
        endpoints: &[Endpoint::new(Write, "generate-root-token-update", "Give a share for a new root token", |call| {
            Box::pin(generate_root::update_by_token(call))
        })
        .with(GENERATE_ROOT_UPDATE)
        .shaped(Shape::Injected)],
    },
    Route {
        pattern: "seal",
        endpoints: &[Endpoint::new(Write, "seal", "Stop working and forget the PIN", |call| {
            Box::pin(seal::seal(call))
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
        pattern: "metrics",
        endpoints: &[Endpoint::new(Read, "metrics", "Counters, in JSON or in Prometheus' text format", |call| {
            Box::pin(metrics::metrics(call))
        })
        .with(&[field("format", Text, "prometheus; JSON unless set")])
        .shaped(Shape::Bare)],
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
];

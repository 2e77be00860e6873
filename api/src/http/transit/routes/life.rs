//! What becomes of keys, what they are called, and who uses them.

use crate::http::table::{Endpoint, Route, Verb};
use crate::http::transit::{alias, destruction, state, usage};
use Verb::{Delete, Read, Write};

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "keys/{name}/state",
        endpoints: &[
            Endpoint::new(
                Read,
                "transit-read-key-state",
                "States of a key and its versions, and all transitions; of the last that had the name, if it was deleted",
                |call| Box::pin(state::read(call)),
            ),
            Endpoint::new(Write, "transit-set-key-state", "Bring a key into another state", |call| {
                Box::pin(state::set(call))
            })
            .with(state::FIELDS),
        ],
    },
    Route {
        pattern: "keys/{name}/state/{version}",
        endpoints: &[Endpoint::new(
            Write,
            "transit-set-key-version-state",
            "Bring one version into another state",
            |call| Box::pin(state::set(call)),
        )
        .with(state::FIELDS)],
    },
    Route {
        pattern: "keys/{name}/schedule-destruction",
        endpoints: &[Endpoint::new(
            Write,
            "transit-schedule-destruction",
            "Destroy a key after a waiting period, in which it does nothing",
            |call| Box::pin(destruction::schedule(call)),
        )
        .with(destruction::SCHEDULE)],
    },
    Route {
        pattern: "keys/{name}/cancel-destruction",
        endpoints: &[Endpoint::new(
            Write,
            "transit-cancel-destruction",
            "Keep a key that was to be destroyed",
            |call| Box::pin(destruction::cancel(call)),
        )],
    },
    Route {
        pattern: "keys/{name}/soft-delete",
        endpoints: &[Endpoint::new(
            Delete,
            "transit-soft-delete-key",
            "Have a key do nothing until restored",
            |call| Box::pin(destruction::soft_delete(call)),
        )],
    },
    Route {
        pattern: "keys/{name}/soft-delete-restore",
        endpoints: &[Endpoint::new(Write, "transit-restore-soft-deleted-key", "Have it work again", |call| {
            Box::pin(destruction::restore(call))
        })],
    },
    Route {
        pattern: "keys/{name}/usage",
        endpoints: &[Endpoint::new(Read, "transit-read-key-usage", "Who used which version, and when last", |call| {
            Box::pin(usage::read(call))
        })],
    },
    Route {
        pattern: "keys/{name}/aliases",
        endpoints: &[Endpoint::new(Read, "transit-read-key-aliases", "Names that stand for a key", |call| {
            Box::pin(alias::of_key(call))
        })],
    },
    Route {
        pattern: "aliases",
        endpoints: &[Endpoint::new(Verb::List, "transit-list-aliases", "Names that stand for keys", |call| {
            Box::pin(alias::list(call))
        })],
    },
    Route {
        pattern: "aliases/{alias}",
        endpoints: &[
            Endpoint::new(Write, "transit-point-alias", "Have a name stand for a key from now on", |call| {
                Box::pin(alias::point(call))
            })
            .with(alias::POINT),
            Endpoint::new(Read, "transit-read-alias", "The key that a name stands for", |call| {
                Box::pin(alias::read(call))
            }),
            Endpoint::new(Delete, "transit-delete-alias", "Have a name stand for nothing any more", |call| {
                Box::pin(alias::delete(call))
            }),
        ],
    },
];

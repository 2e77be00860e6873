//! What needs no key.

use crate::http::table::{Endpoint, Route, Verb};
use crate::http::transit::tools;
use Verb::Write;

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "random",
        endpoints: &[Endpoint::new(Write, "transit-random", "Random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "random/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "transit-random-bytes", "So many random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "random/{source}/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "transit-random-source", "Random bytes of a source: the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "hash",
        endpoints: &[
            Endpoint::new(Write, "transit-hash", "A digest", |call| Box::pin(tools::hash(call))).with(tools::HASH)
        ],
    },
    Route {
        pattern: "hash/{urlalgorithm}",
        endpoints: &[Endpoint::new(Write, "transit-hash-with-algorithm", "A digest, the hash in the path", |call| {
            Box::pin(tools::hash(call))
        })
        .with(tools::HASH)],
    },
];

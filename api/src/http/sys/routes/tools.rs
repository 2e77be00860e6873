//! What needs no key.

use crate::http::table::{Endpoint, Route, Verb};
use crate::http::transit::tools;
use Verb::Write;

pub(super) const ROUTES: &[Route] = &[
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

//! Answers in wrapping tokens.

use crate::http::sys::{field, wrapping};
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use Kind::Text;
use Verb::{Read, Write};

const WRAPPED: &[Parameter] = &[field("token", Text, "The wrapping token; none: the request's own")];

pub(super) const ROUTES: &[Route] = &[
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
            .shaped(Shape::Envelope)
            .audited(true),
            Endpoint::open(Read, "wrapping-look-up-own", "What the caller's wrapping token holds", |call| {
                Box::pin(wrapping::lookup(call))
            })
            .shaped(Shape::Envelope)
            .audited(true),
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
];

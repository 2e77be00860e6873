//! Policies, and what they allow.

use crate::http::sys::{capabilities, field, policies};
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use Kind::{Boolean, List, Text};
use Verb::{Delete, Read, Write};

const LIST: Verb = Verb::List;

const POLICY: &[Parameter] = &[
    field("policy", Text, "HCL or JSON, or base64 of it").required(),
    field("rules", Text, "The old name of `policy`"),
];
const CAPABILITIES: &[Parameter] = &[
    field("accessor", Text, "Names the token asked about (capabilities-accessor)"),
    field("explain", Boolean, "Say in `decisions`, too, which rule of which policies decides about each operation"),
    field("path", List, "The old name of `paths`"),
    field("paths", List, "Paths asked about").required(),
    field("token", Text, "The token asked about (capabilities)"),
];

pub(super) const ROUTES: &[Route] = &[
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
];

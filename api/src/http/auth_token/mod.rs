//! `auth/token/`: making, looking at, renewing and ending tokens.

mod create;
mod lookup;
mod renew;
mod revoke;
mod roles;
mod shown;
mod tidy;

pub(super) use shown::{admitted, issued};

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use Kind::{Boolean, Duration, Integer, List, Text, Texts};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const CREATE: &[Parameter] = &[
    field("display_name", Text, "Becomes token-<name>"),
    field(
        "entity_alias",
        Text,
        "By which name auth/token knows whom it is for, or is to; the token role must allow it",
    ),
    field("explicit_max_ttl", Duration, "It never lives longer; 0: the system's maximum"),
    field("id", Text, "The token's text, by the caller's choice; needs sudo"),
    field("lease", Duration, "The old name of `ttl`"),
    field("meta", Texts, "Written on the token"),
    field("no_default_policy", Boolean, "Without the policy `default`"),
    field("no_parent", Boolean, "Does not end with its maker; needs sudo"),
    field("num_uses", Integer, "Requests it is good for; 0: any number"),
    field("period", Duration, "Each renewal gives this; needs sudo"),
    field("policies", List, "Its policies; none: the maker's"),
    field("renewable", Boolean, "Whether it can be renewed"),
    field("role_name", Text, "Read, without meaning here"),
    field("ttl", Duration, "Time to live; 0: the default"),
    field("type", Text, "service or batch"),
];
const ROLE: &[Parameter] = &[
    field("allowed_entity_aliases", List, "Names by which tokens may be for somebody else, with * for any text"),
    field("allowed_policies", List, "Policies that tokens may have; given when none are asked for"),
    field("allowed_policies_glob", List, "The same, with * for any text"),
    field("bound_cidrs", List, "The old name of `token_bound_cidrs`"),
    field("disallowed_policies", List, "Policies that no token has"),
    field("disallowed_policies_glob", List, "The same, with * for any text"),
    field("explicit_max_ttl", Duration, "The old name of `token_explicit_max_ttl`"),
    field("orphan", Boolean, "Whether tokens have no parent"),
    field("path_suffix", Text, "The end of the tokens' path"),
    field("period", Duration, "The old name of `token_period`"),
    field("renewable", Boolean, "Whether tokens can be renewed"),
    field("token_bound_cidrs", List, "Addresses that tokens can be used from; none: any"),
    field("token_explicit_max_ttl", Duration, "No token lives longer; 0: the system's maximum"),
    field("token_no_default_policy", Boolean, "Without the policy `default`"),
    field("token_num_uses", Integer, "Requests a token is good for, at most; 0: any number"),
    field("token_period", Duration, "Each renewal gives this"),
    field("token_type", Text, "service, batch, default-service or default-batch"),
];
const TOKEN: &[Parameter] = &[field("token", Text, "The token's text")];
const ACCESSOR: &[Parameter] = &[field("accessor", Text, "The token's accessor").required()];
const RENEW: &[Parameter] =
    &[field("increment", Duration, "Time to live from now; 0: as at first"), field("token", Text, "The token's text")];
const RENEW_SELF: &[Parameter] = &[
    field("increment", Duration, "Time to live from now; 0: as at first"),
    field("token", Text, "Read, without meaning here"),
];
const RENEW_ACCESSOR: &[Parameter] = &[
    field("accessor", Text, "The token's accessor").required(),
    field("increment", Duration, "Time to live from now; 0: as at first"),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "create",
        endpoints: &[Endpoint::new(Write, "token-create", "Make a token", |call| {
            Box::pin(create::create(call, false))
        })
        .with(CREATE)],
    },
    Route {
        pattern: "create-orphan",
        endpoints: &[Endpoint::new(Write, "token-create-orphan", "Make a token without a parent", |call| {
            Box::pin(create::create(call, true))
        })
        .with(CREATE)],
    },
    Route {
        pattern: "create/{name}",
        endpoints: &[Endpoint::new(Write, "token-create-by-role", "Make a token through a token role", |call| {
            Box::pin(create::create(call, false))
        })
        .with(CREATE)],
    },
    Route {
        pattern: "roles",
        endpoints: &[Endpoint::new(Verb::List, "token-list-roles", "Names of all token roles", |call| {
            Box::pin(roles::list(call))
        })],
    },
    Route {
        pattern: "roles/{name}",
        endpoints: &[
            Endpoint::new(Read, "token-read-role", "One token role", |call| Box::pin(roles::read(call))),
            Endpoint::new(Write, "token-write-role", "Make or change a token role", |call| {
                Box::pin(roles::write(call))
            })
            .with(ROLE),
            Endpoint::new(Delete, "token-delete-role", "Delete a token role", |call| Box::pin(roles::delete(call))),
        ],
    },
    Route {
        pattern: "tidy",
        endpoints: &[Endpoint::new(Write, "token-tidy", "Sweep ended tokens now", |call| Box::pin(tidy::tidy(call)))],
    },
    Route {
        pattern: "lookup",
        endpoints: &[
            Endpoint::new(Write, "token-look-up", "Look at a token", |call| Box::pin(lookup::lookup(call)))
                .with(TOKEN)
                .audited(false),
            Endpoint::new(Read, "token-look-up-read", "Look at a token; without one, the caller's own", |call| {
                Box::pin(lookup::lookup(call))
            })
            .with(TOKEN),
        ],
    },
    Route {
        pattern: "lookup-self",
        endpoints: &[
            Endpoint::new(Read, "token-look-up-self", "Look at the caller's own token", |call| {
                Box::pin(lookup::own(call))
            })
            .with(TOKEN),
            Endpoint::new(Write, "token-look-up-self-write", "Look at the caller's own token", |call| {
                Box::pin(lookup::own(call))
            })
            .with(TOKEN)
            .audited(false),
        ],
    },
    Route {
        pattern: "lookup-accessor",
        endpoints: &[Endpoint::new(Write, "token-look-up-accessor", "Look at a token by its accessor", |call| {
            Box::pin(lookup::accessor(call))
        })
        .with(ACCESSOR)
        .audited(false)],
    },
    Route {
        pattern: "accessors",
        endpoints: &[Endpoint::new(
            Verb::List,
            "token-list-accessors",
            "Accessors of all tokens; needs sudo",
            |call| Box::pin(lookup::accessors(call)),
        )],
    },
    Route {
        pattern: "renew",
        endpoints: &[
            Endpoint::new(Write, "token-renew", "Renew a token", |call| Box::pin(renew::renew(call))).with(RENEW)
        ],
    },
    Route {
        pattern: "renew-self",
        endpoints: &[Endpoint::new(Write, "token-renew-self", "Renew the caller's own token", |call| {
            Box::pin(renew::own(call))
        })
        .with(RENEW_SELF)],
    },
    Route {
        pattern: "renew-accessor",
        endpoints: &[Endpoint::new(Write, "token-renew-accessor", "Renew a token by its accessor", |call| {
            Box::pin(renew::accessor(call))
        })
        .with(RENEW_ACCESSOR)],
    },
    Route {
        pattern: "revoke",
        endpoints: &[Endpoint::new(Write, "token-revoke", "End a token and all below it", |call| {
            Box::pin(revoke::revoke(call))
        })
        .with(TOKEN)],
    },
    Route {
        pattern: "revoke-self",
        endpoints: &[Endpoint::new(
            Write,
            "token-revoke-self",
            "End the caller's own token and all below it",
            |call| Box::pin(revoke::own(call)),
        )
        .with(TOKEN)],
    },
    Route {
        pattern: "revoke-accessor",
        endpoints: &[Endpoint::new(Write, "token-revoke-accessor", "End a token by its accessor", |call| {
            Box::pin(revoke::accessor(call))
        })
        .with(ACCESSOR)],
    },
    Route {
        pattern: "revoke-orphan",
        endpoints: &[Endpoint::new(
            Write,
            "token-revoke-orphan",
            "End a token, not its children; needs sudo",
            |call| Box::pin(revoke::orphan(call)),
        )
        .with(TOKEN)],
    },
];

//! `auth/api-key/`: keys of programs that act for a person.

mod key;
mod login;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use Kind::{Duration, List, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const NEW: &[Parameter] = &[
    field("key_name", Text, "A word for people"),
    field("scopes", List, "Policies of the key's tokens").required(),
    field("ttl", Duration, "How long it lives; 0: until it is revoked"),
    field("username", Text, "For whom it acts").required(),
];
const LOGIN: &[Parameter] = &[field("api_key", Text, "The key: prefix.secret").required()];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[
            Endpoint::login("api-key-login", "A token for an API key", |call| Box::pin(login::login(call))).with(LOGIN)
        ],
    },
    Route {
        pattern: "keys",
        endpoints: &[
            Endpoint::new(Verb::List, "api-key-list", "Ids of all keys", |call| Box::pin(key::list(call))),
            Endpoint::new(Write, "api-key-create", "Make a key; its text is shown this once", |call| {
                Box::pin(key::create(call))
            })
            .with(NEW),
        ],
    },
    Route {
        pattern: "keys/{id}",
        endpoints: &[
            Endpoint::new(Read, "api-key-read", "One key, without its text", |call| Box::pin(key::read(call))),
            Endpoint::new(Delete, "api-key-revoke", "Have a key open nothing any more", |call| {
                Box::pin(key::revoke(call))
            }),
        ],
    },
];

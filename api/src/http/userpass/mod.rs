//! `auth/userpass/`: people with names and passwords.

mod login;
mod totp;
mod user;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use super::token_settings::with_token_settings;
use Kind::{Duration, List, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const USER: [Parameter; 17] = with_token_settings([
    field("bound_cidrs", List, "The old name of `token_bound_cidrs`"),
    field("email", Text, "A new person's address; by default one that nobody receives"),
    field("max_ttl", Duration, "The old name of `token_max_ttl`"),
    field("password", Text, "The password; needed for a new person"),
    field("ttl", Duration, "The old name of `token_ttl`"),
]);
const LOGIN: &[Parameter] = &[
    field(
        "passcode",
        Text,
        "The second factor of a person who has one: a code, or a backup code; also in the header X-Vault-MFA",
    ),
    field("password", Text, "The password").required(),
    field("totp", Text, "The same as `passcode`"),
];
const PASSWORD: &[Parameter] = &[field("password", Text, "The password").required()];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login/{name}",
        endpoints: &[Endpoint::login("userpass-login", "A token for a name and a password", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "users",
        endpoints: &[Endpoint::new(Verb::List, "userpass-list-users", "Names of all who can log in here", |call| {
            Box::pin(user::list(call))
        })],
    },
    Route {
        pattern: "users/{name}",
        endpoints: &[
            Endpoint::new(Read, "userpass-read-user", "What tokens of one person are like", |call| {
                Box::pin(user::read(call))
            }),
            Endpoint::new(Write, "userpass-write-user", "Let a person log in here, or change how", |call| {
                Box::pin(user::write(call))
            })
            .with(&USER)
            .creating(user::exists),
            Endpoint::new(Delete, "userpass-delete-user", "Let a person log in here no more", |call| {
                Box::pin(user::delete(call))
            }),
        ],
    },
    Route {
        pattern: "users/{name}/password",
        endpoints: &[Endpoint::new(Write, "userpass-write-password", "Give a person another password", |call| {
            Box::pin(user::write_password(call))
        })
        .with(PASSWORD)],
    },
    Route {
        pattern: "users/{name}/policies",
        endpoints: &[Endpoint::new(
            Write,
            "userpass-write-policies",
            "Give a person's later tokens other policies",
            |call| Box::pin(user::write_policies(call)),
        )
        .with(&USER)],
    },
    Route { pattern: "users/{name}/totp", endpoints: totp::FACTOR },
    Route { pattern: "users/{name}/totp/backup-codes", endpoints: totp::BACKUP_CODES },
    Route { pattern: "users/{name}/totp/confirm", endpoints: totp::CONFIRMATION },
];

//! `auth/approle/`: roles, their SecretIDs, logins.

mod login;
mod property;
mod role;
mod secret_id;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use super::token_settings::with_token_settings;
use Kind::{Boolean, Duration, Integer, List, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const ROLE: [Parameter; 19] = with_token_settings([
    field("bind_secret_id", Boolean, "Whether a login needs a SecretID"),
    field("bound_cidr_list", List, "The old name of `secret_id_bound_cidrs`"),
    field("local_secret_ids", Boolean, "Kept and shown; when the role is made"),
    field("role_id", Text, "The RoleID, by the caller's choice; else a random one"),
    field("secret_id_bound_cidrs", List, "Addresses that SecretIDs may be used from; none: any"),
    field("secret_id_num_uses", Integer, "Logins that a SecretID is good for, at most; 0: any number"),
    field("secret_id_ttl", Duration, "How long a SecretID lives, at most; 0: without end"),
]);
const ROLE_ID: &[Parameter] = &[field("role_id", Text, "The RoleID").required()];
const NEW_SECRET_ID: &[Parameter] = &[
    field("cidr_list", List, "Addresses that it may be used from, within the role's"),
    field("metadata", Text, "JSON, an object with texts, as a text: goes onto its tokens"),
    field("num_uses", Integer, "Logins it is good for, within the role's limit"),
    field("token_bound_cidrs", List, "Addresses that its tokens may be used from, within the role's"),
    field("ttl", Duration, "How long it lives, within the role's limit"),
];
const CUSTOM_SECRET_ID: &[Parameter] = &[
    field("cidr_list", List, "Addresses that it may be used from, within the role's"),
    field("metadata", Text, "JSON, an object with texts, as a text: goes onto its tokens"),
    field("num_uses", Integer, "Logins it is good for, within the role's limit"),
    field("secret_id", Text, "The SecretID").required(),
    field("token_bound_cidrs", List, "Addresses that its tokens may be used from, within the role's"),
    field("ttl", Duration, "How long it lives, within the role's limit"),
];
const SECRET_ID: &[Parameter] = &[field("secret_id", Text, "The SecretID").required()];
const ACCESSOR: &[Parameter] = &[field("secret_id_accessor", Text, "The SecretID's accessor").required()];
const LOGIN: &[Parameter] =
    &[field("role_id", Text, "The RoleID").required(), field("secret_id", Text, "A SecretID of the role")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[Endpoint::login("approle-login", "A token for a RoleID and a SecretID", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "role",
        endpoints: &[Endpoint::new(Verb::List, "approle-list-roles", "Names of all roles", |call| {
            Box::pin(role::list(call))
        })],
    },
    Route {
        pattern: "role/{name}",
        endpoints: &[
            Endpoint::new(Read, "approle-read-role", "One role", |call| Box::pin(role::read(call))),
            Endpoint::new(Write, "approle-write-role", "Make or change a role", |call| Box::pin(role::write(call)))
                .with(&ROLE)
                .creating(role::exists),
            Endpoint::new(Delete, "approle-delete-role", "Delete a role with its SecretIDs", |call| {
                Box::pin(role::delete(call))
            }),
        ],
    },
    Route {
        pattern: "role/{name}/role-id",
        endpoints: &[
            Endpoint::new(Read, "approle-read-role-id", "The RoleID of a role", |call| Box::pin(role::read_id(call))),
            Endpoint::new(Write, "approle-write-role-id", "Give a role another RoleID", |call| {
                Box::pin(role::write_id(call))
            })
            .with(ROLE_ID),
        ],
    },
    Route {
        pattern: "role/{name}/secret-id",
        endpoints: &[
            Endpoint::new(Verb::List, "approle-list-secret-ids", "Accessors of a role's SecretIDs", |call| {
                Box::pin(secret_id::list(call))
            }),
            Endpoint::new(Write, "approle-create-secret-id", "Make a SecretID", |call| {
                Box::pin(secret_id::create(call))
            })
            .with(NEW_SECRET_ID),
        ],
    },
    Route {
        pattern: "role/{name}/custom-secret-id",
        endpoints: &[Endpoint::new(
            Write,
            "approle-create-custom-secret-id",
            "Make a SecretID of the caller's choice",
            |call| Box::pin(secret_id::create_custom(call)),
        )
        .with(CUSTOM_SECRET_ID)],
    },
    Route {
        pattern: "role/{name}/secret-id/lookup",
        endpoints: &[Endpoint::new(Write, "approle-look-up-secret-id", "Look at a SecretID", |call| {
            Box::pin(secret_id::lookup(call))
        })
        .with(SECRET_ID)
        .audited(false)],
    },
    Route {
        pattern: "role/{name}/secret-id/destroy",
        endpoints: &[
            Endpoint::new(Write, "approle-destroy-secret-id", "Destroy a SecretID", |call| {
                Box::pin(secret_id::destroy(call))
            })
            .with(SECRET_ID),
            Endpoint::new(Delete, "approle-destroy-secret-id-delete", "Destroy a SecretID", |call| {
                Box::pin(secret_id::destroy(call))
            })
            .with(SECRET_ID),
        ],
    },
    Route {
        pattern: "role/{name}/secret-id-accessor/lookup",
        endpoints: &[Endpoint::new(Write, "approle-look-up-accessor", "Look at a SecretID by its accessor", |call| {
            Box::pin(secret_id::lookup_accessor(call))
        })
        .with(ACCESSOR)
        .audited(false)],
    },
    Route {
        pattern: "role/{name}/secret-id-accessor/destroy",
        endpoints: &[
            Endpoint::new(Write, "approle-destroy-accessor", "Destroy a SecretID by its accessor", |call| {
                Box::pin(secret_id::destroy_accessor(call))
            })
            .with(ACCESSOR),
            Endpoint::new(Delete, "approle-destroy-accessor-delete", "Destroy a SecretID by its accessor", |call| {
                Box::pin(secret_id::destroy_accessor(call))
            })
            .with(ACCESSOR),
        ],
    },
    Route {
        pattern: "role/{name}/{property}",
        endpoints: &[
            Endpoint::new(Read, "approle-read-property", "One field of a role", |call| Box::pin(property::read(call))),
            Endpoint::new(Write, "approle-write-property", "Change one field of a role", |call| {
                Box::pin(property::write(call))
            })
            .with(&ROLE),
            Endpoint::new(
                Delete,
                "approle-delete-property",
                "Put one field of a role back to what it was at first",
                |call| Box::pin(property::delete(call)),
            ),
        ],
    },
    Route {
        pattern: "tidy/secret-id",
        endpoints: &[Endpoint::new(Write, "approle-tidy", "Sweep ended SecretIDs now", |call| {
            Box::pin(secret_id::tidy(call))
        })],
    },
];

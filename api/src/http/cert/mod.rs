//! `auth/cert/`: client certificates of TLS connections.

mod login;
mod role;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use super::token_settings::with_token_settings;
use Kind::{Boolean, Duration, List, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const ROLE: [Parameter; 26] = with_token_settings([
    field("allowed_common_names", List, "Common names; `*` stands for any text"),
    field("allowed_dns_sans", List, "DNS names, likewise"),
    field("allowed_email_sans", List, "E-mail addresses, likewise"),
    field("allowed_names", List, "Common, DNS or e-mail names, likewise"),
    field("allowed_organizational_units", List, "Organizational units, likewise"),
    field("allowed_uri_sans", List, "URIs, likewise"),
    field("bound_cidrs", List, "The old name of `token_bound_cidrs`"),
    field("certificate", Text, "PEM: authorities, or certificates of clients themselves").required(),
    field("display_name", Text, "Goes onto tokens; else the role's name"),
    field("lease", Duration, "An old name of `token_ttl`"),
    field("max_ttl", Duration, "The old name of `token_max_ttl`"),
    field("ocsp_enabled", Boolean, "No: nobody is asked whether a certificate was revoked"),
    field("required_extensions", List, "None: they are not looked at"),
    field("ttl", Duration, "The old name of `token_ttl`"),
]);
const LOGIN: &[Parameter] = &[field("name", Text, "The role; else any that fits")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[Endpoint::login("cert-login", "A token for the connection's client certificate", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "certs",
        endpoints: &[Endpoint::new(Verb::List, "cert-list-roles", "Names of all roles", |call| {
            Box::pin(role::list(call))
        })],
    },
    Route {
        pattern: "certs/{name}",
        endpoints: &[
            Endpoint::new(Read, "cert-read-role", "One role", |call| Box::pin(role::read(call))),
            Endpoint::new(Write, "cert-write-role", "Make or change a role", |call| Box::pin(role::write(call)))
                .with(&ROLE),
            Endpoint::new(Delete, "cert-delete-role", "Delete a role", |call| Box::pin(role::delete(call))),
        ],
    },
];

//! `auth/jwt/`: tokens of issuers that the method was told to believe.

mod config;
mod login;
mod role;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use super::token_settings::with_token_settings;
use Kind::{Integer, List, Object, Text, Texts};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const CONFIG: &[Parameter] = &[
    field("bound_issuer", Text, "Who must have issued tokens"),
    field("default_role", Text, "Role of logins that name none"),
    field("jwks_ca_pem", Text, "Whose certificates are believed at jwks_url; else those that the machine believes"),
    field("jwks_url", Text, "Where the issuer's keys are (RFC 7517)"),
    field("jwt_supported_algs", List, "Algorithms; none: all that need two keys"),
    field("jwt_validation_pubkeys", List, "The issuer's public keys in PEM"),
    field("oidc_discovery_ca_pem", Text, "Whose certificates are believed there"),
    field("oidc_discovery_url", Text, "The OpenID provider, which says where its keys are"),
];
const ROLE: [Parameter; 23] = with_token_settings([
    field("bound_audiences", List, "Audiences (aud), one of which a token must name"),
    field("bound_claims", Object, "Values by claim, or by JSON pointer"),
    field("bound_claims_type", Text, "string, or glob: `*` in values stands for any text"),
    field("bound_subject", Text, "The subject (sub) that a token must name"),
    field("claim_mappings", Texts, "Keys of metadata by claim"),
    field("clock_skew_leeway", Integer, "Seconds that clocks may differ by; 0: 60, below: none"),
    field("expiration_leeway", Integer, "How long a token is good that does not say so; 0: 150, below: none"),
    field("groups_claim", Text, "The claim that names external groups"),
    field("not_before_leeway", Integer, "As expiration_leeway, of when a token begins"),
    field("role_type", Text, "jwt"),
    field("user_claim", Text, "The claim that names whoever comes").required(),
]);
const LOGIN: &[Parameter] = &[field("jwt", Text, "The token").required(), field("role", Text, "The role")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[Endpoint::login("jwt-login", "A token for one of an issuer that is believed", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "config",
        endpoints: &[
            Endpoint::new(Read, "jwt-read-config", "Whom the method believes", |call| Box::pin(config::read(call))),
            Endpoint::new(Write, "jwt-write-config", "Tell whom to believe", |call| Box::pin(config::write(call)))
                .with(CONFIG),
        ],
    },
    Route {
        pattern: "role",
        endpoints: &[Endpoint::new(Verb::List, "jwt-list-roles", "Names of all roles", |call| {
            Box::pin(role::list(call))
        })],
    },
    Route {
        pattern: "role/{name}",
        endpoints: &[
            Endpoint::new(Read, "jwt-read-role", "One role", |call| Box::pin(role::read(call))),
            Endpoint::new(Write, "jwt-write-role", "Make or change a role", |call| Box::pin(role::write(call)))
                .with(&ROLE),
            Endpoint::new(Delete, "jwt-delete-role", "Delete a role", |call| Box::pin(role::delete(call))),
        ],
    },
];

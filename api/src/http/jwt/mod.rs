//! `auth/jwt/` and `auth/oidc/`: tokens of issuers that the method was told to believe, brought or fetched through a browser.

mod config;
mod login;
mod oidc;
mod role;

use super::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use super::token_settings::with_token_settings;
use Kind::{Duration, Integer, List, Object, Text, Texts};
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
    field("oidc_client_id", Text, "As whom the provider knows the service; with it, browsers are sent there"),
    field("oidc_client_secret", Text, "By what it knows the service; shown to nobody"),
    field("oidc_discovery_ca_pem", Text, "Whose certificates are believed there"),
    field("oidc_discovery_url", Text, "The OpenID provider, which says where its keys are"),
    field("oidc_response_mode", Text, "How a browser comes back from it: query, or form_post"),
    field("oidc_response_types", List, "code: no tokens go through the browser"),
];
const ROLE: [Parameter; 30] = with_token_settings([
    field("allowed_redirect_uris", List, "Where browsers may come back to; on their own machine at any port"),
    field("bound_audiences", List, "Audiences (aud), one of which a token must name"),
    field("bound_cidrs", List, "The old name of `token_bound_cidrs`"),
    field("bound_claims", Object, "Values by claim, or by JSON pointer"),
    field("bound_claims_type", Text, "string, or glob: `*` in values stands for any text"),
    field("bound_subject", Text, "The subject (sub) that a token must name"),
    field("claim_mappings", Texts, "Keys of metadata by claim"),
    field("clock_skew_leeway", Integer, "Seconds that clocks may differ by; 0: 60, below: none"),
    field("expiration_leeway", Integer, "How long a token is good that does not say so; 0: 150, below: none"),
    field("groups_claim", Text, "The claim that names external groups"),
    field("max_age", Duration, "How long ago the provider may have asked for a password; 0: any time"),
    field("max_ttl", Duration, "The old name of `token_max_ttl`"),
    field("not_before_leeway", Integer, "As expiration_leeway, of when a token begins"),
    field("num_uses", Integer, "The old name of `token_num_uses`"),
    field("oidc_scopes", List, "What to ask the provider for beside openid"),
    field(
        "role_type",
        Text,
        "jwt: a token is brought; oidc: a browser is sent for it, as with a new role that has allowed_redirect_uris",
    ),
    field("ttl", Duration, "The old name of `token_ttl`"),
    field("user_claim", Text, "The claim that names whoever comes").required(),
]);
const LOGIN: &[Parameter] = &[field("jwt", Text, "The token").required(), field("role", Text, "The role")];

const AUTH_URL: &[Parameter] = &[
    field("client_nonce", Text, "The client's own, to be shown at the end"),
    field("redirect_uri", Text, "Where the browser is to come back to").required(),
    field("role", Text, "The role"),
];
const CALLBACK: &[Parameter] = &[
    field("client_nonce", Text, "As it was given at the beginning"),
    field("code", Text, "What the provider gave"),
    field("error", Text, "Why it gave nothing"),
    field("error_description", Text, "The same in more words"),
    field("iss", Text, "Read, without meaning here: the ID token names its issuer"),
    field("nonce", Text, "Read, without meaning here: the ID token has it"),
    field("session_state", Text, "Read, without meaning here"),
    field("state", Text, "As the browser was sent away with").required(),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[Endpoint::login("jwt-login", "A token for one of an issuer that is believed", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "oidc/auth_url",
        endpoints: &[Endpoint::open(
            Write,
            "jwt-oidc-auth-url",
            "Where to send a browser; empty where it must not come back to redirect_uri",
            |call| Box::pin(oidc::auth_url(call)),
        )
        .with(AUTH_URL)
        .shaped(Shape::Envelope)],
    },
    Route {
        pattern: "oidc/callback",
        endpoints: &[
            Endpoint::open(Read, "jwt-oidc-callback", "A token for whom the provider names", |call| {
                Box::pin(oidc::callback(call))
            })
            .with(CALLBACK)
            .shaped(Shape::Envelope)
            .audited(true),
            Endpoint::login(
                "jwt-oidc-callback-post",
                "The same, posted; without the client's nonce where one was given, it waits for whoever has that",
                |call| Box::pin(oidc::callback(call)),
            )
            .with(CALLBACK),
        ],
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
                .with(&ROLE)
                .creating(role::exists),
            Endpoint::new(Delete, "jwt-delete-role", "Delete a role", |call| Box::pin(role::delete(call))),
        ],
    },
];

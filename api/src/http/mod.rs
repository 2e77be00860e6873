//! The Vault HTTP API: one table of routes an engine, and one place for the rules that hold for all of them.
//!
//! A request goes `listener` (connections, TLS) → `service` (time, panics, logs) → `dispatch` (namespace → sealed → token → policies → route →
//! handler) → a handler in `sys/`, `auth_token/`, `clm/`, `kv/` or `transit/`, which reads its fields, calls a verb of `app` and says
//! what to answer.

mod answer;
mod api_key;
mod approle;
mod auth_token;
mod body;
mod call;
mod cert;
mod clm;
mod cors;
mod cubbyhole;
mod dispatch;
mod fields;
mod finish;
mod help;
mod identity;
mod jwt;
mod kubernetes;
mod kv;
pub(crate) mod listener;
pub(crate) mod metrics_listener;
mod namespace;
mod openapi;
mod page;
mod parameters;
mod path;
mod request;
mod service;
mod sys;
mod table;
pub(crate) mod tls;
mod token_settings;
mod trail;
mod transit;
mod userpass;
mod witness;

pub use openapi::document as openapi;
pub(crate) use parameters::parse_seconds;
pub use table::{Endpoint, Kind, Parameter, Route, Shape, Verb};

/// What the service says it is to clients that ask which features to use: semantic versioning, read by Terraform and others.
/// 1.14 keeps them off what only Enterprise has; what follows the `+` is ours.
pub const VERSION: &str = concat!("1.14.0+clm.", env!("CARGO_PKG_VERSION"));

/// Engines by type of mount (of KV with its version), with where they are mounted when nobody says otherwise; one may have several tables. A `static`:
/// routes are told apart by where they stand.
pub(crate) static ENGINES: &[Engine] = &[
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[0] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[1] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[2] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[3] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[4] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::ROUTES[5] },
    Engine { mount_type: "api-key", usual_path: "auth/api-key/", routes: api_key::ROUTES },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[0] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[1] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[2] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[3] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[4] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[5] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[6] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[7] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[8] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[9] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[10] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[11] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[12] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[13] },
    Engine { mount_type: "system", usual_path: "sys/", routes: sys::TABLES[14] },
    Engine { mount_type: "approle", usual_path: "auth/approle/", routes: approle::ROUTES },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::ACCESS_POLICIES },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::EXPLANATIONS },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::NOTIFICATIONS },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::REGISTRY },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::SECRETS },
    Engine { mount_type: "clm", usual_path: "clm/", routes: clm::USER_ROLES },
    Engine { mount_type: "cert", usual_path: "auth/cert/", routes: cert::ROUTES },
    Engine { mount_type: "cubbyhole", usual_path: "cubbyhole/", routes: cubbyhole::ROUTES },
    Engine { mount_type: "identity", usual_path: "identity/", routes: identity::ROUTES },
    Engine { mount_type: "identity", usual_path: "identity/", routes: identity::MFA },
    Engine { mount_type: "jwt", usual_path: "auth/jwt/", routes: jwt::ROUTES },
    Engine { mount_type: "kubernetes", usual_path: "auth/kubernetes/", routes: kubernetes::ROUTES },
    Engine { mount_type: "kv-v1", usual_path: "kv/", routes: kv::FIRST },
    Engine { mount_type: "kv-v2", usual_path: "secret/", routes: kv::SECOND },
    Engine { mount_type: "token", usual_path: "auth/token/", routes: auth_token::ROUTES },
    Engine { mount_type: "transit", usual_path: "transit/", routes: transit::TABLES[0] },
    Engine { mount_type: "transit", usual_path: "transit/", routes: transit::TABLES[1] },
    Engine { mount_type: "transit", usual_path: "transit/", routes: transit::TABLES[2] },
    Engine { mount_type: "transit", usual_path: "transit/", routes: transit::TABLES[3] },
    Engine { mount_type: "transit", usual_path: "transit/", routes: transit::TABLES[4] },
    Engine { mount_type: "userpass", usual_path: "auth/userpass/", routes: userpass::ROUTES },
];

pub(crate) struct Engine {
    pub(crate) mount_type: &'static str,
    pub(crate) usual_path: &'static str,
    pub(crate) routes: &'static [Route],
}

/// One thing that the API offers, for tests that must cover all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET`, `LIST`, `POST`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// `/v1/transit/sign/{name}`.
    pub path: String,
    /// Names it.
    pub operation_id: &'static str,
    /// Answers without a token.
    pub unauthenticated: bool,
    /// Answers while the service is sealed.
    pub while_sealed: bool,
    /// Leaves an awaited record of a kind of its own.
    pub audited: bool,
}

/// Everything that the API offers.
pub fn routes() -> impl Iterator<Item = RouteInfo> {
    ENGINES.iter().flat_map(|engine| {
        engine.routes.iter().flat_map(move |route| {
            route.endpoints.iter().map(move |endpoint| RouteInfo {
                method: endpoint.verb.method(),
                path: format!("/v1/{}{}", engine.usual_path, route.pattern),
                operation_id: endpoint.id,
                unauthenticated: endpoint.is_open(),
                while_sealed: endpoint.is_answered_while_sealed(),
                audited: endpoint.audited,
            })
        })
    })
}

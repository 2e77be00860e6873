//! `auth/kubernetes/`: service accounts of a cluster.

mod config;
mod login;
mod role;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use super::token_settings::with_token_settings;
use Kind::{Boolean, Duration, Integer, List, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const CONFIG: &[Parameter] = &[
    field("disable_iss_validation", Boolean, "Taken and without meaning here: the API server looks at issuers"),
    field("disable_local_ca_jwt", Boolean, "Taken and without meaning here: nothing is read from the pod"),
    field("issuer", Text, "Kept and shown"),
    field("kubernetes_ca_cert", Text, "Whose certificates are believed, in PEM; else those that the machine believes"),
    field("kubernetes_host", Text, "The API server: https://host:port").required(),
    field("pem_keys", List, "None: each token is asked about"),
    field("token_reviewer_jwt", Text, "The token to ask with; else each token is asked about with itself"),
];
const ROLE: [Parameter; 20] = with_token_settings([
    field("alias_name_source", Text, "serviceaccount_uid, or serviceaccount_name"),
    field("audience", Text, "Whom tokens must be for"),
    field("bound_cidrs", List, "The old name of `token_bound_cidrs`"),
    field("bound_service_account_names", List, "Service accounts; `*` stands for any text"),
    field("bound_service_account_namespaces", List, "Their namespaces, likewise"),
    field("max_ttl", Duration, "The old name of `token_max_ttl`"),
    field("num_uses", Integer, "The old name of `token_num_uses`"),
    field("ttl", Duration, "The old name of `token_ttl`"),
]);
const LOGIN: &[Parameter] =
    &[field("jwt", Text, "The service account's token").required(), field("role", Text, "The role").required()];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "login",
        endpoints: &[Endpoint::login("kubernetes-login", "A token for a service account", |call| {
            Box::pin(login::login(call))
        })
        .with(LOGIN)],
    },
    Route {
        pattern: "config",
        endpoints: &[
            Endpoint::new(Read, "kubernetes-read-config", "Which cluster is asked", |call| {
                Box::pin(config::read(call))
            }),
            Endpoint::new(Write, "kubernetes-write-config", "Tell which cluster to ask", |call| {
                Box::pin(config::write(call))
            })
            .with(CONFIG),
        ],
    },
    Route {
        pattern: "role",
        endpoints: &[Endpoint::new(Verb::List, "kubernetes-list-roles", "Names of all roles", |call| {
            Box::pin(role::list(call))
        })],
    },
    Route {
        pattern: "role/{name}",
        endpoints: &[
            Endpoint::new(Read, "kubernetes-read-role", "One role", |call| Box::pin(role::read(call))),
            Endpoint::new(Write, "kubernetes-write-role", "Make or change a role", |call| Box::pin(role::write(call)))
                .with(&ROLE)
                .creating(role::exists),
            Endpoint::new(Delete, "kubernetes-delete-role", "Delete a role", |call| Box::pin(role::delete(call))),
        ],
    },
];

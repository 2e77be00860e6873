//! What roles permit, held against what the API offers.

use clm_core::access::{Capability, reached_by_permissions};

/// Whether a path of a policy speaks of something that a route's pattern shows.
fn speaks_of(rule: &str, route: &str) -> bool {
    let (mut rule, mut route) = (rule.split('/'), route.split('/'));
    loop {
        match (rule.next(), route.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("{+path}" | "{+name}")) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other || other.starts_with('{') => {}
            _ => return false,
        }
    }
}

fn methods(capability: Capability) -> &'static [&'static str] {
    match capability {
        Capability::Create | Capability::Update => &["POST"],
        Capability::Delete => &["DELETE"],
        Capability::List => &["LIST"],
        Capability::Patch => &["PATCH"],
        Capability::Read => &["GET"],
        // Beside another.
        Capability::Sudo | Capability::Subscribe | Capability::Deny => &["GET", "LIST", "POST", "DELETE", "PATCH"],
    }
}

#[test]
fn every_rule_of_every_permission_speaks_of_something_that_the_api_offers() {
    let routes: Vec<_> = api::http::routes().collect();
    for (resource, verb, path, capability) in reached_by_permissions() {
        // It decides about `clm/secrets/NAME/rotate`.
        if path == "secret/rotate/*" {
            continue;
        }
        let fits = |route: &&api::http::RouteInfo| {
            let pattern = route.path.trim_start_matches("/v1/").trim_end_matches('/');
            methods(capability).contains(&route.method) && speaks_of(&path, pattern)
        };
        assert!(
            routes.iter().any(|route| fits(&route)),
            "{resource} {verb}: nothing is offered at {path} for {capability:?}"
        );
    }
}

#[test]
fn what_takes_another_word_than_a_permission_s_is_found_out() {
    assert!(speaks_of("transit/sign/+", "transit/sign/{name}") && speaks_of("secret/data/*", "secret/data/{+path}"));
    assert!(
        !speaks_of("transit/sign/+", "transit/sign/{name}/{urlalgorithm}")
            && !speaks_of("clm/rols/+", "clm/roles/{name}")
    );
}

//! Who may not.

use super::{policy, requests, started, token};
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::time::Duration;
use tests::{Server, Site, until};

const PATIENCE: Duration = Duration::from_secs(20);

const CAPABILITIES: [&str; 7] = ["create", "delete", "list", "patch", "read", "sudo", "update"];

/// Answered for any valid token: they say where a path is mounted, and which namespaces there are, to who may touch something there.
const ANY_TOKEN: [&str; 2] = ["ui-mounts-read", "ui-namespaces"];

/// Writes of what may not be there yet: whether it is decides which capability is needed.
const CREATING: [&str; 17] = [
    "approle-write-role",
    "clm-assign-user-role",
    "clm-write-inventory",
    "clm-write-organizations",
    "clm-write-policies",
    "clm-write-roles",
    "clm-write-secret",
    "clm-write-secret-metadata",
    "clm-write-workflows",
    "jwt-write-role",
    "kubernetes-write-role",
    "kv1-write",
    "kv2-write-data",
    "kv2-write-metadata",
    "namespaces-write",
    "transit-encrypt",
    "userpass-write-user",
];

/// Paths that need `sudo` beside their own capability.
const SUDO: [&str; 39] = [
    "audit-disable",
    "audit-enable",
    "audit-list",
    "audited-headers-delete",
    "audited-headers-list",
    "audited-headers-read",
    "audited-headers-write",
    "auth-disable",
    "auth-enable",
    "auth-read",
    "auth-read-tuning",
    "auth-tune",
    "clm-create-organization-token",
    "cors-delete",
    "cors-read",
    "cors-write",
    "generate-root-token-cancel",
    "generate-root-token-start",
    "generate-root-token-status",
    "generate-root-token-update",
    "leases-list",
    "leases-revoke-force",
    "leases-revoke-force-old",
    "leases-revoke-prefix",
    "leases-revoke-prefix-old",
    "plugins-deregister",
    "plugins-list",
    "plugins-read",
    "plugins-register",
    "raw-delete",
    "raw-list",
    "raw-list-all",
    "raw-read",
    "raw-write",
    "remount",
    "rotate",
    "rotate-keyring",
    "seal",
    "token-list-accessors",
];

/// A token that might have done everything, and whose time is over.
async fn expired(server: &mut Server) -> String {
    let wanted = serde_json::json!({"policies": ["everything"], "no_default_policy": true, "ttl": "1s"});
    let made = server.put("auth/token/create", wanted).await.unwrap();
    let text = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    let root = std::mem::replace(&mut server.token, text.clone());
    let asked = async || server.get("auth/token/lookup-self").await.unwrap().status.as_u16();
    assert_eq!(asked().await, 200);
    until(Duration::from_secs(20), "it does not end", 403, asked).await;
    server.token = root;
    text
}

#[tokio::test]
async fn without_a_valid_token_every_route_but_the_reviewed_ones_is_refused_and_counted() {
    let (site, mut server) = started().await;
    policy(&server, "everything", &CAPABILITIES).await;
    let (revoked, accessor) = token(&server, &["everything"]).await;
    let ended = server.put("auth/token/revoke-accessor", serde_json::json!({"accessor": accessor})).await.unwrap();
    assert_eq!(ended.status, 204, "{ended:?}");
    let expired = expired(&mut server).await;
    // By which that it had ended was seen.
    let mut refused = 1;
    for request in requests().iter().filter(|request| !request.row.open) {
        for token in ["", "hvs.nobody", &expired, &revoked] {
            server.token = token.to_owned();
            let answer =
                server.ask(request.method.clone(), &request.path, Some(request.row.body.into())).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.error()), (403, "permission denied"), "{}", request.row.id);
            refused += 1;
        }
    }
    let counted = async || unauthenticated(&site).await.values().sum::<i64>();
    until(PATIENCE, "not all refusals are recorded, or too many", refused, counted).await;
}

/// How many requests without a good token were counted, by class of path.
async fn unauthenticated(site: &Site) -> BTreeMap<String, i64> {
    let counted = "SELECT resource_id, sum((event_data ->> 'count')::bigint)::bigint FROM audit_log \
                   WHERE event_type = 'request.unauthenticated' AND action_result = 'failure' GROUP BY 1";
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query_as(counted).fetch_all(&mut superuser).await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn what_is_refused_before_its_token_is_looked_at_is_counted_like_what_has_none() {
    let (site, mut server) = started().await;
    for (method, path, status) in [
        ("GET", "sys/mounts?list=maybe", 400),
        ("GET", "transit/keys/a%00", 400),
        ("PUT", "transit/keys/a%2F..%2Fb", 400),
        ("HEAD", "secret/data/a", 405),
        ("GET", "auth/approle/login", 405),
        // Who asks where the service stands is told so by a status, and is no stranger.
        ("GET", "sys/health?activecode=472", 472),
        ("GET", "sys/health?activecode=x", 400),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = server.ask(method, path, None).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let (_, root) = server.enter("nosuch", "");
    assert_eq!(server.get("transit/keys/a").await.unwrap().error(), "namespace not found");
    server.enter("", "");
    // What is no wrapping token, none at all, and one that is good, for which somebody without a right wants what it holds.
    for (path, body, status) in [
        ("sys/wrapping/unwrap", r#"{"token":"hvs.nobody"}"#, 400),
        ("sys/wrapping/lookup", "{}", 403),
        ("auth/approle/login", "{", 400),
    ] {
        let answer = server.ask(reqwest::Method::POST, path, Some(body.into())).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    server.token = root;
    let nothing = token(&server, &["nothing"]).await.0;
    "60".clone_into(&mut server.wrap_ttl);
    let wrapped = server.put("sys/wrapping/wrap", serde_json::json!({})).await.unwrap();
    server.wrap_ttl.clear();
    server.token = nothing;
    let wanted = serde_json::json!({"token": wrapped.body["wrap_info"]["token"]});
    assert_eq!(server.put("sys/wrapping/unwrap", wanted).await.unwrap().status, 403);
    let classes = [("auth/approle/", 2), ("other", 1), ("secret/", 1), ("sys/", 3), ("transit/", 2)];
    let expected = BTreeMap::from(classes.map(|(class, count)| (class.to_owned(), count)));
    until(PATIENCE, "not all refusals are counted, or too many", expected, async || unauthenticated(&site).await).await;
}

#[tokio::test]
async fn open_routes_answer_without_a_token_and_give_nothing_away() {
    let (site, mut server) = started().await;
    server.token.clear();
    let mut refused = 0;
    for request in requests().iter().filter(|request| request.row.open) {
        let answer = server.ask(request.method.clone(), &request.path, Some(request.row.body.into())).await.unwrap();
        let expected = match request.row.id {
            "init" | "unseal" => 400,
            id if id.ends_with("-login") || id.starts_with("jwt-oidc") || id == "mfa-validate" => 400,
            "wrapping-look-up" | "wrapping-rewrap" | "wrapping-unwrap" => 400,
            id if id.starts_with("generate-root") || id.starts_with("rekey") => 405,
            "wrapping-look-up-own" => 403,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{}: {answer:?}", request.row.id);
        refused += i64::from(expected >= 400);
        let told = answer.body.to_string();
        assert!(!told.contains("hvs.") && !told.contains("accessor_"), "{}: {told}", request.row.id);
    }
    let mounts = server.get("sys/internal/ui/mounts").await.unwrap();
    assert_eq!(mounts.body["data"]["secret"], serde_json::json!({}), "mounts are not for everybody");
    let counted = async || unauthenticated(&site).await.values().sum::<i64>();
    until(PATIENCE, "not all refusals are recorded, or too many", refused, counted).await;
}

#[tokio::test]
async fn a_token_with_every_capability_but_the_routes_own_is_refused_with_a_record() {
    let (site, mut server) = started().await;
    let mut tokens = Vec::new();
    for missing in CAPABILITIES {
        let others: Vec<&str> = CAPABILITIES.into_iter().filter(|capability| *capability != missing).collect();
        policy(&server, missing, &others).await;
        tokens.push((missing, token(&server, &[missing]).await.0));
    }
    let nothing = token(&server, &["nothing"]).await.0;
    let mut superuser = site.core.superuser().await.unwrap();
    for request in requests().iter().filter(|request| !request.row.open) {
        let id = request.row.id;
        if ANY_TOKEN.contains(&id) {
            server.token.clone_from(&nothing);
            let answer = server.ask(request.method.clone(), &request.path, None).await.unwrap();
            // Namespaces are a list, of which nobody sees more than is his.
            let nothing = id == "ui-namespaces" && answer.body["data"]["keys"] == serde_json::json!([]);
            assert!(answer.status == 403 || nothing, "{id}: {answer:?}");
            continue;
        }
        let own = match request.method.as_str() {
            // What it names is not there.
            "POST" if CREATING.contains(&id) => "create",
            "GET" => "read",
            "PATCH" => "patch",
            "POST" => "update",
            "LIST" => "list",
            _ => "delete",
        };
        let needed = [own].into_iter().chain(SUDO.contains(&id).then_some("sudo"));
        for missing in needed {
            server.token.clone_from(&tokens.iter().find(|(name, _)| *name == missing).unwrap().1);
            server.user_agent = format!("{id} without {missing}");
            let answer =
                server.ask(request.method.clone(), &request.path, Some(request.row.body.into())).await.unwrap();
            assert_eq!(answer.status, 403, "{}: {answer:?}", server.user_agent);
            let rows = sqlx::query(
                "SELECT event_type, action_result, resource_id, action FROM audit_log WHERE user_agent = $1",
            )
            .bind(&server.user_agent)
            .fetch_all(&mut superuser)
            .await
            .unwrap();
            let found: Vec<[String; 4]> = rows.iter().map(|row| [0, 1, 2, 3].map(|column| row.get(column))).collect();
            assert_eq!(
                found,
                [["access.denied", "failure", request.path.split('?').next().unwrap(), own].map(str::to_owned)],
                "{id}"
            );
        }
    }
}

/// What is of the whole service, in no namespace but the root's.
fn is_of_the_service(path: &str) -> bool {
    let of_the_service = [
        "audit",
        "config/auditing",
        "config/cors",
        "config/state",
        "config/ui",
        "generate-root-token",
        "ha-status",
        "host-info",
        "in-flight-req",
        "license",
        "metrics",
        "plugins",
        "quotas/",
        "raw",
        "replication",
        "seal",
        "step-down",
        "version-history",
    ];
    path.strip_prefix("sys/").is_some_and(|path| of_the_service.iter().any(|known| path.starts_with(known)))
}

#[tokio::test]
async fn a_token_of_another_organization_is_refused_on_every_route_with_a_record_where_it_was_tried() {
    let (site, mut server) = started().await;
    let root = server.token.clone();
    for code in ["theirs", "third"] {
        assert_eq!(server.put(&format!("clm/organizations/{code}"), serde_json::json!({})).await.unwrap().status, 204);
    }
    let theirs = server.put("clm/organization-tokens/theirs", serde_json::json!({})).await.unwrap();
    let mut superuser = site.core.superuser().await.unwrap();
    // In the root namespace, and in that of a third organization, also by its path.
    for (namespace, prefix, tried) in [("", "", "root"), ("third", "", "third"), ("", "third/", "third")] {
        server.enter(namespace, theirs.text("token"));
        for request in requests().iter().filter(|request| !request.row.open) {
            server.user_agent = format!("{} in {namespace:?} {prefix:?}", request.row.id);
            let path = format!("{prefix}{}", request.path);
            let body = Some(request.row.body.into());
            let answer = server.ask(request.method.clone(), &path, body).await.unwrap();
            if tried == "third" && is_of_the_service(&request.path) {
                assert_eq!(answer.error(), "operation unavailable in namespaces", "{}", server.user_agent);
                continue;
            }
            assert_eq!(answer.status, 403, "{}: {answer:?}", server.user_agent);
            let found: Vec<(String, String, String)> = sqlx::query_as(
                "SELECT a.event_type, a.error_message, o.org_code FROM audit_log a JOIN organizations o ON o.id = a.organization_id WHERE a.user_agent = $1",
            )
            .bind(&server.user_agent)
            .fetch_all(&mut superuser)
            .await
            .unwrap();
            let expected = ["access.denied", "the token is of another namespace", tried].map(str::to_owned);
            assert_eq!(
                found.into_iter().map(<[String; 3]>::from).collect::<Vec<_>>(),
                [expected],
                "{}",
                server.user_agent
            );
        }
    }
    server.enter("", &root);
    server.user_agent.clear();
}

//! Tokens from outside: how long they live, how often and from where they can be used, and what ends with them.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::{Answer, Server, Site};

async fn started() -> (Site, Server) {
    Site::started("").await.unwrap()
}

/// With the policies `default` and `p1` … `p3`, which exist.
async fn create(server: &Server, path: &str, body: Value) -> Value {
    let made = server.put(path, body).await.unwrap();
    assert_eq!(made.status, 200, "{path}: {made:?}");
    made.body["auth"].clone()
}

fn text(auth: &Value) -> String {
    auth["client_token"].as_str().unwrap().to_owned()
}

async fn policies(server: &Server) {
    for name in ["p1", "p2", "p3"] {
        let policy = "path \"sys/mounts\" { capabilities = [\"read\"] }";
        assert_eq!(
            server.put(&format!("sys/policies/acl/{name}"), json!({"policy": policy})).await.unwrap().status,
            204
        );
    }
}

async fn as_token(server: &mut Server, token: &str, path: &str) -> Answer {
    let root = std::mem::replace(&mut server.token, token.to_owned());
    let answer = server.get(path).await.unwrap();
    server.token = root;
    answer
}

async fn count(site: &Site, statement: &str) -> i64 {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut superuser).await.unwrap()
}

fn told(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.error().contains(text), "{answer:?}");
}

#[tokio::test]
async fn a_token_made_for_two_requests_is_good_for_two_also_after_a_restart() {
    let (site, mut server) = started().await;
    policies(&server).await;
    let auth = create(&server, "auth/token/create", json!({"policies": ["p1"], "num_uses": 2})).await;
    assert_eq!(auth["num_uses"], 2);
    let limited = text(&auth);
    assert_eq!(as_token(&mut server, &limited, "sys/mounts").await.status, 200);
    let root = server.token.clone();
    drop(server);
    let mut server = site.serve().await.unwrap();
    server.token = root;
    server.until_health(200).await.unwrap();
    let last = as_token(&mut server, &limited, "auth/token/lookup-self").await;
    assert_eq!((last.status.as_u16(), &last.body["data"]["num_uses"]), (200, &json!(-1)), "{last:?}");
    told(&as_token(&mut server, &limited, "sys/mounts").await, 403, "permission denied");
    // For nobody else it is there any more, either, nor can its time be made longer.
    let (named, accessor) = (json!({"token": limited}), json!({"accessor": auth["accessor"]}));
    told(&server.put("auth/token/lookup", named.clone()).await.unwrap(), 403, "bad token");
    told(&server.put("auth/token/renew", named).await.unwrap(), 400, "token not found");
    told(&server.put("auth/token/lookup-accessor", accessor).await.unwrap(), 400, "invalid accessor");
    let list = Method::from_bytes(b"LIST").unwrap();
    let accessors = server.ask(list, "auth/token/accessors", None).await.unwrap();
    assert!(!accessors.body.to_string().contains(auth["accessor"].as_str().unwrap()), "{accessors:?}");
}

#[tokio::test]
async fn many_requests_at_once_do_not_get_more_out_of_a_limited_token() {
    let (_site, mut server) = started().await;
    policies(&server).await;
    let root = server.token.clone();
    server.token = text(&create(&server, "auth/token/create", json!({"policies": ["p1"], "num_uses": 5})).await);
    let asked = (0..20).map(|_| server.get("sys/mounts"));
    let answers = futures_util::future::join_all(asked).await;
    let good = answers.iter().filter(|answer| answer.as_ref().unwrap().status == 200).count();
    assert_eq!(good, 5);
    server.token = root;
}

#[tokio::test]
async fn a_batch_token_is_in_no_row_and_ends_with_the_token_that_made_it() {
    let (site, mut server) = started().await;
    policies(&server).await;
    let body = json!({"policies": ["p1"], "type": "batch", "ttl": "1h", "meta": {"a": "b"}});
    let before = count(&site, "SELECT count(*) FROM tokens").await;
    let orphan = create(&server, "auth/token/create-orphan", body.clone()).await;
    assert_eq!(count(&site, "SELECT count(*) FROM tokens").await, before);
    assert_eq!(
        (&orphan["accessor"], &orphan["token_type"], &orphan["renewable"], &orphan["lease_duration"]),
        (&json!(""), &json!("batch"), &json!(false), &json!(3600))
    );
    let batch = text(&orphan);
    assert!(batch.starts_with("hvb."), "{batch}");
    let seen = as_token(&mut server, &batch, "auth/token/lookup-self").await;
    assert_eq!((&seen.body["data"]["type"], &seen.body["data"]["meta"]), (&json!("batch"), &json!({"a": "b"})));
    assert_eq!(seen.body["data"]["orphan"], true);
    assert_eq!(as_token(&mut server, &batch, "sys/mounts").await.status, 200);
    assert_eq!(as_token(&mut server, &batch, "sys/hsm/status").await.status, 403);

    for (path, text) in [
        ("auth/token/renew", "batch tokens cannot be renewed"),
        ("auth/token/revoke", "batch tokens cannot be revoked"),
    ] {
        told(&server.put(path, json!({"token": batch})).await.unwrap(), 400, text);
    }
    for (field, value) in [("num_uses", json!(1)), ("period", json!("1h")), ("explicit_max_ttl", json!("1h"))] {
        let mut body = body.clone();
        body[field] = value;
        let refused = server.put("auth/token/create", body).await.unwrap();
        told(&refused, 400, &format!("batch tokens cannot have \"{field}\" set"));
    }
    told(&server.put("auth/token/create", json!({"type": "batch"})).await.unwrap(), 400, "cannot be root tokens");

    // One that is a child, used before so that it is in memory.
    let maker_policy = json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] } path \"sys/mounts\" { capabilities = [\"read\"] }"});
    assert_eq!(server.put("sys/policies/acl/p1", maker_policy).await.unwrap().status, 204);
    let parent = text(&create(&server, "auth/token/create", json!({"policies": ["p1"], "ttl": "1h"})).await);
    let root = std::mem::replace(&mut server.token, parent.clone());
    let child = create(&server, "auth/token/create", json!({"type": "batch", "ttl": "1h"})).await;
    assert_eq!(child["orphan"], false);
    server.token = text(&child);
    assert_eq!(server.get("sys/mounts").await.unwrap().status, 200);
    told(&server.put("auth/token/create", json!({})).await.unwrap(), 400, "batch tokens cannot create more tokens");
    server.token = root;
    assert_eq!(server.put("auth/token/revoke", json!({"token": parent})).await.unwrap().status, 204);
    told(&as_token(&mut server, &text(&child), "sys/mounts").await, 403, "permission denied");
    assert_eq!(as_token(&mut server, &batch, "sys/mounts").await.status, 200, "an orphan lives on");
}

#[tokio::test]
async fn a_batch_token_that_somebody_changed_is_none() {
    let (_site, mut server) = started().await;
    policies(&server).await;
    let body = json!({"policies": ["p1"], "type": "batch", "ttl": "1h"});
    let batch = text(&create(&server, "auth/token/create", body).await);
    for at in [5, batch.len() / 2, batch.len() - 2] {
        let mut bytes = batch.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        told(&as_token(&mut server, &changed, "sys/mounts").await, 403, "permission denied");
    }
    for forged in ["hvb.", "hvb.AAAA", &batch[..batch.len() - 4], &format!("{batch}AAAA")] {
        told(&as_token(&mut server, forged, "sys/mounts").await, 403, "permission denied");
    }
}

#[tokio::test]
async fn tokens_made_through_a_role_are_as_the_role_says() {
    let (_site, mut server) = started().await;
    policies(&server).await;
    let role = json!({"allowed_policies": "p1,p2", "orphan": true, "token_period": "1h", "path_suffix": "sfx", "renewable": true,
        "token_bound_cidrs": ["127.0.0.0/8", "::1"], "token_num_uses": 50});
    assert_eq!(server.put("auth/token/roles/R1", role).await.unwrap().status, 204);
    let shown = server.get("auth/token/roles/r1").await.unwrap();
    assert_eq!(
        shown.body["data"],
        json!({"allowed_entity_aliases": null, "allowed_policies": ["p1", "p2"], "allowed_policies_glob": [], "disallowed_policies": [],
            "disallowed_policies_glob": [], "explicit_max_ttl": 0, "name": "r1", "orphan": true, "path_suffix": "sfx", "period": 0,
            "renewable": true, "token_explicit_max_ttl": 0, "token_no_default_policy": false, "token_period": 3600,
            "token_type": "default-service", "token_bound_cidrs": ["127.0.0.0/8", "::1"], "token_num_uses": 50})
    );
    let auth = create(&server, "auth/token/create/r1", json!({})).await;
    assert_eq!((&auth["policies"], &auth["lease_duration"]), (&json!(["default", "p1", "p2"]), &json!(3600)));
    let seen = as_token(&mut server, &text(&auth), "auth/token/lookup-self").await;
    let data = &seen.body["data"];
    assert_eq!(
        (&data["path"], &data["role"], &data["orphan"]),
        (&json!("auth/token/create/r1/sfx"), &json!("r1"), &json!(true))
    );
    assert_eq!(data["bound_cidrs"], json!(["127.0.0.0/8", "::1"]));
    told(
        &server.put("auth/token/create/r1", json!({"policies": ["p3"]})).await.unwrap(),
        400,
        "token policies ([\"default\" \"p3\"]) must be subset of the role's allowed policies",
    );
    told(&server.put("auth/token/create/nosuch", json!({})).await.unwrap(), 400, "unknown role nosuch");

    // Elsewhere: made here, and of no use here.
    let elsewhere = json!({"token_bound_cidrs": "10.1.0.0/16"});
    assert_eq!(server.put("auth/token/roles/far", elsewhere).await.unwrap().status, 204);
    let far = text(&create(&server, "auth/token/create/far", json!({"policies": ["p1"]})).await);
    told(&as_token(&mut server, &far, "sys/mounts").await, 403, "permission denied");

    let renewed = server.put("auth/token/renew", json!({"token": text(&auth), "increment": "3h"})).await.unwrap();
    assert_eq!(renewed.body["auth"]["lease_duration"], 3600, "the period, whatever is asked");
    assert_eq!(server.ask(Method::DELETE, "auth/token/roles/r1", None).await.unwrap().status, 204);
    told(
        &server.put("auth/token/renew", json!({"token": text(&auth)})).await.unwrap(),
        400,
        "could not be found, not renewing",
    );
    assert_eq!(as_token(&mut server, &text(&auth), "sys/mounts").await.status, 200, "it lives on without its role");
    assert_eq!(server.get("auth/token/roles/r1").await.unwrap().status, 404);
    assert_eq!(server.put("auth/token/tidy", json!({})).await.unwrap().status, 202);
}

#[tokio::test]
async fn a_role_changed_by_sql_makes_no_tokens() {
    let (site, server) = started().await;
    policies(&server).await;
    assert_eq!(server.put("auth/token/roles/r", json!({"allowed_policies": "p1"})).await.unwrap().status, 204);
    create(&server, "auth/token/create/r", json!({})).await;
    let mut superuser = site.core.superuser().await.unwrap();
    let edited = "UPDATE auth_roles SET config = jsonb_set(config, '{allowed_policies}', '[\"p3\"]')";
    assert_eq!(sqlx::query(edited).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let refused = server.put("auth/token/create/r", json!({})).await.unwrap();
    told(&refused, 500, "changed behind the service's back");
    let recorded =
        "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'auth_roles'";
    assert_eq!(count(&site, recorded).await, 1);
}

#[tokio::test]
async fn a_child_is_used_from_where_its_parent_is_and_no_root_token_outlives_its_end() {
    let (_site, mut server) = started().await;
    policies(&server).await;
    let near = json!({"token_bound_cidrs": ["127.0.0.0/8", "::1"]});
    assert_eq!(server.put("auth/token/roles/near", near).await.unwrap().status, 204);
    let maker = json!({"policy": "path \"auth/token/*\" { capabilities = [\"update\"] }"});
    assert_eq!(server.put("sys/policies/acl/p3", maker).await.unwrap().status, 204);
    let parent = text(&create(&server, "auth/token/create/near", json!({"policies": ["p3"]})).await);
    let root = std::mem::replace(&mut server.token, parent);
    for (path, body, bound) in [
        ("auth/token/create", json!({}), json!(["127.0.0.0/8", "::1"])),
        ("auth/token/create", json!({"type": "batch", "ttl": "1h"}), json!(["127.0.0.0/8", "::1"])),
        ("auth/token/create-orphan", json!({}), Value::Null),
    ] {
        let child = text(&create(&server, path, body).await);
        let seen = as_token(&mut server, &child, "auth/token/lookup-self").await;
        assert_eq!(seen.body["data"]["bound_cidrs"], bound, "{path}: {seen:?}");
    }
    server.token = root;
    let ending = text(&create(&server, "auth/token/create", json!({"ttl": "1h"})).await);
    let root = std::mem::replace(&mut server.token, ending);
    for path in ["auth/token/create", "auth/token/create-orphan"] {
        let endless = server.put(path, json!({})).await.unwrap();
        told(&endless, 400, "expiring root tokens cannot create non-expiring root tokens");
        let lasts = create(&server, path, json!({"ttl": "10m"})).await;
        assert_eq!((&lasts["policies"], &lasts["lease_duration"]), (&json!(["root"]), &json!(600)));
    }
    server.token = root;
}

#[tokio::test]
async fn of_what_a_role_and_a_request_say_the_lesser_counts() {
    let (_site, mut server) = started().await;
    policies(&server).await;
    let role =
        json!({"allowed_policies": "p1", "token_period": "1h", "token_explicit_max_ttl": "2h", "token_num_uses": 9});
    assert_eq!(server.put("auth/token/roles/r", role).await.unwrap().status, 204);
    let body = json!({"period": "30m", "explicit_max_ttl": "3h", "no_parent": true, "no_default_policy": true,
        "policies": ["p1"], "display_name": "a  b!"});
    let made = server.put("auth/token/create/r", body).await.unwrap();
    assert_eq!(
        made.body["warnings"],
        json!([
            "Explicit max TTL specified both during creation call and in role; using the lesser value of 7200 seconds",
            "Period specified both during creation call and in role; using the lesser value of 1800 seconds"
        ])
    );
    let auth = &made.body["auth"];
    assert_eq!(
        (&auth["lease_duration"], &auth["policies"], &auth["num_uses"]),
        (&json!(1800), &json!(["p1"]), &json!(9))
    );
    // Whether it has a parent is the role's to say.
    assert_eq!(auth["orphan"], false);
    let info = server.put("auth/token/lookup", json!({"token": text(auth)})).await.unwrap();
    assert_eq!(
        (&info.body["data"]["explicit_max_ttl"], &info.body["data"]["period"], &info.body["data"]["display_name"]),
        (&json!(7200), &json!(1800), &json!("token-a--b"))
    );
    // What bounds a role's tokens bounds its batch tokens, or there are none.
    let batch = json!({"type": "batch", "ttl": "10m"});
    let unbounded = server.put("auth/token/create/r", batch.clone()).await.unwrap();
    told(&unbounded, 400, "batch tokens cannot have \"num_uses\" set");
    assert_eq!(server.put("auth/token/roles/r", json!({"token_num_uses": 0})).await.unwrap().status, 204);
    assert_eq!(create(&server, "auth/token/create/r", batch).await["lease_duration"], 600);
    let refused = server.put("auth/token/create/r", json!({"policies": ["p2"]})).await.unwrap();
    told(&refused, 400, "must be subset of the role's allowed policies ([\"default\" \"p1\"]) or glob policies ([])");

    // Networks by their old name keep tokens out as by the new one, which counts where both come.
    let old = json!({"bound_cidrs": "10.1.0.0/16", "period": "5m"});
    assert_eq!(server.put("auth/token/roles/old", old).await.unwrap().status, 204);
    let far = text(&create(&server, "auth/token/create/old", json!({"policies": ["p1"]})).await);
    told(&as_token(&mut server, &far, "sys/mounts").await, 403, "permission denied");
    let both = json!({"bound_cidrs": "10.1.0.0/16", "token_bound_cidrs": "127.0.0.0/8,::1"});
    let changed = server.put("auth/token/roles/old", both).await.unwrap();
    assert_eq!(
        changed.body["warnings"],
        json!(["Both 'token_bound_cidrs' and deprecated 'bound_cidrs' value supplied, ignoring the deprecated value"])
    );
    let shown = server.get("auth/token/roles/old").await.unwrap();
    assert_eq!(
        (
            shown.body["data"].get("bound_cidrs"),
            &shown.body["data"]["token_bound_cidrs"],
            &shown.body["data"]["period"]
        ),
        (None, &json!(["127.0.0.0/8", "::1"]), &json!(300))
    );
}

#[tokio::test]
async fn a_mount_moves_with_its_keys() {
    let (_site, server) = started().await;
    let made = server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
    let accessor = server.get("sys/mounts/transit").await.unwrap().text("accessor").to_owned();
    let moved = server.put("sys/remount", json!({"from": "transit", "to": "moved/here"})).await.unwrap();
    assert_eq!(moved.status, 200, "{moved:?}");
    let status = server.get(&format!("sys/remount/status/{}", moved.text("migration_id"))).await.unwrap();
    assert_eq!(
        status.body["data"]["migration_info"],
        json!({"source_mount": "transit/", "target_mount": "moved/here/", "status": "success"})
    );
    let key = server.get("moved/here/keys/k").await.unwrap();
    assert_eq!(key.body["data"]["keys"], made.body["data"]["keys"]);
    assert_eq!(server.get("sys/mounts/moved/here").await.unwrap().text("accessor"), accessor);
    assert_eq!(server.get("transit/keys/k").await.unwrap().status, 404);
    for (from, to) in
        [("nosuch", "x"), ("sys", "x"), ("moved/here", "sys"), ("moved/here", ""), ("moved/here", "auth/x")]
    {
        told(&server.put("sys/remount", json!({"from": from, "to": to})).await.unwrap(), 400, "");
    }
    assert_eq!(server.put("sys/mounts/other", json!({"type": "transit"})).await.unwrap().status, 204);
    told(&server.put("sys/remount", json!({"from": "other", "to": "moved"})).await.unwrap(), 400, "path in use");
    assert_eq!(server.get("sys/remount/status/nosuch").await.unwrap().status, 404);
}

#[tokio::test]
async fn people_are_shown_what_their_token_may_do() {
    let (_site, mut server) = started().await;
    let policy = json!({"policy": "path \"kv/a\" { capabilities = [\"read\"] } path \"kv/b/*\" { capabilities = [\"list\", \"update\"] }"});
    assert_eq!(server.put("sys/policies/acl/p1", policy).await.unwrap().status, 204);
    assert_eq!(server.get("sys/internal/ui/resultant-acl").await.unwrap().body["data"], json!({"root": true}));
    let token = text(&create(&server, "auth/token/create", json!({"policies": ["p1"]})).await);
    let shown = as_token(&mut server, &token, "sys/internal/ui/resultant-acl").await;
    assert_eq!(shown.body["data"]["exact_paths"]["kv/a"], json!({"capabilities": ["read"]}));
    assert_eq!(shown.body["data"]["glob_paths"]["kv/b/"], json!({"capabilities": ["list", "update"]}));
}

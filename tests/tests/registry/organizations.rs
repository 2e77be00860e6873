//! Tenants: served while they are active, not deleted, and of the service's own making.

use crate::{delete, done, list, organization, started};
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tests::{Server, Site, until};

/// What the token of the second organization gets for signing with its key.
async fn signs(server: &mut Server, token: &str) -> u16 {
    let (_, root) = server.enter("second", token);
    let answer = server.put("transit/sign/k", json!({"input": "YQ=="})).await.unwrap();
    server.enter("", &root);
    answer.status.as_u16()
}

async fn until_signing_gives(server: &mut Server, token: &str, wanted: u16, when: &str) {
    until(Duration::from_secs(5), when, wanted, async || signs(&mut *server, token).await).await;
}

/// A second organization with a key, and its root token.
async fn second(server: &mut Server) -> String {
    let (_, token) = organization(server, "second").await;
    let (_, root) = server.enter("second", &token);
    done(server, "sys/mounts/transit", json!({"type": "transit"})).await;
    done(server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    server.enter("", &root);
    token
}

async fn sql(site: &Site, statement: &str) {
    let mut superuser = site.core.superuser().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.unwrap();
}

async fn refused_rows(site: &Site) -> i64 {
    let mut superuser = site.core.superuser().await.unwrap();
    let refused =
        "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'organizations'";
    sqlx::query_scalar(refused).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_mounts_of_a_suspended_or_deleted_organization_are_served_by_no_server_until_it_is_back() {
    let (site, mut server) = started().await;
    let token = second(&mut server).await;
    let mut other = site.serve_for(&server.token).await.unwrap();
    assert_eq!((signs(&mut server, &token).await, signs(&mut other, &token).await), (200, 200));

    for (status, works) in [("suspended", 404), ("active", 200), ("inactive", 404), ("active", 200)] {
        done(&server, "clm/organizations/second", json!({"status": status})).await;
        assert_eq!(signs(&mut server, &token).await, works, "{status}: where it was said");
        until_signing_gives(&mut other, &token, works, status).await;
    }
    delete(&server, "clm/organizations/second").await;
    assert_eq!(signs(&mut server, &token).await, 404);
    until_signing_gives(&mut other, &token, 404, "deleted").await;
    assert_eq!(list(&server, "clm/organizations").await, ["root"]);
    assert_eq!(list(&server, "clm/deleted/organizations").await, ["second"]);
    assert_eq!(server.get("clm/organizations/second").await.unwrap().status, 404);
    let refused = server.put("clm/organization-tokens/second", json!({})).await.unwrap();
    assert_eq!(refused.status, 404, "{refused:?}");

    done(&server, "clm/organizations/second/restore", json!({})).await;
    assert_eq!(signs(&mut server, &token).await, 200);
    until_signing_gives(&mut other, &token, 200, "restored").await;
    assert_eq!(list(&server, "clm/organizations").await, ["root", "second"]);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_edited_by_sql_is_refused_and_recorded_and_served_again_once_it_is_as_it_was() {
    let (site, mut server) = started().await;
    let token = second(&mut server).await;
    sql(&site, "CREATE TABLE kept AS TABLE organizations").await;
    for edit in [
        "UPDATE organizations SET org_name = 'taken' WHERE org_code = 'second'",
        "UPDATE organizations SET max_users = 1000 WHERE org_code = 'second'",
        "UPDATE organizations SET settings = '{\"more\": true}' WHERE org_code = 'second'",
        "UPDATE organizations SET row_mac = decode(repeat('00', 32), 'hex'), revision = 1 WHERE org_code = 'second'",
    ] {
        let before = refused_rows(&site).await;
        sql(&site, edit).await;
        until_signing_gives(&mut server, &token, 500, edit).await;
        assert!(refused_rows(&site).await > before, "{edit}: is on record");
        let read = server.get("clm/organizations/second").await.unwrap();
        assert!(read.status == 500 && read.error().contains("behind the service's back"), "{edit}: {read:?}");
        sql(
            &site,
            "UPDATE organizations o SET org_name = k.org_name, max_users = k.max_users, settings = k.settings, row_mac = k.row_mac, revision = k.revision \
             FROM kept k WHERE k.id = o.id",
        )
        .await;
        until_signing_gives(&mut server, &token, 200, "as it was").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_sql_made_or_made_active_again_is_served_nothing() {
    let (site, mut server) = started().await;
    let token = second(&mut server).await;
    done(&server, "clm/organizations/second", json!({"status": "suspended"})).await;
    sql(&site, "UPDATE organizations SET status = 'active' WHERE org_code = 'second'").await;
    until_signing_gives(&mut server, &token, 500, "made active by SQL").await;
    // By its row alone; what gives a token to somebody is refused as well.
    sql(&site, "INSERT INTO organizations (id, org_name, org_code, status) VALUES (gen_random_uuid(), 'X', 'forged', 'active')").await;
    let token = server.put("clm/organization-tokens/forged", json!({})).await.unwrap();
    assert!(token.status == 500 && token.error().contains("behind the service's back"), "{token:?}");
    let mut superuser = site.core.superuser().await.unwrap();
    until(Duration::from_secs(20), "the forged one is on record", true, async || {
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit_log a JOIN organizations o ON a.resource_id = o.id::text WHERE o.org_code = 'forged' AND a.event_type = 'integrity.row_refused'",
        )
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        found > 0
    })
    .await;
    let said = site.fails(&["audit", "verify", "--rows"]).unwrap();
    assert!(said.contains("organizations row"), "{said}");
    // Root's own is served as before.
    done(&server, "transit/keys/of-root", json!({"type": "ecdsa-p256"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_services_own_of_an_organization_nobody_sends_along() {
    let (site, server) = started().await;
    let mut superuser = site.core.superuser().await.unwrap();
    for _ in ["made", "changed"] {
        let sent =
            json!({"org_name": "Two", "settings": {"seal": {"threshold": 0}}, "api_locked": true, "row_mac": "00"});
        done(&server, "clm/organizations/second", sent).await;
        let kept = "SELECT settings = '{}' AND NOT api_locked AND org_name = 'Two' FROM organizations WHERE org_code = 'second'";
        assert!(sqlx::query_scalar::<_, bool>(kept).fetch_one(&mut superuser).await.unwrap());
    }
    assert_eq!(server.get("clm/organizations/second").await.unwrap().body["data"].get("settings"), None);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn root_stays_active_and_only_root_makes_and_changes_organizations() {
    let (_site, mut server) = started().await;
    for (path, body) in
        [("clm/organizations/root", json!({"status": "suspended"})), ("clm/organizations/no blank", json!({}))]
    {
        let refused = server.put(path, body).await.unwrap();
        assert!(refused.status == 400 || refused.status == 404, "{path}: {refused:?}");
    }
    let refused = server.ask(reqwest::Method::DELETE, "clm/organizations/root", None).await.unwrap();
    assert!(refused.status == 400 && refused.error().contains("cannot be deleted"), "{refused:?}");
    let (_, token) = organization(&server, "second").await;
    organization(&server, "third").await;
    server.enter("second", &token);
    assert_eq!(list(&server, "clm/organizations").await, ["second"], "others are no business of it");
    assert_eq!(server.get("clm/organizations/third").await.unwrap().status, 404);
    assert_eq!(server.get("clm/organizations/second").await.unwrap().status, 200);
    for (path, body) in [
        ("clm/organizations/second", json!({"max_users": 10_000})),
        ("clm/organizations/fourth", json!({})),
        ("clm/organization-tokens/third", json!({})),
        ("clm/organizations/third/restore", json!({})),
    ] {
        let refused = server.put(path, body).await.unwrap();
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
    }
}

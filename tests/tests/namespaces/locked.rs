//! A namespace that is locked.

use crate::{done, list, namespace, refused, sign, started};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tests::{Server, until};

const SAYS: &str = "\"team/\" must be unlocked to gain access";

async fn locked(server: &Server) {
    for (method, path) in
        [("PUT", "transit/sign/k"), ("GET", "sys/mounts"), ("PUT", "auth/userpass/login/admin-of-team")]
    {
        let body = json!({"input": "YQ==", "password": "a good one"}).to_string();
        let answer = server.ask(method.parse().unwrap(), path, Some(body.into())).await.unwrap();
        assert!(answer.status == 503 && answer.error().contains(SAYS), "{path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_namespace_answers_nothing_until_it_is_unlocked_by_its_key_or_by_root() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let theirs = namespace(&mut server, "other").await;
    let root = server.token.clone();
    let mut second = site.serve_for(&root).await.unwrap();
    second.enter("team", &admin);
    until(Duration::from_secs(5), "the second server knows it", 200, async || sign(&second).await.status.as_u16())
        .await;

    let key = done(&server, "sys/namespaces/api-lock/lock/team", json!({})).await.text("unlock_key").to_owned();
    refused(&server, "sys/namespaces/api-lock/lock/team", json!({}), 400, "locked already").await;
    assert_eq!(server.get("sys/namespaces/team").await.unwrap().body["data"]["locked"], true);
    for token in [&admin, &root] {
        server.enter("team", token);
        locked(&server).await;
    }
    server.enter("", &admin);
    let by_path = server.put("team/transit/sign/k", json!({"input": "YQ=="})).await.unwrap();
    assert!(by_path.status == 503 && by_path.error().contains(SAYS), "{by_path:?}");
    until(Duration::from_secs(5), "the second server has heard of it", 503, async || {
        sign(&second).await.status.as_u16()
    })
    .await;
    // It survives a start, and concerns no other.
    let mut third = site.serve_for(&root).await.unwrap();
    third.enter("team", &admin);
    until(Duration::from_secs(5), "the third server knows it", 503, async || sign(&third).await.status.as_u16()).await;
    server.enter("other", &theirs);
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(server.get("sys/seal-status").await.unwrap().status, 200);

    // Inside only its unlocking is answered, and that only to whoever may and has the key.
    server.enter("team", &theirs);
    refused(&server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": key}), 403, "permission denied").await;
    server.enter("team", &admin);
    refused(&server, "sys/namespaces/api-lock/unlock", json!({}), 400, "unlock_key is missing or wrong").await;
    refused(&server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": "guessed"}), 400, "missing or wrong").await;
    locked(&server).await;
    done(&server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": key})).await;
    assert_eq!(sign(&server).await.status, 200);
    until(Duration::from_secs(5), "the second server has heard of it", 200, async || {
        sign(&second).await.status.as_u16()
    })
    .await;
    refused(&server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": key}), 400, "not locked").await;

    // Its own people lock it; a root token needs no key, others of the root namespace do.
    let own = done(&server, "sys/namespaces/api-lock/lock", json!({})).await.text("unlock_key").to_owned();
    assert_ne!(own, key, "each lock has its own");
    locked(&server).await;
    refused(&server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": key}), 400, "missing or wrong").await;
    server.enter("", &root);
    let may = json!({"policy": "path \"sys/namespaces/api-lock/*\" { capabilities = [\"update\"] }"});
    done(&server, "sys/policies/acl/locks", may).await;
    let made = done(&server, "auth/token/create", json!({"policies": ["locks"]})).await;
    let locks = made.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.enter("", &locks);
    refused(&server, "sys/namespaces/api-lock/unlock/team", json!({}), 400, "missing or wrong").await;
    refused(&server, "sys/namespaces/api-lock/lock/nosuch", json!({}), 400, "no namespace \"nosuch\"").await;
    refused(&server, "sys/namespaces/api-lock/lock", json!({}), 400, "the root namespace cannot be locked").await;
    server.enter("", &root);
    done(&server, "sys/namespaces/api-lock/unlock/team", json!({})).await;
    assert_eq!(server.get("sys/namespaces/team").await.unwrap().body["data"]["locked"], false);
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 200);

    // One that SQL made does not lock, and raises the alarm.
    let mut superuser = site.core.superuser().await.unwrap();
    let forged = "INSERT INTO system_entries (id, organization_id, kind, name, document, revision, row_mac) \
                  SELECT gen_random_uuid(), id, 'namespace_lock', 'api', '{}', 1, decode(repeat('00', 32), 'hex') FROM organizations WHERE org_code = 'team'";
    sqlx::query(forged).execute(&mut superuser).await.unwrap();
    let refused_rows = "SELECT count(*) > 0 FROM audit_log WHERE event_type = 'integrity.row_refused' AND resource_type = 'system_entries'";
    until(Duration::from_secs(5), "the alarm", true, async || {
        sqlx::query_scalar::<_, bool>(refused_rows).fetch_one(&mut superuser).await.unwrap()
    })
    .await;
    assert_eq!(sign(&server).await.status, 200);
    sqlx::query("DELETE FROM system_entries WHERE kind = 'namespace_lock'").execute(&mut superuser).await.unwrap();
    server.enter("", &root);
    let listed = list(&server, "sys/namespaces").await;
    assert_eq!(listed.body["data"]["key_info"]["team/"]["locked"], false);
    let deleted = server.ask(Method::DELETE, "sys/namespaces/team", None).await.unwrap();
    assert_eq!(deleted.status, 204);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_that_takes_a_lock_away_opens_nothing_and_is_found_out() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let root = server.token.clone();
    let key = done(&server, "sys/namespaces/api-lock/lock/team", json!({})).await.text("unlock_key").to_owned();
    // What is kept with the organization is changed without that, and nobody says by it that there is no lock.
    let metadata = json!({"custom_metadata": {"a": "b"}});
    assert_eq!(server.put("sys/namespaces/team", metadata).await.unwrap().status, 200);
    done(&server, "clm/organizations/team", json!({"api_locked": false})).await;
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();

    let mut superuser = site.core.superuser().await.unwrap();
    let delete = "DELETE FROM system_entries WHERE kind = 'namespace_lock'";
    assert_eq!(sqlx::query(delete).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    let mut second = site.serve_for(&root).await.unwrap();
    for server in [&mut server, &mut second] {
        server.enter("team", &admin);
        locked(server).await;
        // Whoever had the key would open what somebody else has touched.
        refused(server, "sys/namespaces/api-lock/unlock", json!({"unlock_key": key}), 400, "missing or wrong").await;
    }
    server.enter("", &root);
    refused(&server, "sys/namespaces/api-lock/lock/team", json!({}), 400, "locked already").await;
    assert_eq!(server.get("sys/namespaces/team").await.unwrap().body["data"]["locked"], true);
    done(&server, "sys/namespaces/api-lock/unlock/team", json!({})).await;
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 200);

    // And in the organization's row: then nothing of it is served.
    server.enter("", &root);
    done(&server, "sys/namespaces/api-lock/lock/team", json!({})).await;
    let open = "UPDATE organizations SET api_locked = false WHERE org_code = 'team' AND api_locked";
    assert_eq!(sqlx::query(open).execute(&mut superuser).await.unwrap().rows_affected(), 1);
    sqlx::query(delete).execute(&mut superuser).await.unwrap();
    for server in [&mut server, &mut second] {
        server.enter("team", &admin);
        until(Duration::from_secs(5), "it is refused", 500, async || sign(server).await.status.as_u16()).await;
    }
}

//! Soft deletion: gone from reads, lists and views, on record, and back whole.

use crate::{delete, done, list, started};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;
use tests::{Server, Site, until};
use uuid::Uuid;

async fn count(connection: &mut PgConnection, statement: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(connection).await.unwrap()
}

/// It is there, and in the list.
async fn is_there(server: &Server, plural: &str, name: &str) -> Value {
    let read = server.get(&format!("clm/{plural}/{name}")).await.unwrap();
    assert_eq!(read.status, 200, "{plural}: {read:?}");
    assert!(list(server, &format!("clm/{plural}")).await.iter().any(|known| known == name), "{plural}");
    let deleted = list(server, &format!("clm/{plural}?deleted=true")).await;
    assert!(!deleted.iter().any(|known| known == name), "{plural}: {deleted:?}");
    let mut data = read.body["data"].clone();
    data.as_object_mut().unwrap().remove("revision");
    data
}

/// It is not, but among what was deleted.
async fn is_gone(server: &Server, plural: &str, name: &str) {
    assert_eq!(server.get(&format!("clm/{plural}/{name}")).await.unwrap().status, 404, "{plural}");
    assert!(!list(server, &format!("clm/{plural}")).await.iter().any(|known| known == name), "{plural}");
    for deleted in [format!("clm/{plural}?deleted=true"), format!("clm/deleted/{plural}")] {
        assert!(list(server, &deleted).await.iter().any(|known| known == name), "{deleted}");
    }
}

async fn gone_and_back(server: &Server, plural: &str, name: &str) {
    let before = is_there(server, plural, name).await;
    let restore = format!("clm/{plural}/{name}/restore");
    let refused = server.put(&restore, json!({})).await.unwrap();
    assert_eq!(refused.status, 404, "{restore}: nothing was deleted: {refused:?}");
    delete(server, &format!("clm/{plural}/{name}")).await;
    is_gone(server, plural, name).await;
    // Again is as once.
    delete(server, &format!("clm/{plural}/{name}")).await;
    done(server, &restore, json!({})).await;
    assert_eq!(is_there(server, plural, name).await, before, "{plural}: it came back whole");
}

/// How many records name the thing, and what they say was done.
async fn actions(connection: &mut PgConnection, log: &str, name: &str) -> Vec<String> {
    let statement = format!("SELECT action FROM {log} WHERE resource_id = '{name}' ORDER BY seq");
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_by_code_is_gone_when_deleted_and_comes_back_whole() {
    let (site, server) = started().await;
    let mut core = site.core.superuser().await.unwrap();
    let rules = json!({"max_validity_days": 365, "ratio": 1.50, "tiny": 1e-7, "big": 1e22, "names": ["é", "\u{1f600}"], "b": {"z": 1, "a": null}});
    for (plural, name, body) in [
        (
            "roles",
            "OPERATOR",
            json!({"permissions": {"keys": ["read"], "certificates": ["create", "read"]}, "is_active": false}),
        ),
        (
            "policies",
            "web",
            json!({"policy_type": "issuance", "policy_rules": rules, "applies_to_cert_types": "server,client", "effective_until": "2031-01-02T03:04:05.678901234Z", "status": "active"}),
        ),
        (
            "workflows",
            "renewals",
            json!({"workflow_type": "renewal", "workflow_definition": {"steps": [{"name": "a"}]}, "approval_chain": [{"role": "APPROVER"}], "requires_approval": "true"}),
        ),
    ] {
        let path = format!("clm/{plural}/{name}");
        done(&server, &path, body).await;
        gone_and_back(&server, plural, name).await;
        // A change while it is deleted would make another of the same code.
        delete(&server, &path).await;
        let refused = server.put(&path, json!({"description": "another"})).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains("was deleted: restore it"), "{refused:?}");
        done(&server, &format!("{path}/restore"), json!({})).await;
        done(&server, &path, json!({"description": "changed"})).await;
        assert_eq!(server.get(&path).await.unwrap().text("description"), "changed");
        done(&server, &path, json!({"description": ""})).await;
        assert_eq!(server.get(&path).await.unwrap().body["data"]["description"], Value::Null);
        assert_eq!(
            actions(&mut core, "audit_log", name).await,
            // The refused restoring and the refused change name their path.
            ["create", "delete", "restore", "delete", "restore", "update", "update"],
            "{plural}"
        );
    }
    let kept = server.get("clm/policies/web").await.unwrap();
    assert_eq!(kept.body["data"]["policy_rules"], rules, "JSON comes back as it was sent");
    assert_eq!(kept.text("effective_until"), "2031-01-02T03:04:05.678901Z");
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_and_is_brought_back_by_sql_is_refused() {
    let (site, server) = started().await;
    let mut core = site.core.superuser().await.unwrap();
    done(&server, "clm/roles/OPERATOR", json!({"permissions": {"keys": ["read"]}})).await;
    done(&server, "clm/policies/web", json!({"policy_type": "issuance", "policy_rules": {}})).await;
    done(&server, "clm/workflows/w", json!({"workflow_type": "renewal", "workflow_definition": {"steps": []}})).await;
    for (plural, name, edit) in [
        ("roles", "OPERATOR", "permissions = '{\"*\": [\"*\"]}'"),
        ("policies", "web", "policy_rules = '{\"min_key_size\": 1}'"),
        ("workflows", "w", "requires_approval = false"),
    ] {
        let path = format!("clm/{plural}/{name}");
        let column = format!("{}_code", plural.replace("ies", "y").trim_end_matches('s'));
        delete(&server, &path).await;
        for (edit, back) in [("deleted_at = NULL", "deleted_at = kept.deleted_at"), (edit, "")] {
            sqlx::query(AssertSqlSafe(format!("CREATE TEMPORARY TABLE kept AS TABLE {plural}")))
                .execute(&mut core)
                .await
                .unwrap();
            let done = format!("UPDATE {plural} SET {edit} WHERE {column} = '{name}'");
            sqlx::query(AssertSqlSafe(done)).execute(&mut core).await.unwrap();
            let read = server.get(&path).await.unwrap();
            assert!(read.status == 500 && read.error().contains("behind the service's back"), "{edit}: {read:?}");
            if !back.is_empty() {
                let undone = format!("UPDATE {plural} SET {back} FROM kept WHERE kept.id = {plural}.id");
                sqlx::query(AssertSqlSafe(undone)).execute(&mut core).await.unwrap();
            }
            sqlx::query("DROP TABLE kept").execute(&mut core).await.unwrap();
        }
    }
    assert!(count(&mut core, "SELECT count(*) FROM audit_log WHERE event_type = 'integrity.row_refused'").await >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn system_roles_are_neither_changed_nor_deleted_and_no_role_becomes_one() {
    let (_site, server) = started().await;
    let names = list(&server, "clm/roles").await;
    assert_eq!(names, ["APPROVER", "AUDITOR", "CERT_ADMIN", "CERT_OPERATOR", "SYSTEM_ADMIN", "USER"]);
    for name in names {
        let changed = server.put(&format!("clm/roles/{name}"), json!({"is_active": false})).await.unwrap();
        let deleted = server.ask(reqwest::Method::DELETE, &format!("clm/roles/{name}"), None).await.unwrap();
        for refused in [changed, deleted] {
            assert!(refused.status == 400 && refused.error().contains("is a system role"), "{refused:?}");
        }
    }
    done(&server, "clm/roles/MINE", json!({"is_system_role": true})).await;
    assert_eq!(server.get("clm/roles/MINE").await.unwrap().body["data"]["is_system_role"], false);
    for code in ["lower", "1ST"] {
        let refused = server.put(&format!("clm/roles/{code}"), json!({})).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains("begins with a capital"), "{refused:?}");
    }
}

async fn with_certificate(site: &Site) -> String {
    let id = Uuid::now_v7();
    site.insert_certificate(clm_core::ROOT_ORGANIZATION, id).await.unwrap();
    site.insert_request(clm_core::ROOT_ORGANIZATION, id).await.unwrap();
    id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_requests_and_the_inventory_are_gone_when_deleted_and_come_back_whole() {
    let (site, server) = started().await;
    let id = with_certificate(&site).await;
    let (mut secure, mut core) = (site.secure.superuser().await.unwrap(), site.core.superuser().await.unwrap());
    done(
        &server,
        &format!("clm/inventory/{id}"),
        json!({"tags": "a,b", "environment": "testing", "custom_fields": {"n": 1.0}}),
    )
    .await;
    for plural in ["certificates", "certificate-requests", "inventory"] {
        gone_and_back(&server, plural, &id).await;
    }
    let said = server.get(&format!("clm/inventory/{id}")).await.unwrap();
    assert_eq!(
        (said.text("common_name"), said.text("certificate_type")),
        ("bound", "server"),
        "as the certificate says"
    );
    assert_eq!(
        actions(&mut secure, "secure_audit_log", &id).await,
        ["delete", "restore", "delete", "restore"],
        "the certificate's, then the request's"
    );
    // The views of what is active have it while it is there.
    let active = format!("SELECT count(*) FROM active_certificates WHERE id = '{id}'");
    let summary = format!("SELECT count(*) FROM certificate_summary WHERE certificate_id = '{id}'");
    assert_eq!((count(&mut secure, &active).await, count(&mut core, &summary).await), (1, 1));
    delete(&server, &format!("clm/certificates/{id}")).await;
    delete(&server, &format!("clm/inventory/{id}")).await;
    assert_eq!((count(&mut secure, &active).await, count(&mut core, &summary).await), (0, 0));
    site.succeeds(&["audit", "verify"]).unwrap();

    // Brought back by SQL it is refused.
    for (plural, table) in [("certificates", "certificates"), ("certificate-requests", "certificate_requests")] {
        delete(&server, &format!("clm/{plural}/{id}")).await;
        sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET deleted_at = NULL"))).execute(&mut secure).await.unwrap();
        let read = server.get(&format!("clm/{plural}/{id}")).await.unwrap();
        assert!(read.status == 500 && read.error().contains("behind the service's back"), "{plural}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_version_of_a_pair_of_keys_is_used_no_more_until_it_is_back() {
    let (site, server) = started().await;
    done(&server, "transit/keys/pair", json!({"type": "ecdsa-p256"})).await;
    let signed = done(&server, "transit/sign/pair", json!({"input": "YQ=="})).await;
    let verify = json!({"input": "YQ==", "signature": signed.text("signature")});
    done(&server, "transit/keys/pair/rotate", json!({})).await;
    let mut old = String::new();
    for id in list(&server, "clm/private-keys").await {
        let version = server.get(&format!("clm/private-keys/{id}")).await.unwrap();
        if version.body["data"]["version"] == 1 {
            old = id;
        } else {
            let refused = server.ask(reqwest::Method::DELETE, &format!("clm/private-keys/{id}"), None).await.unwrap();
            assert!(refused.status == 400 && refused.error().contains("newest version"), "{refused:?}");
        }
    }
    gone_and_back(&server, "private-keys", &old).await;
    delete(&server, &format!("clm/private-keys/{old}")).await;
    let other = site.serve_for(&server.token).await.unwrap();
    for server in [&server, &other] {
        let refused = server.put("transit/verify/pair", verify.clone()).await.unwrap();
        assert_eq!(refused.status, 400, "{refused:?}");
        done(server, "transit/sign/pair", json!({"input": "YQ=="})).await;
    }
    done(&server, &format!("clm/private-keys/{old}/restore"), json!({})).await;
    until(Duration::from_secs(5), "verifies", true, async || {
        other.put("transit/verify/pair", verify.clone()).await.unwrap().body["data"]["valid"] == true
    })
    .await;
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

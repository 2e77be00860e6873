//! Fields that name a row by its id: it must be there, of the same organization, and not deleted, when the field is written.

use crate::{delete, done, organization, started};
use serde_json::{Value, json};
use tests::Server;
use uuid::Uuid;

async fn refused(server: &Server, path: &str, body: Value, says: &str) {
    let answer = server.put(path, body.clone()).await.unwrap();
    assert!(answer.status == 400 && answer.error().contains(says), "{path} {body}: {answer:?}");
}

/// Somebody who logs in with a password; the id.
async fn person(server: &Server, site: &tests::Site, name: &str) -> Uuid {
    done(server, &format!("auth/userpass/users/{name}"), json!({"password": "a good one"})).await;
    let mut core = site.core.superuser().await.unwrap();
    sqlx::query_scalar("SELECT id FROM users WHERE username = $1").bind(name).fetch_one(&mut core).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_field_names_must_be_there_of_the_same_organization_and_not_deleted() {
    let (site, mut server) = started().await;
    done(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    let ours = person(&server, &site, "ours").await;
    let leaving = person(&server, &site, "leaving").await;
    delete(&server, "auth/userpass/users/leaving").await;
    done(&server, "clm/roles/ABOVE", json!({})).await;
    let above = server.get("clm/roles/ABOVE").await.unwrap().text("id").to_owned();
    let certificate = Uuid::now_v7();
    site.insert_certificate(clm_core::ROOT_ORGANIZATION, certificate).await.unwrap();

    let (second, token) = organization(&server, "second").await;
    let theirs_certificate = Uuid::now_v7();
    site.insert_certificate(second.parse().unwrap(), theirs_certificate).await.unwrap();
    let (root_namespace, root) = server.enter("second", &token);
    done(&server, "sys/auth/userpass", json!({"type": "userpass"})).await;
    let theirs = person(&server, &site, "theirs").await;
    refused(&server, "clm/roles/BELOW", json!({"parent_role_id": above}), "no role").await;
    refused(&server, &format!("clm/inventory/{certificate}"), json!({}), "no certificate").await;
    done(&server, "clm/roles/THEIRS", json!({})).await;
    let theirs_role = server.get("clm/roles/THEIRS").await.unwrap().text("id").to_owned();
    server.enter(&root_namespace, &root);

    let nobody = Uuid::new_v4();
    let inventory = format!("clm/inventory/{certificate}");
    for (path, field, what, ids) in [
        ("clm/organizations/root", "primary_contact_user_id", "no person", vec![nobody, theirs, leaving]),
        (inventory.as_str(), "owner_user_id", "no person", vec![nobody, theirs, leaving]),
        ("clm/roles/BELOW", "parent_role_id", "no role", vec![nobody, theirs_role.parse().unwrap()]),
    ] {
        for id in ids {
            refused(&server, path, json!({ field: id }), &format!("{field}: this organization has {what} {id}")).await;
        }
        refused(&server, path, json!({ field: "somebody" }), "a field cannot be so").await;
    }
    // Another organization's contact is one of its own people.
    refused(&server, "clm/organizations/second", json!({"primary_contact_user_id": ours}), "no person").await;
    done(&server, "clm/organizations/second", json!({"primary_contact_user_id": theirs})).await;
    for id in [nobody, theirs_certificate] {
        refused(&server, &format!("clm/inventory/{id}"), json!({}), "no certificate").await;
    }
    refused(&server, "clm/inventory/no-id", json!({}), "no certificate").await;

    done(&server, "clm/organizations/root", json!({"primary_contact_user_id": ours})).await;
    done(&server, &inventory, json!({"owner_user_id": ours})).await;
    done(&server, "clm/roles/BELOW", json!({"parent_role_id": above})).await;
    // No role is above itself.
    let below = server.get("clm/roles/BELOW").await.unwrap().text("id").to_owned();
    refused(&server, "clm/roles/ABOVE", json!({"parent_role_id": below}), "no role").await;
    delete(&server, "clm/roles/ABOVE").await;
    refused(&server, "clm/roles/OTHER", json!({"parent_role_id": above}), "no role").await;
    // A certificate that was deleted is not there.
    delete(&server, &format!("clm/certificates/{certificate}")).await;
    refused(&server, &inventory, json!({"notes": "late"}), "no certificate").await;
    site.succeeds(&["audit", "verify"]).unwrap();
}

//! `sys/namespaces`: the organizations of `clm/organizations`, as Vault's clients know them.

use crate::{done, list, namespace, refused, sign, started};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_and_organizations_are_one_list() {
    let (site, mut server) = started().await;
    assert_eq!(list(&server, "sys/namespaces").await.status, 404);
    let made = done(&server, "sys/namespaces/team", json!({"custom_metadata": {"a": "1", "b": "2"}})).await;
    let id = server.get("clm/organizations/team").await.unwrap().text("id").to_owned();
    let expected = json!({"id": id, "uuid": id, "path": "team/", "custom_metadata": {"a": "1", "b": "2"}, "locked": false, "tainted": false});
    assert_eq!(made.body["data"], expected);
    let patch = json!({"custom_metadata": {"a": null, "c": "3"}}).to_string().into_bytes();
    let patched = server.ask(Method::PATCH, "sys/namespaces/team", Some(patch.clone())).await.unwrap();
    assert_eq!(patched.body["data"]["custom_metadata"], json!({"b": "2", "c": "3"}), "{patched:?}");
    let absent = server.ask(Method::PATCH, "sys/namespaces/nosuch", Some(patch)).await.unwrap();
    assert_eq!(absent.status, 404, "{absent:?}");
    refused(&server, "sys/namespaces/team", json!({"custom_metadata": {"a": 1}}), 400, "must be strings").await;
    done(&server, "clm/organizations/other", json!({"org_name": "The other"})).await;
    let listed = list(&server, "sys/namespaces").await;
    assert_eq!(listed.body["data"]["keys"], json!(["other/", "team/"]));
    assert_eq!(listed.body["data"]["key_info"]["team/"]["id"], id);
    assert_eq!(server.get("sys/namespaces/team/").await.unwrap().text("path"), "team/");
    let organization = server.get("clm/organizations/team").await.unwrap();
    assert_eq!(organization.body["data"]["custom_metadata"], json!({"b": "2", "c": "3"}));
    // Organizations do not nest, and know no other.
    let root = server.token.clone();
    server.enter("team", &root);
    assert_eq!(list(&server, "sys/namespaces").await.status, 404);
    assert_eq!(server.get("sys/namespaces/other").await.unwrap().status, 404);
    refused(&server, "sys/namespaces/third", json!({}), 403, "by organization root").await;
    server.enter("", &root);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_or_deleted_namespace_serves_nothing_until_it_is_back() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let root = server.token.clone();
    done(&server, "clm/organizations/team", json!({"status": "suspended"})).await;
    assert_eq!(server.get("sys/namespaces/team").await.unwrap().body["data"]["locked"], true);
    for token in [&admin, &root] {
        server.enter("team", token);
        for answer in [sign(&server).await, server.get("sys/mounts").await.unwrap()] {
            assert_eq!((answer.status.as_u16(), answer.error()), (404, "namespace not found"));
        }
        refused(&server, "auth/userpass/login/admin-of-team", json!({"password": "a good one"}), 404, "namespace")
            .await;
    }
    server.enter("", &admin);
    assert_eq!(sign(&server).await.status, 403);
    server.enter("", &root);
    done(&server, "clm/organizations/team", json!({"status": "active"})).await;
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 200);

    server.enter("", &root);
    assert_eq!(server.ask(Method::DELETE, "sys/namespaces/team", None).await.unwrap().status, 204);
    assert_eq!(server.get("sys/namespaces/team").await.unwrap().status, 404);
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 404);
    server.enter("", &root);
    refused(&server, "sys/namespaces/team", json!({}), 400, "was deleted: restore it").await;
    done(&server, "clm/organizations/team/restore", json!({})).await;
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 200);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

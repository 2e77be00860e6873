//! What people and programs of an organization do in its namespace.

use crate::{done, list, namespace, refused, sign, started};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_its_own_mounts_keys_policies_people_and_secrets() {
    let (site, mut server) = started().await;
    let root = server.token.clone();
    done(&server, "transit/keys/k", json!({"type": "ecdsa-p256"})).await;
    done(&server, "sys/mounts/of-root", json!({"type": "kv-v2"})).await;
    let admin = namespace(&mut server, "team").await;
    let of_root = sign(&server).await;

    server.enter("team", &admin);
    let mounts = server.get("sys/mounts").await.unwrap().body["data"].clone();
    let mut paths: Vec<&String> = mounts.as_object().unwrap().keys().collect();
    paths.sort_unstable();
    assert_eq!(paths, ["clm/", "cubbyhole/", "identity/", "sys/", "transit/"]);
    let logins = server.get("sys/auth").await.unwrap().body["data"].clone();
    assert_eq!(logins.as_object().unwrap().keys().collect::<Vec<_>>(), ["token/", "userpass/"]);
    assert_eq!(list(&server, "sys/policies/acl").await.body["data"]["keys"], json!(["admin", "default", "root"]));

    // A key of the same name is another key.
    let signed = sign(&server).await;
    let valid = async |signature: &str| {
        let body = json!({"input": "YQ==", "signature": signature});
        done(&server, "transit/verify/k", body).await.body["data"]["valid"].clone()
    };
    assert_eq!(valid(signed.text("signature")).await, true);
    assert_eq!(valid(of_root.text("signature")).await, false);

    // A program logs in by AppRole, and may what its policy says.
    done(
        &server,
        "sys/policies/acl/signs",
        json!({"policy": "path \"transit/sign/k\" { capabilities = [\"update\"] }"}),
    )
    .await;
    done(&server, "sys/auth/approle", json!({"type": "approle"})).await;
    done(&server, "auth/approle/role/app", json!({"role_id": "app", "token_policies": "signs"})).await;
    let secret = done(&server, "auth/approle/role/app/secret-id", json!({})).await;
    let login = json!({"role_id": "app", "secret_id": secret.text("secret_id")});
    server.token.clear();
    let program = done(&server, "auth/approle/login", login.clone()).await.body["auth"]["client_token"].clone();
    let program = program.as_str().unwrap().to_owned();
    server.token.clone_from(&program);
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(server.get("transit/keys/k").await.unwrap().status, 403);
    // Not where it was not made.
    server.enter("", "");
    refused(&server, "auth/approle/login", login, 403, "permission denied").await;
    server.enter("", &program);
    assert_eq!(sign(&server).await.status, 403);

    // Secrets, what a token keeps for itself, answers in wrapping tokens, people.
    server.enter("team", &admin);
    done(&server, "sys/mounts/secret", json!({"type": "kv-v2"})).await;
    done(&server, "secret/data/a", json!({"data": {"kept": "inside"}})).await;
    done(&server, "cubbyhole/a", json!({"kept": "here"})).await;
    assert_eq!(server.get("cubbyhole/a").await.unwrap().text("kept"), "here");
    "1m".clone_into(&mut server.wrap_ttl);
    let wrapped = server.get("secret/data/a").await.unwrap().body["wrap_info"]["token"].as_str().unwrap().to_owned();
    server.wrap_ttl.clear();
    server.enter("", &root);
    refused(&server, "sys/wrapping/unwrap", json!({"token": wrapped}), 400, "wrapping token is not valid").await;
    server.enter("team", &wrapped);
    let unwrapped = done(&server, "sys/wrapping/unwrap", json!({})).await;
    assert_eq!(unwrapped.body["data"]["data"]["kept"], "inside");
    server.enter("team", &admin);
    let entity = server.get("auth/token/lookup-self").await.unwrap().text("entity_id").to_owned();
    assert_eq!(list(&server, "identity/entity/id").await.body["data"]["keys"].as_array().unwrap().len(), 2);
    let shown = server.get(&format!("identity/entity/id/{entity}")).await.unwrap().body["data"].clone();
    let group = done(&server, "identity/group", json!({"name": "crew"})).await.text("id").to_owned();
    let group = server.get(&format!("identity/group/id/{group}")).await.unwrap().body["data"].clone();
    server.enter("", &root);
    // Where somebody is, by the id that the namespace has.
    let here = server.get("sys/namespaces/team").await.unwrap().body["data"]["id"].clone();
    for told in [&shown, &shown["aliases"][0], &group] {
        assert_eq!(told["namespace_id"], here, "{told}");
    }
    assert_eq!(server.get(&format!("identity/entity/id/{entity}")).await.unwrap().status, 404);
    assert_eq!(list(&server, "identity/entity/id").await.status, 404, "root has none of them");

    // What was done inside is on record there.
    let mut core = site.core.superuser().await.unwrap();
    let records = "SELECT DISTINCT o.org_code FROM audit_log a JOIN organizations o ON o.id = a.organization_id \
                   WHERE a.event_type IN ('login.userpass', 'login.approle', 'wrapping.unwrap')";
    let found: Vec<String> = sqlx::query_scalar(records).fetch_all(&mut core).await.unwrap();
    assert_eq!(found, ["team"]);
    site.succeeds(&["audit", "verify", "--rows"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_survives_a_restart_and_is_served_by_every_server() {
    let (site, mut server) = started().await;
    let other = site.serve_for(&server.token).await.unwrap();
    let admin = namespace(&mut server, "team").await;
    let mut other = other;
    other.enter("team", &admin);
    tests::until(std::time::Duration::from_secs(5), "the other has heard of it", 200, async || {
        sign(&other).await.status.as_u16()
    })
    .await;
    drop(server);
    let mut server = site.serve_for(&admin).await.unwrap();
    server.enter("team", &admin);
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(
        server.get("auth/token/lookup-self").await.unwrap().body["data"]["namespace_path"],
        Value::from("team/")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_works_in_the_namespace_that_the_environment_names() {
    let (site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    let file = site.path("order.txt");
    std::fs::write(&file, "an order").unwrap();
    let clm = |namespace: &str, arguments: &[&str]| {
        let mut command = site.command(arguments).unwrap();
        command.env("VAULT_ADDR", server.address()).env("VAULT_TOKEN", &admin).env("VAULT_NAMESPACE", namespace);
        command.output().unwrap()
    };
    let sign = ["key", "sign", "--name", "k", file.to_str().unwrap()];
    let signed = clm("team", &sign);
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let signature = String::from_utf8(signed.stdout).unwrap();
    let verify = ["key", "verify", "--name", "k", "--signature", signature.trim(), file.to_str().unwrap()];
    assert_eq!(clm("team", &verify).stdout, b"valid\n");
    let refused = clm("", &sign);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("permission denied"));
}

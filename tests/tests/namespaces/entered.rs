//! By header, by path, and by neither.

use crate::{done, namespace, refused, sign, started};
use reqwest::Client;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_entered_by_header_or_by_path_and_the_answer_echoes_the_header() {
    let (_site, mut server) = started().await;
    let admin = namespace(&mut server, "team").await;
    for (header, prefix) in
        [("team", ""), ("team/", ""), ("/team", ""), ("", "team/"), ("/", "team/"), ("root", "team/")]
    {
        server.enter(header, &admin);
        let own = server.get(&format!("{prefix}auth/token/lookup-self")).await.unwrap();
        assert_eq!((own.status.as_u16(), own.text("namespace_path")), (200, "team/"), "{header:?} {prefix:?}: {own:?}");
    }
    // A path that begins with the namespace of the header is one of that namespace.
    server.enter("team", &admin);
    assert_eq!(server.get("team/auth/token/lookup-self").await.unwrap().status, 404);
    let request = Client::new().get(format!("{}/v1/auth/token/lookup-self", server.address()));
    let answer = request.header("X-Vault-Namespace", "team/").header("X-Vault-Token", &admin).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-vault-namespace"].to_str().unwrap()), (200, "team/"));
    for unknown in ["nosuch", "team/below", "Team"] {
        server.enter(unknown, &admin);
        let answer = sign(&server).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (404, "namespace not found"), "{unknown}");
    }
    // With no namespace named it is the root's, where this token is nobody's.
    server.enter("", &admin);
    assert_eq!(sign(&server).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_the_whole_service_is_refused_in_a_namespace_and_its_state_is_told_everywhere() {
    let (_site, mut server) = started().await;
    namespace(&mut server, "team").await;
    let root = server.token.clone();
    for (namespace, prefix) in [("team", ""), ("", "team/")] {
        server.enter(namespace, &root);
        for path in
            ["sys/seal", "sys/init", "sys/unseal", "sys/audit/file", "sys/rekey/init", "sys/generate-root/attempt"]
        {
            refused(&server, &format!("{prefix}{path}"), json!({}), 400, "operation unavailable in namespaces").await;
        }
        for path in ["sys/health", "sys/metrics", "sys/quotas/config", "sys/config/cors"] {
            let answer = server.get(&format!("{prefix}{path}")).await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.error()),
                (400, "operation unavailable in namespaces"),
                "{path}"
            );
        }
        for path in ["sys/seal-status", "sys/leader"] {
            assert_eq!(server.get(&format!("{prefix}{path}")).await.unwrap().status, 200, "{path}");
        }
    }
    server.enter("nosuch", "");
    assert_eq!(server.get("sys/seal-status").await.unwrap().status, 200);
    // Sealed, nobody knows which there are.
    server.enter("", &root);
    done(&server, "sys/seal", json!({})).await;
    server.enter("team", &root);
    assert_eq!(
        (sign(&server).await.status.as_u16(), server.get("sys/seal-status").await.unwrap().status.as_u16()),
        (503, 200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_belongs_to_a_mount_and_to_a_namespace() {
    let (_site, mut server) = started().await;
    namespace(&mut server, "team").await;
    for path in ["team", "team/below"] {
        refused(&server, &format!("sys/mounts/{path}"), json!({"type": "transit"}), 400, "already in use at team/")
            .await;
        refused(&server, "sys/remount", json!({"from": "transit", "to": path}), 400, "already in use at team/").await;
    }
    done(&server, "sys/mounts/a/b", json!({"type": "transit"})).await;
    for (code, says) in
        [("transit", "already in use at transit/"), ("a", "already in use at a/b/"), ("sys", "reserved")]
    {
        refused(&server, &format!("sys/namespaces/{code}"), json!({}), 400, says).await;
        refused(&server, &format!("clm/organizations/{code}"), json!({}), 400, says).await;
    }
    refused(&server, "sys/namespaces/root", json!({}), 400, "root namespace").await;
    refused(&server, "sys/namespaces/team/below", json!({}), 400, "must not contain /").await;
    // Deleted, it keeps its place, because it may come back.
    assert_eq!(server.ask(reqwest::Method::DELETE, "sys/namespaces/team", None).await.unwrap().status, 204);
    refused(&server, "sys/mounts/team", json!({"type": "transit"}), 400, "already in use at team/").await;
}

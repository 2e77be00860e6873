//! Tokens of organization `root` in the namespaces below.

use crate::{done, namespace, refused, sign, started};
use serde_json::json;
use tests::Server;
use uuid::Uuid;

/// A token of organization `root` with one policy.
async fn token(server: &Server, policy: &str) -> (String, String) {
    done(server, "sys/policies/acl/p", json!({"policy": policy})).await;
    let made = done(server, "auth/token/create", json!({"policies": ["p"]})).await;
    let text = |field: &str| made.body["auth"][field].as_str().unwrap().to_owned();
    (text("client_token"), text("accessor"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_root_acts_in_a_namespace_as_far_as_its_policies_name_the_paths_with_the_namespace_in_front() {
    let (site, mut server) = started().await;
    namespace(&mut server, "team").await;
    namespace(&mut server, "other").await;
    let root = server.token.clone();
    let id: Uuid = server.get("sys/namespaces/team").await.unwrap().text("id").parse().unwrap();
    let allowed = "path \"team/transit/sign/*\" { capabilities = [\"update\"] }\n\
                   path \"team/sys/auth/x\" { capabilities = [\"update\"] }\n\
                   path \"transit/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }";
    let (token, accessor) = token(&server, allowed).await;
    server.user_agent = "from above".into();
    server.enter("team", &token);
    assert_eq!(sign(&server).await.status, 200);
    let asked = json!({"paths": ["transit/sign/k", "transit/keys/k"]});
    assert_eq!(
        server.put("sys/capabilities-self", asked.clone()).await.unwrap().status,
        403,
        "default is root's alone"
    );
    // The rule of the root namespace's own paths says nothing here.
    let denied = server.get("transit/keys/k").await.unwrap();
    assert_eq!(denied.status, 403, "{denied:?}");
    refused(&server, "sys/auth/x", json!({"type": "userpass"}), 403, "permission denied").await;
    server.enter("", &token);
    assert_eq!(server.put("team/transit/sign/k", json!({"input": "YQ=="})).await.unwrap().status, 200);
    server.enter("other", &token);
    assert_eq!(sign(&server).await.status, 403);

    // On record in the namespace, with who it was.
    server.user_agent.clear();
    let mut core = site.core.superuser().await.unwrap();
    let denied = "SELECT o.org_code, a.event_data ->> 'path' FROM audit_log a JOIN organizations o ON o.id = a.organization_id \
                  WHERE a.event_type = 'access.denied' AND a.user_agent = 'from above' AND a.event_data::text LIKE '%' || $1 || '%' ORDER BY a.event_timestamp";
    let denied: Vec<(String, String)> = sqlx::query_as(denied).bind("path").fetch_all(&mut core).await.unwrap();
    let expected = [
        ("team", "sys/capabilities-self"),
        ("team", "transit/keys/k"),
        ("team", "sys/auth/x"),
        ("other", "transit/sign/k"),
    ];
    assert_eq!(denied, expected.map(|(code, path)| (code.to_owned(), path.to_owned())));
    let mut secure = site.secure.superuser().await.unwrap();
    let signed = "SELECT count(*) FROM secure_audit_log WHERE event_type = 'key.sign' AND result = 'success' AND organization_id = $1 AND accessor = $2";
    let signed: i64 = sqlx::query_scalar(signed).bind(id).bind(accessor).fetch_one(&mut secure).await.unwrap();
    assert_eq!(signed, 2);

    // Root may everything, and says so.
    server.enter("team", &root);
    let may = done(&server, "sys/capabilities-self", asked).await;
    assert_eq!(may.body["data"]["transit/sign/k"], json!(["root"]));
    assert_eq!(sign(&server).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_reach_into_namespaces_and_a_denial_counts_there() {
    let (_site, mut server) = started().await;
    namespace(&mut server, "team").await;
    let policy = "path \"+/transit/*\" { capabilities = [\"create\", \"read\", \"update\"] }\n\
                  path \"team/transit/keys/k\" { capabilities = [\"deny\"] }\n\
                  path \"team/sys/capabilities-self\" { capabilities = [\"update\"] }\n\
                  path \"team/sys/internal/ui/resultant-acl\" { capabilities = [\"read\"] }";
    let (token, _) = token(&server, policy).await;
    server.enter("team", &token);
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(server.get("transit/keys/k").await.unwrap().status, 403);
    let may =
        done(&server, "sys/capabilities-self", json!({"paths": ["transit/sign/k", "transit/keys/k", "sys/mounts"]}))
            .await;
    assert_eq!(may.body["data"]["transit/sign/k"], json!(["create", "read", "update"]));
    assert_eq!(
        (&may.body["data"]["transit/keys/k"], &may.body["data"]["sys/mounts"]),
        (&json!(["deny"]), &json!(["deny"]))
    );
    let mounts = server.get("sys/internal/ui/mounts").await.unwrap();
    let seen: Vec<_> = mounts.body["data"]["secret"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(seen, ["sys/", "transit/"]);
    let acl = server.get("sys/internal/ui/resultant-acl").await.unwrap();
    assert_eq!(acl.body["data"]["exact_paths"]["transit/keys/k"]["capabilities"], json!(["deny"]), "{acl:?}");
    server.enter("", &token);
    let namespaces = server.get("sys/internal/ui/namespaces").await.unwrap();
    assert_eq!(namespaces.body["data"]["keys"], json!(["team/"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_from_above_are_the_namespaces_own_and_nobody_gets_more_than_he_may_give() {
    let (_site, mut server) = started().await;
    namespace(&mut server, "team").await;
    namespace(&mut server, "other").await;
    let root = server.token.clone();
    let creates = "path \"team/auth/token/create\" { capabilities = [\"update\"] }";
    let sudo = "path \"team/auth/token/create\" { capabilities = [\"update\", \"sudo\"] }";
    let (plain, _) = token(&server, creates).await;
    server.enter("team", &plain);
    let made = json!({"policies": ["admin"]});
    refused(&server, "auth/token/create", made.clone(), 400, "sudo privileges required").await;
    server.enter("", &root);
    let (sudo, _) = token(&server, sudo).await;
    server.enter("team", &sudo);
    refused(&server, "auth/token/create", json!({}), 400, "policies must be supplied").await;
    refused(&server, "auth/token/create", json!({"policies": ["root"]}), 400, "root tokens may not").await;
    let given =
        done(&server, "auth/token/create", made).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.enter("team", &given);
    assert_eq!(sign(&server).await.status, 200);
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().body["data"]["orphan"], true);

    // Of one that is in no row it is the same.
    server.enter("team", &sudo);
    let batch = json!({"policies": ["admin"], "type": "batch"});
    let batch =
        done(&server, "auth/token/create", batch).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    for (namespace, status) in [("team", 200), ("other", 403), ("", 403)] {
        server.enter(namespace, &batch);
        assert_eq!(sign(&server).await.status, status, "{namespace:?}");
    }

    server.enter("team", &root);
    let admin =
        done(&server, "auth/token/create", json!({})).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.enter("team", &admin);
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().body["data"]["policies"], json!(["root"]));
    server.enter("", &admin);
    assert_eq!(sign(&server).await.status, 403, "root of its namespace, and of no other");

    // What a token of root's is itself stays where it is.
    server.enter("team", &root);
    refused(&server, "cubbyhole/a", json!({"a": "b"}), 400, "its own namespace").await;
    assert_eq!(server.get("auth/token/lookup-self").await.unwrap().body["data"]["namespace_path"], json!(null));
    server.enter("", &root);
    let own = json!({"policies": ["p"], "ttl": "1h"});
    let short = done(&server, "auth/token/create", own).await.body["auth"]["client_token"].as_str().unwrap().to_owned();
    done(
        &server,
        "sys/policies/acl/p",
        json!({"policy": "path \"team/auth/token/*\" { capabilities = [\"update\"] }"}),
    )
    .await;
    server.enter("team", &short);
    done(&server, "auth/token/renew-self", json!({"increment": "30m"})).await;
    done(&server, "auth/token/revoke-self", json!({})).await;
    assert_eq!(server.put("auth/token/renew-self", json!({})).await.unwrap().status, 403);
}

//! The requests of programs that read secrets for others, in their order, with the rights that their pages ask for.

use super::{ask, done, started, token};
use serde_json::json;

#[tokio::test]
async fn external_secrets_pushes_reads_and_takes_back() {
    let (_site, mut server) = started().await;
    let rules = "path \"secret/data/eso/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\"] } \
                 path \"secret/metadata/eso/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] } \
                 path \"auth/token/*\" { capabilities = [\"read\", \"update\"] }";
    done(&server, "POST secret/data/eso/theirs {\"data\":{\"password\":\"p\"}}").await;
    done(&server, "POST secret/data/eso/team/b {\"data\":{\"x\":1}}").await;
    server.token = token(&server, rules).await;
    // Is the store good?
    let own = done(&server, "GET auth/token/lookup-self").await;
    assert!(own["type"] == "service" && own["ttl"].is_number() && own.get("expire_time").is_some(), "{own}");
    // Reading: a property of a secret, its metadata, and all below a folder.
    let read = done(&server, "GET secret/data/eso/theirs").await;
    assert_eq!(read["data"]["password"], "p");
    assert_eq!(done(&server, "GET secret/data/eso/theirs?version=1").await["data"], read["data"]);
    assert_eq!(ask(&server, "GET secret/data/eso/none").await.status, 404);
    assert_eq!(done(&server, "GET secret/metadata/eso?list=true").await["keys"], json!(["team/", "theirs"]));
    assert_eq!(done(&server, "GET secret/metadata/eso/team/?list=true").await["keys"], json!(["b"]));
    // Pushing: nobody else's secret is overwritten, and what is its own is marked.
    assert_eq!(ask(&server, "GET secret/metadata/eso/mine").await.status, 404);
    assert_eq!(done(&server, "GET secret/metadata/eso/theirs").await["custom_metadata"], json!(null));
    done(&server, "PUT secret/metadata/eso/mine {\"custom_metadata\":{\"managed-by\":\"external-secrets\"}}").await;
    let shown = done(&server, "GET secret/metadata/eso/mine").await;
    assert_eq!(
        (&shown["custom_metadata"]["managed-by"], &shown["current_version"]),
        (&json!("external-secrets"), &json!(0))
    );
    assert_eq!(ask(&server, "GET secret/data/eso/mine").await.status, 404);
    done(&server, "PUT secret/data/eso/mine {\"data\":{\"k\":\"v\"},\"options\":{\"cas\":0}}").await;
    done(&server, "PUT secret/data/eso/mine {\"data\":{\"k\":\"w\"},\"options\":{\"cas\":1}}").await;
    let pushed = done(&server, "GET secret/data/eso/mine").await;
    assert_eq!(
        (&pushed["data"]["k"], &pushed["metadata"]["custom_metadata"]["managed-by"]),
        (&json!("w"), &json!("external-secrets"))
    );
    // Taking back.
    done(&server, "DELETE secret/data/eso/mine").await;
    done(&server, "DELETE secret/metadata/eso/mine").await;
    assert_eq!(ask(&server, "GET secret/metadata/eso/mine").await.status, 404);
    done(&server, "PUT auth/token/revoke-self").await;
    assert_eq!(ask(&server, "GET secret/data/eso/theirs").await.status, 403);
}

/// Also `vault kv` and Vault Agent's templates: they ask where a path is mounted and put `data/` in for themselves.
#[tokio::test]
async fn consul_template_finds_the_mount_reads_and_reads_again() {
    let (_site, mut server) = started().await;
    done(&server, "POST secret/data/app/a {\"data\":{\"x\":1}}").await;
    done(&server, "POST kv/app/a {\"x\":1,\"ttl\":\"2m\"}").await;
    let rules = "path \"secret/data/app/*\" { capabilities = [\"read\"] } path \"kv/app/*\" { capabilities = [\"read\", \"list\"] } \
                 path \"auth/token/*\" { capabilities = [\"read\", \"update\"] }";
    server.token = token(&server, rules).await;
    done(&server, "PUT auth/token/renew-self {}").await;
    for asked in ["secret/app/a", "secret/data/app/a"] {
        let mount = done(&server, &format!("GET sys/internal/ui/mounts/{asked}")).await;
        assert_eq!((&mount["path"], &mount["options"]["version"]), (&json!("secret/"), &json!("2")), "{asked}");
    }
    let answer = ask(&server, "GET secret/data/app/a").await;
    // Without a lease it is read again after a time of the client's own.
    assert_eq!((&answer.body["lease_duration"], &answer.body["renewable"]), (&json!(0), &json!(false)));
    assert_eq!(answer.body["data"]["data"], json!({"x": 1}));
    // The way before: what it tried first in a mount of version 2 is answered with a warning, and no error that ends it.
    let wrong = ask(&server, "GET sys/internal/ui/mounts/nowhere/a").await;
    assert_eq!(wrong.status, 403);
    let mount = done(&server, "GET sys/internal/ui/mounts/kv/app/a").await;
    assert_eq!(mount["options"]["version"], "1");
    let answer = ask(&server, "GET kv/app/a").await;
    assert_eq!((&answer.body["lease_duration"], &answer.body["data"]["x"]), (&json!(120), &json!(1)));
    // secrets "…" of a template.
    assert_eq!(done(&server, "LIST kv/app").await["keys"], json!(["a"]));
}

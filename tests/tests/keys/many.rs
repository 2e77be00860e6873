//! Many keys made at once.

use super::{b64, done, read, started};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn keys_that_were_loaded_by_the_hundred_are_keys_like_any_others() {
    let (site, server) = started().await;
    let mut core = site.core.superuser().await.unwrap();
    let (organization, mount): (Uuid, Uuid) =
        sqlx::query_as("SELECT organization_id, id FROM mounts WHERE path = 'transit/'")
            .fetch_one(&mut core)
            .await
            .unwrap();
    let (organization, mount) = (organization.to_string(), mount.to_string());
    let load = |kind: &'static str, first: &'static str, count: &'static str| {
        let command = ["load-keys", "--organization", &organization, "--mount", &mount, "--type", kind];
        [&command[..], &["--prefix", kind, "--first", first, "--count", count]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |arguments: Vec<String>| site.succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    // Beside a server that works, in two batches and a part of one.
    run(load("aes256-gcm96", "0", "1100")).unwrap();
    run(load("ecdsa-p256", "5", "40")).unwrap();
    assert_eq!(read(&server, "keys?list=true").await.body["data"]["keys"].as_array().unwrap().len(), 1140);
    for name in ["aes256-gcm960", "aes256-gcm96499", "aes256-gcm96500", "aes256-gcm961099"] {
        let text = done(&server, &format!("encrypt/{name}"), json!({"plaintext": b64("m")})).await;
        assert_eq!(text.body["data"]["key_version"], 1);
        let body = json!({"ciphertext": text.text("ciphertext")});
        assert_eq!(done(&server, &format!("decrypt/{name}"), body).await.text("plaintext"), b64("m"));
        done(&server, &format!("hmac/{name}"), json!({"input": b64("m")})).await;
    }
    let signature = super::sign(&server, "ecdsa-p25644", json!({"input": b64("m")})).await;
    assert!(super::verifies(&server, "ecdsa-p25644", b"m", &signature).await);
    done(&server, "keys/ecdsa-p25644/rotate", json!({})).await;

    // A name that is taken: nothing of its batch is made.
    let taken = load("ecdsa-p256", "0", "10");
    assert!(site.fails(&taken.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().contains("exists"));
    assert_eq!(read(&server, "keys/ecdsa-p2560").await.status, 404);

    let mut secure = site.secure.superuser().await.unwrap();
    let records = "SELECT (event_data ->> 'count')::bigint FROM secure_audit_log WHERE event_type = 'key.create' AND event_data ? 'count' ORDER BY 1";
    let records: Vec<i64> = sqlx::query_scalar(records).fetch_all(&mut secure).await.unwrap();
    assert_eq!(records, [40, 100, 500, 500]);
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

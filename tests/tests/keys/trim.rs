//! Trimming.

use super::{b64, done, refused, sign, started, verifies};
use serde_json::json;
use sqlx::Row;

#[tokio::test]
async fn a_trimmed_version_is_gone_for_good_and_the_others_work_on() {
    let (site, mut server) = started().await;
    for (name, storage) in [("wrapped", "wrapped"), ("token", "token")] {
        done(&server, &format!("keys/{name}"), json!({"type": "ecdsa-p256", "storage": storage})).await;
        let old = sign(&server, name, json!({"input": b64("m")})).await;
        done(&server, &format!("keys/{name}/rotate"), json!({})).await;
        done(&server, &format!("keys/{name}/rotate"), json!({})).await;
        let trim = format!("keys/{name}/trim");
        refused(&server, &trim, json!({}), "missing min_available_version").await;
        refused(&server, &trim, json!({"min_available_version": 2}), "when minimum encryption version is not set")
            .await;
        let config = json!({"min_decryption_version": 2, "min_encryption_version": 3});
        done(&server, &format!("keys/{name}/config"), config).await;
        refused(&server, &trim, json!({"min_available_version": 3}), "greater than minimum decryption version").await;
        let trimmed = done(&server, &trim, json!({"min_available_version": 2})).await;
        let data = &trimmed.body["data"];
        assert_eq!((&data["min_available_version"], &data["latest_version"]), (&json!(2), &json!(3)), "{data}");
        let config = json!({"min_decryption_version": 1});
        refused(&server, &format!("keys/{name}/config"), config, "less then min available version").await;
        let verify = json!({"input": b64("m"), "signature": old});
        refused(&server, &format!("verify/{name}"), verify, "(too old)").await;
    }
    refused(&server, "keys/none/trim", json!({"min_available_version": 2}), "invalid key name").await;

    let mut superuser = site.secure.superuser().await.unwrap();
    let rows = sqlx::query(
        "SELECT version, key_state, encrypted_key_material IS NULL AS gone FROM private_keys WHERE storage = 'wrapped' ORDER BY version",
    );
    let rows: Vec<(i32, String, bool)> =
        rows.fetch_all(&mut superuser).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let active = |version| (version, "active".to_owned(), false);
    assert_eq!(rows, [(1, "destroyed".to_owned(), true), active(2), active(3)]);

    // Also after a restart, with the rows read and checked anew.
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    for name in ["wrapped", "token"] {
        let signature = sign(&server, name, json!({"input": b64("m")})).await;
        assert!(signature.starts_with("vault:v3:") && verifies(&server, name, b"m", &signature).await);
        done(&server, &format!("keys/{name}/rotate"), json!({})).await;
    }
    drop(server);
    let said = site.succeeds(&["audit", "verify", "--rows"]);
    assert!(said.unwrap().contains("holds"));
    // Three objects of the key on the token were made and one destroyed; each has two halves, and one more pair came by the last rotation.
    let bridge = hsm_bridge::Bridge::open(site.hsm().unwrap()).await.unwrap();
    bridge.ready().await.unwrap();
    assert_eq!(bridge.find_objects("clm-key-").await.unwrap().len(), 6);
}

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
        "SELECT version, key_state, encrypted_key_material IS NULL, hmac_key_material IS NULL FROM private_keys ORDER BY version, storage",
    );
    let rows = rows.fetch_all(&mut superuser).await.unwrap();
    let rows: Vec<(i32, String, bool, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let destroyed = (1, "destroyed".to_owned(), true, true);
    let active = |version, on_token| (version, "active".to_owned(), on_token, false);
    let expected = [destroyed.clone(), destroyed, active(2, true), active(2, false), active(3, true), active(3, false)];
    assert_eq!(rows, expected, "each version with the one on the token first");

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

//! ML-DSA and ML-KEM on a token that has neither; where one has them, `kryoptic.rs` tests.

use super::{b64, done, refused, started};
use serde_json::json;

#[tokio::test]
async fn types_that_the_token_does_not_make_are_refused_by_the_name_of_the_mechanism() {
    let (_site, server) = started().await;
    for (kind, mechanism) in [
        ("ml-dsa-44", "CKM_ML_DSA"),
        ("ml-dsa-65", "CKM_ML_DSA"),
        ("ml-dsa-87", "CKM_ML_DSA"),
        ("ml-kem-512", "CKM_ML_KEM"),
        ("ml-kem-768", "CKM_ML_KEM"),
        ("ml-kem-1024", "CKM_ML_KEM"),
    ] {
        let ends = format!("keys of type {kind} so made need {mechanism}, which this token does not offer");
        refused(&server, "keys/later", json!({"type": kind}), &ends).await;
        refused(&server, "keys/later/import", json!({"type": kind, "public_key": "x"}), &ends).await;
    }
    let vaults = json!({"type": "ml-dsa", "parameter_set": "65"});
    refused(&server, "keys/later", vaults, "need CKM_ML_DSA, which this token does not offer").await;
    refused(&server, "keys/later", json!({"type": "ml-dsa"}), "parameter_set of an ml-dsa key must be 44, 65 or 87")
        .await;
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    for (path, body) in [("encapsulate", json!({})), ("decapsulate", json!({"ciphertext": b64([0; 768])}))] {
        refused(&server, &format!("{path}/ec/new"), body, "key type ecdsa-p256 does not support encapsulation").await;
    }
}

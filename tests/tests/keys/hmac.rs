//! HMACs.

use super::encrypt::bytes;
use super::{b64, done, exported, refused, started};
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tests::Server;

async fn made(server: &Server, path: &str, body: Value) -> String {
    done(server, &format!("hmac/{path}"), body).await.text("hmac").to_owned()
}

async fn holds(server: &Server, path: &str, input: &str, mac: &str) -> bool {
    done(server, &format!("verify/{path}"), json!({"input": b64(input), "hmac": mac})).await.body["data"]["valid"]
        == true
}

#[tokio::test]
async fn another_hmac_with_the_exported_key_makes_the_same() {
    let (_site, server) = started().await;
    for body in [
        json!({"type": "aes256-gcm96"}),
        json!({"type": "ecdsa-p256"}),
        json!({"type": "ecdsa-p256", "storage": "token"}),
        json!({"type": "hmac", "key_size": 32}),
        json!({"type": "hmac", "key_size": 200}),
    ] {
        let name = format!(
            "{}{}{}",
            body["type"].as_str().unwrap(),
            body["key_size"],
            body["storage"].as_str().unwrap_or_default()
        );
        let mut wanted = body.clone();
        wanted["exportable"] = true.into();
        done(&server, &format!("keys/{name}"), wanted).await;
        let key = exported(&server, "hmac-key", &name).await;
        for (word, algorithm) in [
            ("sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            ("sha2-224", hmac::HMAC_SHA224),
            ("sha2-256", hmac::HMAC_SHA256),
            ("sha2-384", hmac::HMAC_SHA384),
            ("sha2-512", hmac::HMAC_SHA512),
        ] {
            let path = format!("{name}/{word}");
            if key.len() < algorithm.digest_algorithm().output_len() {
                // A token takes no key shorter than the hash.
                refused(
                    &server,
                    &format!("hmac/{path}"),
                    json!({"input": b64("m")}),
                    "is too short for a hash of 48 in the HSM",
                )
                .await;
                break;
            }
            let mac = made(&server, &path, json!({"input": b64("m")})).await;
            let expected = hmac::sign(&hmac::Key::new(algorithm, &key), b"m");
            assert_eq!(bytes(&mac), expected.as_ref(), "{path}");
            assert_eq!(made(&server, &name, json!({"input": b64("m"), "algorithm": word})).await, mac);
            assert!(holds(&server, &path, "m", &mac).await && !holds(&server, &path, "n", &mac).await, "{path}");
        }
    }
}

#[tokio::test]
async fn versions_and_batches_of_hmacs_are_judged_one_by_one() {
    let (_site, server) = started().await;
    done(&server, "keys/app", json!({})).await;
    let first = made(&server, "app", json!({"input": b64("m")})).await;
    done(&server, "keys/app/rotate", json!({})).await;
    let second = made(&server, "app", json!({"input": b64("m")})).await;
    assert!(second.starts_with("vault:v2:") && first.starts_with("vault:v1:") && bytes(&first) != bytes(&second));
    assert!(holds(&server, "app", "m", &first).await && holds(&server, "app", "m", &second).await);
    assert!(!holds(&server, "app", "m", &first.replace(":v1:", ":v2:")).await);
    assert!(!holds(&server, "app", "m", "vault:v1:YQ==").await);
    assert_eq!(made(&server, "app", json!({"input": b64("m"), "key_version": 1})).await, first);

    let batch = json!([{"input": b64("m"), "reference": "r"}, {"input": "!!"}, {}]);
    let answer = done(&server, "hmac/app", json!({"batch_input": batch})).await;
    let expected = json!([
        {"hmac": second, "reference": "r"},
        {"error": "unable to decode input as base64: illegal base64 data at input byte 0", "reference": ""},
        {"error": "missing input for HMAC", "reference": ""},
    ]);
    assert_eq!(answer.body["data"]["batch_results"], expected);
    let batch = json!([
        {"input": b64("m"), "hmac": first},
        {"input": b64("n"), "hmac": second, "reference": "r"},
        {"input": b64("m"), "hmac": "zz"},
    ]);
    let answer = done(&server, "verify/app", json!({"batch_input": batch})).await;
    let expected = json!([
        {"valid": true, "reference": ""},
        {"reference": "r"},
        {"error": "invalid HMAC to verify: no prefix", "reference": ""},
    ]);
    assert_eq!(answer.body["data"]["batch_results"], expected);

    done(&server, "keys/app/config", json!({"min_encryption_version": 2})).await;
    let input = b64("m");
    for (path, body, ends) in [
        ("hmac/app", json!({}), "missing input for HMAC"),
        ("hmac/app", json!({"input": input, "key_version": 3}), "key version does not exist; latest key version is 2"),
        ("hmac/app", json!({"batch_input": [{"input": input}], "key_version": 3}), "latest key version is 2"),
        ("hmac/app", json!({"input": input, "key_version": 1}), "version is too old (disallowed by policy)"),
        ("hmac/app/md5", json!({"input": input}), "unsupported algorithm \"md5\""),
        ("hmac/app/sha3-256", json!({"input": input}), "this token cannot do CKM_SHA3_256_HMAC"),
        ("hmac/none", json!({"input": input}), "encryption key not found"),
        ("verify/none", json!({"input": input, "hmac": first}), "encryption key not found"),
        ("verify/none", json!({"input": input, "signature": first}), "signature verification key not found"),
        ("verify/app", json!({"input": input, "hmac": "zz"}), "invalid HMAC to verify: no prefix"),
        ("verify/app", json!({"input": input, "hmac": "vault:v3:YQ=="}), "invalid HMAC: version is too new"),
        ("verify/app", json!({"input": input}), "neither a 'signature' nor an 'hmac' were given to verify"),
        (
            "verify/app",
            json!({"batch_input": [{"input": input, "hmac": first}, {"input": input}]}),
            "are missing 'hmac'",
        ),
        (
            "verify/app",
            json!({"batch_input": [{"input": input, "hmac": first}, {"input": input, "signature": first}]}),
            "must all provide 'signature' or all provide 'hmac'",
        ),
    ] {
        refused(&server, path, body, ends).await;
    }
    done(&server, "keys/app/config", json!({"min_decryption_version": 2})).await;
    refused(&server, "verify/app", json!({"input": input, "hmac": first}), "version is too old (disallowed by policy)")
        .await;
    assert!(holds(&server, "app", "m", &second).await);
}

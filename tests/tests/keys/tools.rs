//! What needs no key, and settings of the mount.

use super::{b64, done, read, refused, started};
use serde_json::json;
use std::collections::HashSet;

#[tokio::test]
async fn random_bytes_are_as_many_as_asked_and_never_the_same() {
    let (_site, server) = started().await;
    let mut seen = HashSet::new();
    for (path, body, characters) in [
        ("random/8", json!({}), 12),
        ("random/8", json!({"bytes": 1, "format": "hex"}), 16),
        ("random", json!({"bytes": "33"}), 44),
        ("random", json!({}), 44),
        ("random/platform/131072", json!({"format": "hex"}), 262_144),
        ("random/seal", json!({"source": "nonsense", "format": "hex"}), 64),
    ] {
        for engine in ["transit", "sys/tools"] {
            let answer = server.put(&format!("{engine}/{path}"), body.clone()).await.unwrap();
            let random = answer.text("random_bytes").to_owned();
            assert_eq!(random.len(), characters, "{path}: {answer:?}");
            assert!(seen.insert(random), "twice the same");
        }
    }
    refused(&server, "random/0", json!({}), "'bytes' cannot be less than 1").await;
    refused(&server, "random", json!({"bytes": 131_073}), "'bytes' should be less than 131072").await;
    refused(&server, "random", json!({"format": "zz"}), "must be \"hex\" or \"base64\"").await;
    refused(&server, "random/zz/8", json!({}), "must be \"platform\" or \"seal\", or \"all\"").await;
}

#[tokio::test]
async fn digests_are_those_of_the_standards() {
    let (_site, server) = started().await;
    let input = b64("hello");
    for (path, format, sum) in [
        ("hash", None, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("hash/sha3-256", Some("base64"), "Mzi+aU9QxfM4gUmGzfBoZFOoiLhPQk15KvS5ICOY85I="),
        ("hash/sha3-224", None, "b87f88c72702fff1748e58b87e9141a42c0dbedc29a78cb0d4a5cd81"),
        ("hash/sha2-224", None, "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"),
    ] {
        assert_eq!(done(&server, path, json!({"input": input, "format": format})).await.text("sum"), sum, "{path}");
    }
    refused(&server, "hash", json!({"input": input, "algorithm": "sha1"}), "unsupported algorithm sha1").await;
    refused(&server, "hash", json!({}), "input missing").await;
    let empty = server.put("sys/tools/hash", json!({})).await.unwrap();
    assert_eq!(empty.text("sum"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[tokio::test]
async fn settings_of_the_mount_are_kept() {
    let (site, mut server) = started().await;
    assert_eq!(read(&server, "config/keys").await.body["data"], json!({"disable_upsert": false}));
    assert_eq!(read(&server, "cache-config").await.body["data"], json!({"size": 0}));
    done(&server, "config/keys", json!({"disable_upsert": true})).await;
    done(&server, "cache-config", json!({"size": 10})).await;
    refused(&server, "cache-config", json!({"size": 9}), "size must be 0 or a value greater or equal to 10").await;
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    assert_eq!(read(&server, "config/keys").await.body["data"], json!({"disable_upsert": true}));
    assert_eq!(read(&server, "cache-config").await.body["data"], json!({"size": 10}));
}

//! The calls of cosign (`hashivault://`), byte for byte as it sends them: PUT without a Content-Type, numbers as texts.

use super::started;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use tests::openssl;

/// SHA-256 of "hello".
const DIGEST: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

#[tokio::test]
async fn cosign_makes_a_key_signs_and_verifies() {
    let (site, server) = started().await;
    let put = async |path: &str, body: String| server.ask(Method::PUT, path, Some(body.into_bytes())).await.unwrap();
    let made = put("transit/keys/cosign", r#"{"type":"ecdsa-p256"}"#.into()).await;
    assert!(made.status.is_success(), "{made:?}");
    let read = server.get("transit/keys/cosign").await.unwrap();
    let latest = read.body["data"]["latest_version"].as_u64().unwrap();
    let public = read.body["data"]["keys"][latest.to_string()]["public_key"].as_str().unwrap().to_owned();

    let body = format!(r#"{{"input":"{DIGEST}","key_version":"0","prehashed":true,"signature_algorithm":"pkcs1v15"}}"#);
    let signed = put("transit/sign/cosign/sha2-256", body).await;
    let signature = signed.text("signature").to_owned();
    assert!(openssl::verifies(&site, &public, &[], b"hello", &signature).unwrap(), "{signed:?}");

    for path in ["transit/verify/cosign/sha2-256", "transit/verify/cosign//sha2-256"] {
        let body = format!(r#"{{"input":"{DIGEST}","prehashed":true,"signature":"{signature}"}}"#);
        let verified = put(path, body).await;
        assert_eq!(verified.body["data"]["valid"], true, "{path}: {verified:?}");
    }
    let mut bytes = BASE64_STANDARD.decode(signature.rsplit_once(':').unwrap().1).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let damaged = format!("vault:v1:{}", BASE64_STANDARD.encode(&bytes));
    let body = format!(r#"{{"input":"{DIGEST}","prehashed":true,"signature":"{damaged}"}}"#);
    assert_eq!(put("transit/verify/cosign/sha2-256", body).await.body["data"]["valid"], false);
    let body =
        format!(r#"{{"input":"{DIGEST}","prehashed":true,"signature":"vault:v2{}"}}"#, BASE64_STANDARD.encode(&bytes));
    let shapeless = put("transit/verify/cosign/sha2-256", body).await;
    assert_eq!((shapeless.status.as_u16(), shapeless.error()), (400, "invalid signature: wrong number of fields"));
}

//! cosign (`hashivault://`, `pkg/signature/kms/hashivault/client.go`): numbers as texts, `pkcs1v15` whatever the key, nothing of it on verify.

use super::{DENIED, Go, as_another, started};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tests::openssl;

/// SHA-256 of "hello".
const DIGEST: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

fn sign_body(prehashed: bool, input: &str) -> String {
    format!(r#"{{"input":"{input}","key_version":"0","prehashed":{prehashed},"signature_algorithm":"pkcs1v15"}}"#)
}

fn verify_body(prehashed: bool, input: &str, signature: &str) -> String {
    format!(r#"{{"input":"{input}","prehashed":{prehashed},"signature":"{signature}"}}"#)
}

/// fetchPublicKey: the entry of the version that `latest_version`, a number, names.
fn public_key(cosign: &mut Go, name: &str) -> (String, String) {
    let read = cosign.read(&format!("transit/keys/{name}"));
    let latest = read.data()["latest_version"].as_u64().unwrap().to_string();
    let entry = &read.data()["keys"][latest];
    (entry["name"].as_str().unwrap().to_owned(), entry["public_key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn cosign_makes_a_key_signs_and_verifies() {
    let (site, _server, mut cosign) = started().await;
    assert_eq!(cosign.write("transit/keys/cosign", r#"{"type":"ecdsa-p256"}"#).status, 200);
    let (name, public) = public_key(&mut cosign, "cosign");
    assert_eq!(name, "P-256");

    let signature = cosign.write("transit/sign/cosign/sha2-256", &sign_body(true, DIGEST)).text("signature").to_owned();
    assert!(openssl::verifies(&site, &public, &[], b"hello", &signature).unwrap(), "{signature}");
    // Its path has two slashes; path.Join of newer libraries makes one of them.
    for path in ["transit/verify/cosign/sha2-256", "transit/verify/cosign//sha2-256"] {
        let verified = cosign.write(path, &verify_body(true, DIGEST, &signature));
        assert_eq!(verified.data()["valid"], true, "{path}: {verified:?}");
    }
    let mut bytes = BASE64_STANDARD.decode(signature.rsplit_once(':').unwrap().1).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let damaged = format!("vault:v1:{}", BASE64_STANDARD.encode(&bytes));
    let judged = cosign.write("transit/verify/cosign/sha2-256", &verify_body(true, DIGEST, &damaged));
    assert_eq!(judged.data()["valid"], false);
    let shapeless = format!("vault:v2{}", BASE64_STANDARD.encode(&bytes));
    assert_eq!(
        cosign.write("transit/verify/cosign/sha2-256", &verify_body(true, DIGEST, &shapeless)).refusal(),
        (400, "invalid signature: wrong number of fields")
    );
}

#[tokio::test]
async fn cosign_uses_rsa_and_ed25519_keys_as_the_reference_lets_it() {
    let (site, _server, mut cosign) = started().await;
    assert_eq!(cosign.write("transit/keys/rsa", r#"{"type":"rsa-2048"}"#).status, 200);
    let (_, public) = public_key(&mut cosign, "rsa");
    let signature = cosign.write("transit/sign/rsa/sha2-256", &sign_body(true, DIGEST)).text("signature").to_owned();
    assert!(openssl::verifies(&site, &public, &[], b"hello", &signature).unwrap());
    // It says nothing of the padding here, so that this is judged as PSS: false from the reference, too.
    let judged = cosign.write("transit/verify/rsa//sha2-256", &verify_body(true, DIGEST, &signature));
    assert_eq!(judged.data()["valid"], false, "{judged:?}");

    assert_eq!(cosign.write("transit/keys/ed", r#"{"type":"ed25519"}"#).status, 200);
    let (name, public) = public_key(&mut cosign, "ed");
    assert_eq!((name.as_str(), BASE64_STANDARD.decode(public).unwrap().len()), ("ed25519", 32));
    // No hash, so nothing behind the name.
    let signature = cosign.write("transit/sign/ed", &sign_body(false, "aGVsbG8=")).text("signature").to_owned();
    let judged = cosign.write("transit/verify/ed", &verify_body(false, "aGVsbG8=", &signature));
    assert_eq!(judged.data()["valid"], true, "{judged:?}");
    // Its path ends with a slash, which path.Join takes away; the reference refuses it as well.
    let slash = cosign.write("transit/verify/ed/", &verify_body(false, "aGVsbG8=", &signature));
    assert_eq!(slash.refusal(), (400, "cannot write to a path ending in '/'"));
}

#[tokio::test]
async fn cosign_is_told_what_is_missing() {
    let (_site, server, mut root) = started().await;
    // nil for Go, which makes "could not read data from transit key path" of it.
    assert_eq!(root.read("transit/keys/nothing").body, serde_json::json!({"errors": []}));
    assert_eq!(
        root.write("transit/sign/nothing/sha2-256", &sign_body(true, DIGEST)).refusal(),
        (400, "signing key not found")
    );
    assert_eq!(root.write("transit/keys/odd", r#"{"type":"dsa"}"#).refusal(), (400, "unknown key type dsa"));
    root.write("transit/keys/cosign", r#"{"type":"ecdsa-p256"}"#);
    let mut verifier = as_another(&server, &mut root, r#"path "transit/keys/cosign" { capabilities = ["read"] }"#);
    public_key(&mut verifier, "cosign");
    assert_eq!(verifier.write("transit/sign/cosign/sha2-256", &sign_body(true, DIGEST)).refusal(), (403, DENIED));
}

//! The commands `vault` and `bao`: values on the command line are texts, `-f` sends `null`, and `transit import` brings a key along.

use super::started;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tests::wrapped;

#[tokio::test]
async fn the_commands_of_the_command_line_client_do_what_its_manual_says() {
    let (_site, _server, mut vault) = started().await;
    // vault write -f transit/keys/orders
    assert_eq!(vault.write("transit/keys/orders", "null").text("type"), "aes256-gcm96");
    // vault write transit/encrypt/orders plaintext=$(base64 <<< "…")
    let encrypted = vault.write("transit/encrypt/orders", r#"{"plaintext":"aGVsbG8="}"#).text("ciphertext").to_owned();
    // vault write -f transit/keys/orders/rotate; vault write transit/rewrap/orders ciphertext=…
    assert_eq!(vault.write("transit/keys/orders/rotate", "null").data()["latest_version"], 2);
    let rewrapped = vault.write("transit/rewrap/orders", &format!(r#"{{"ciphertext":"{encrypted}"}}"#));
    assert!(rewrapped.text("ciphertext").starts_with("vault:v2:"), "{rewrapped:?}");
    // vault write transit/keys/orders/config min_decryption_version=2 deletion_allowed=true exportable=true allow_plaintext_backup=true
    let configured = vault.write(
        "transit/keys/orders/config",
        r#"{"allow_plaintext_backup":"true","deletion_allowed":"true","exportable":"true","min_decryption_version":"2"}"#,
    );
    assert_eq!(configured.data()["min_decryption_version"], 2, "{configured:?}");
    assert_eq!(
        vault.write("transit/decrypt/orders", &format!(r#"{{"ciphertext":"{encrypted}"}}"#)).refusal(),
        (400, "ciphertext or signature version is disallowed by policy (too old)")
    );
    // vault write -f transit/datakey/plaintext/orders; … bits=512
    let made = vault.write("transit/datakey/plaintext/orders", "null");
    assert_eq!(BASE64_STANDARD.decode(made.text("plaintext")).unwrap().len(), 32);
    assert_eq!(
        BASE64_STANDARD
            .decode(vault.write("transit/datakey/plaintext/orders", r#"{"bits":"512"}"#).text("plaintext"))
            .unwrap()
            .len(),
        64
    );
    // vault write -f transit/random/16; vault write transit/hash input=… format=base64
    assert_eq!(
        BASE64_STANDARD.decode(vault.write("transit/random/16", "null").text("random_bytes")).unwrap().len(),
        16
    );
    let hash = vault.write("transit/hash", r#"{"format":"base64","input":"aGVsbG8="}"#);
    assert_eq!(hash.text("sum"), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    // vault write transit/hmac/orders input=…; vault write transit/verify/orders input=… hmac=…
    let mac = vault.write("transit/hmac/orders", r#"{"input":"aGVsbG8="}"#).text("hmac").to_owned();
    let verified = vault.write("transit/verify/orders", &format!(r#"{{"hmac":"{mac}","input":"aGVsbG8="}}"#));
    assert_eq!(verified.data()["valid"], true);
    // vault list, vault read, vault delete
    assert_eq!(vault.list("transit/keys").data()["keys"], serde_json::json!(["orders"]));
    let backup = vault.read("transit/backup/orders").text("backup").to_owned();
    assert_eq!(vault.call("DELETE", "transit/keys/orders", None).status, 204);
    assert_eq!(vault.write("transit/restore", &format!(r#"{{"backup":"{backup}"}}"#)).status, 204);
    let body = format!(r#"{{"ciphertext":"{}"}}"#, rewrapped.text("ciphertext"));
    assert_eq!(vault.write("transit/decrypt/orders", &body).text("plaintext"), "aGVsbG8=");
    // vault delete of what is not there
    assert_eq!(
        vault.call("DELETE", "transit/keys/nothing", None).refusal(),
        (400, "error deleting policy nothing: could not delete key; not found")
    );
}

#[tokio::test]
async fn transit_import_brings_a_key_and_a_version_of_it_along() {
    let (_site, _server, mut vault) = started().await;
    // vault transit import transit/keys/mine $KEY type=aes256-gcm96 exportable=true allow_rotation=true
    let materials: [[u8; 32]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| rand::random()));
    let wrapping_key = vault.read("transit/wrapping_key").text("public_key").to_owned();
    let wrap = |material: &[u8]| wrapped(&wrapping_key, &OAEP_SHA256_MGF1SHA256, material).unwrap();
    let imported = vault.write(
        "transit/keys/mine/import",
        &format!(
            r#"{{"allow_rotation":"true","ciphertext":"{}","exportable":"true","type":"aes256-gcm96"}}"#,
            wrap(&materials[0])
        ),
    );
    assert_eq!(imported.status, 204, "{imported:?}");
    // vault transit import-version transit/keys/mine $KEY: looks at the key first.
    assert_eq!(vault.read("transit/keys/mine").data()["imported_key"], true);
    let body = format!(r#"{{"ciphertext":"{}"}}"#, wrap(&materials[1]));
    assert_eq!(vault.write("transit/keys/mine/import_version", &body).status, 204);
    let exported = vault.read("transit/export/encryption-key/mine");
    for (version, material) in ["1", "2"].into_iter().zip(materials) {
        let shown = exported.data()["keys"][version].as_str().unwrap();
        assert_eq!(BASE64_STANDARD.decode(shown).unwrap(), material);
    }
}

//! SOPS with `hc_vault_transit` (`hcvault/keysource.go`): a file's data key is encrypted when the file is written, and decrypted when it is read.

use super::{DENIED, as_another, started};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

#[tokio::test]
async fn sops_keeps_a_data_key_under_keys_of_both_kinds_and_after_they_rotate() {
    let (_site, _server, mut sops) = started().await;
    // As its documentation has the operator make them.
    assert_eq!(
        sops.write("sys/mounts/sops", r#"{"type":"transit","description":"backend transit used by SOPS"}"#).status,
        204
    );
    for (name, kind) in [("firstkey", "rsa-4096"), ("secondkey", "aes256-gcm96")] {
        assert_eq!(sops.write(&format!("sops/keys/{name}"), &format!(r#"{{"type":"{kind}"}}"#)).status, 200);
        sops.read(&format!("sops/keys/{name}")).data();

        let data_key: [u8; 32] = std::array::from_fn(|_| rand::random());
        let body = format!(r#"{{"plaintext":"{}"}}"#, BASE64_STANDARD.encode(data_key));
        let encrypted = sops.write(&format!("sops/encrypt/{name}"), &body).text("ciphertext").to_owned();
        // It stands in the file as it is, and comes back as it is.
        let decrypt = format!(r#"{{"ciphertext":"{encrypted}"}}"#);
        for rotated in [false, true] {
            if rotated {
                assert_eq!(sops.write(&format!("sops/keys/{name}/rotate"), "null").status, 200);
            }
            let opened = sops.write(&format!("sops/decrypt/{name}"), &decrypt);
            assert_eq!(BASE64_STANDARD.decode(opened.text("plaintext")).unwrap(), data_key, "{name}");
        }
        let anew = sops.write(&format!("sops/encrypt/{name}"), &body);
        assert!(anew.text("ciphertext").starts_with("vault:v2:"), "{anew:?}");
    }
}

#[tokio::test]
async fn sops_is_told_why_a_data_key_cannot_be_had() {
    let (_site, server, mut root) = started().await;
    let body = format!(r#"{{"plaintext":"{}"}}"#, BASE64_STANDARD.encode([7; 32]));
    // Encrypting under a key that is not there makes it, for whoever may create.
    let encrypted = root.write("transit/encrypt/sops", &body).text("ciphertext").to_owned();
    assert_eq!(root.read("transit/keys/sops").text("type"), "aes256-gcm96");

    let decrypt = format!(r#"{{"ciphertext":"{encrypted}"}}"#);
    assert_eq!(root.write("transit/decrypt/other", &decrypt).refusal(), (400, "encryption key not found"));
    root.write("transit/keys/other", r#"{"type":"aes256-gcm96"}"#);
    assert_eq!(root.write("transit/decrypt/other", &decrypt).refusal(), (400, "cipher: message authentication failed"));
    for (text, error) in [
        ("", "missing ciphertext to decrypt"),
        ("plain", "invalid ciphertext: no prefix"),
        ("vault:v9:AAAA", "invalid ciphertext: version is too new"),
        ("vault:v1:%", "invalid ciphertext: could not decode base64"),
    ] {
        let refused = root.write("transit/decrypt/sops", &format!(r#"{{"ciphertext":"{text}"}}"#));
        assert_eq!(refused.refusal(), (400, error), "{text}");
    }

    let mut reader = as_another(&server, &mut root, r#"path "transit/decrypt/sops" { capabilities = ["update"] }"#);
    assert_eq!(
        BASE64_STANDARD.decode(reader.write("transit/decrypt/sops", &decrypt).text("plaintext")).unwrap(),
        [7; 32]
    );
    assert_eq!(reader.write("transit/encrypt/sops", &body).refusal(), (403, DENIED));
    reader.token = "hvs.gone".into();
    assert_eq!(reader.write("transit/decrypt/sops", &decrypt).status, 403);
}

//! SPIRE's key manager and signing with Vault (`pkg/server/plugin/keymanager/hashicorpvault`): its booleans are texts, and its
//! `marshalling_algorithm` is spelt so that nobody knows it.

use super::{Go, as_another, started};
use tests::openssl;

/// SHA-256 of "hello".
const DIGEST: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

#[tokio::test]
async fn spire_makes_finds_and_uses_its_keys_and_deletes_them() {
    let (site, server, mut root) = started().await;
    let mut spire = as_another(
        &server,
        &mut root,
        r#"path "transit/*" { capabilities = ["create", "delete", "list", "read", "update"] }"#,
    );
    // NewAuthenticatedClient with a token: TokenID, TokenIsRenewable and TokenTTL of what lookup-self says.
    let seen = spire.read("auth/token/lookup-self");
    assert_eq!(seen.text("id"), spire.token);
    assert!(seen.data()["ttl"].as_u64() > Some(0) && seen.data()["renewable"] == true, "{seen:?}");
    assert_eq!(spire.list("transit/keys").status, 404, "no key yet: nil for Go");

    let rows = [
        ("x509-CA-A", "ecdsa-p256", "P-256", "pss", &[][..]),
        ("x509-CA-B", "rsa-2048", "rsa-2048", "pkcs1v15", &[]),
        ("JWT-Signer-A", "rsa-2048", "rsa-2048", "pss", &["rsa_padding_mode:pss"]),
    ];
    for (id, kind, name, algorithm, options) in rows {
        assert_eq!(
            spire.write(&format!("transit/keys/{id}"), &format!(r#"{{"exportable":"false","type":"{kind}"}}"#)).status,
            200
        );
        let key = spire.read(&format!("transit/keys/{id}"));
        assert_eq!(key.data()["keys"]["1"]["name"], name, "{key:?}");
        let public = key.data()["keys"]["1"]["public_key"].as_str().unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");

        let body = format!(
            r#"{{"input":"{DIGEST}","marshalling_algorithm":"asn1","prehashed":"true","signature_algorithm":"{algorithm}"}}"#
        );
        let signed = spire.write(&format!("transit/sign/{id}/sha2-256"), &body);
        assert!(signed.text("signature").starts_with("vault:v1:"), "{signed:?}");
        assert!(openssl::verifies(&site, public, options, b"hello", signed.text("signature")).unwrap(), "{signed:?}");
    }

    // After a restart it looks for what it has.
    let mut again = Go::new(&server, &spire.token);
    assert_eq!(
        again.list("transit/keys").data()["keys"],
        serde_json::json!(["JWT-Signer-A", "x509-CA-A", "x509-CA-B"])
    );
    for (id, ..) in rows {
        // deleteKey: allowed first.
        assert!(
            again.call("DELETE", &format!("transit/keys/{id}"), None).refusal().1.contains("deletion is not allowed")
        );
        assert_eq!(again.write(&format!("transit/keys/{id}/config"), r#"{"deletion_allowed":"true"}"#).status, 200);
        assert_eq!(again.call("DELETE", &format!("transit/keys/{id}"), None).status, 204);
    }
    assert_eq!(again.list("transit/keys").body, serde_json::json!({"errors": []}));
}

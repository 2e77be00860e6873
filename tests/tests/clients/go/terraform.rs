//! Terraform's provider `hashicorp/vault` (`vault/resource_transit_secret_backend_key.go` and its neighbours), which misspells one field.

use super::{Go, started};

#[tokio::test]
async fn terraform_makes_changes_reads_and_destroys_a_key_by_a_child_token() {
    let (_site, server, mut parent) = started().await;
    parent.user_agent = "HashiCorp Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-vault/5.1.0".into();
    let version = parent.read("sys/seal-status").body["version"].as_str().unwrap().to_owned();
    // go-version: three numbers, and what comes behind a plus sign is metadata.
    let numbers = version.split('+').next().unwrap().split('.').map(str::parse::<u32>);
    assert_eq!(numbers.filter(Result::is_ok).count(), 3, "{version}");
    parent.read("auth/token/lookup-self").data();
    let child = parent.write(
        "auth/token/create",
        r#"{"display_name":"terraform","explicit_max_ttl":"1200s","renewable":false,"ttl":"1200s"}"#,
    );
    assert_eq!((child.status, child.body["auth"]["lease_duration"].as_u64()), (200, Some(1200)), "{child:?}");
    let mut child = Go::new(&server, child.body["auth"]["client_token"].as_str().unwrap());

    // Create: the key, then its configuration.
    let made = child.write(
        "transit/keys/orders",
        r#"{"auto_rotate_period":0,"convergent_encryption":false,"derived":false,"key_size":0,"type":"aes256-gcm96"}"#,
    );
    assert!([200, 204].contains(&made.status), "{made:?}");
    let configure = |minimum: u64| {
        format!(
            r#"{{"allow_plaintext_backup":false,"auto_rotate_period":0,"deletion_allowed":true,"exportable":false,"min_decryption_version":{minimum},"min_encryption_versoin":0}}"#
        )
    };
    let configured = child.write("transit/keys/orders/config", &configure(1));
    assert!([200, 204].contains(&configured.status), "{configured:?}");
    // Read: numbers are numbers, and each key has its version's text for a name.
    let shown = child.read("transit/keys/orders");
    let data = shown.data();
    for field in ["auto_rotate_period", "latest_version", "min_decryption_version", "min_encryption_version"] {
        assert!(data[field].is_u64(), "{field}: {shown:?}");
    }
    for field in ["supports_encryption", "supports_decryption", "supports_derivation", "supports_signing", "exportable"]
    {
        assert!(data[field].is_boolean(), "{field}: {shown:?}");
    }
    assert!(data["keys"]["1"].is_u64() && data["deletion_allowed"] == true, "{shown:?}");
    // Refresh of what is gone: nil.
    assert_eq!(child.read("transit/keys/nothing").body, serde_json::json!({"errors": []}));

    // Data sources: nil fields are left out of the map, absent ones are empty texts.
    let encrypted = child.write("transit/encrypt/orders", r#"{"context":"","key_version":0,"plaintext":"aGVsbG8="}"#);
    let body = format!(r#"{{"ciphertext":"{}","context":""}}"#, encrypted.text("ciphertext"));
    assert_eq!(child.write("transit/decrypt/orders", &body).text("plaintext"), "aGVsbG8=");

    // Update after somebody rotated it.
    assert_eq!(parent.write("transit/keys/orders/rotate", "null").status, 200);
    assert!([200, 204].contains(&child.write("transit/keys/orders/config", &configure(2)).status));
    let shown = child.read("transit/keys/orders");
    assert_eq!(shown.data()["keys"].as_object().unwrap().keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(
        child.write("transit/decrypt/orders", &body).refusal(),
        (400, "ciphertext or signature version is disallowed by policy (too old)")
    );
    // transit_secret_cache_config.
    assert!([200, 204].contains(&child.write("transit/cache-config", r#"{"size":500}"#).status));
    assert_eq!(child.read("transit/cache-config").data()["size"], 500);
    assert_eq!(child.call("DELETE", "transit/keys/orders", None).status, 204);
}

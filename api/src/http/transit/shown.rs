//! A key in an answer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::SecondsFormat;
use keyvault::key::{Key, KeyAlgorithm, KeyVersion};
use serde_json::{Map, Value, json};

/// The key object that clients know, with what Vault has no word for beside it.
pub(super) fn key(key: &Key) -> Value {
    let settings = &key.settings;
    let versions: Map<String, Value> = key
        .usable_versions()
        .map(|version| (version.version.to_string(), of_version(key.algorithm, version)))
        .collect();
    let on_token = key.versions.values().any(|version| version.on_token);
    let encrypts = key.algorithm.supports_encryption();
    json!({
        "allow_plaintext_backup": settings.allow_plaintext_backup,
        "auto_rotate_period": settings.auto_rotate_seconds,
        "deletion_allowed": settings.deletion_allowed,
        "derived": false,
        "exportable": settings.exportable,
        "imported_key": false,
        "keys": versions,
        "latest_version": settings.latest_version,
        "min_available_version": settings.min_available_version,
        "min_decryption_version": settings.min_decryption_version,
        "min_encryption_version": settings.min_encryption_version,
        "name": key.name.as_str(),
        "storage": if on_token { "token" } else { "wrapped" },
        "supports_decryption": encrypts,
        "supports_derivation": key.algorithm == KeyAlgorithm::Ed25519,
        "supports_encryption": encrypts,
        "supports_signing": true,
        "type": key.algorithm.name(),
    })
}

fn of_version(algorithm: KeyAlgorithm, version: &KeyVersion) -> Value {
    json!({
        "certificate_chain": "",
        "creation_time": version.created_at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "name": algorithm.version_name(),
        "public_key": public_key(algorithm, &version.public_key),
    })
}

/// PEM; of Ed25519 the 32 bytes in base64, which end its SubjectPublicKeyInfo (RFC 8410, 4).
fn public_key(algorithm: KeyAlgorithm, spki: &[u8]) -> String {
    if algorithm == KeyAlgorithm::Ed25519 {
        return BASE64_STANDARD.encode(&spki[spki.len().saturating_sub(32)..]);
    }
    let body = BASE64_STANDARD.encode(spki);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}

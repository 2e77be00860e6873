//! A key in an answer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::SecondsFormat;
use keyvault::key::{Derivation, Key, KeyAlgorithm, KeyVersion};
use serde_json::{Value, json};

/// The key object that clients know, with what Vault has no word for beside it.
pub(super) fn key(key: &Key) -> Value {
    let settings = &key.settings;
    let algorithm = key.algorithm;
    let on_token = key.versions.values().any(|version| version.on_token);
    let encrypts = algorithm.supports_encryption();
    let mut shown = json!({
        "allow_plaintext_backup": settings.allow_plaintext_backup,
        "auto_rotate_period": settings.auto_rotate_seconds,
        "deletion_allowed": settings.deletion_allowed,
        "derived": key.derivation != Derivation::None,
        "exportable": settings.exportable,
        "imported_key": settings.imported,
        "latest_version": settings.latest_version,
        "min_available_version": settings.min_available_version,
        "min_decryption_version": settings.min_decryption_version,
        "max_bytes": settings.limits.max_bytes,
        "max_uses": settings.limits.max_uses,
        "min_encryption_version": settings.min_encryption_version,
        "name": key.name.as_str(),
        "originator_usage_period": settings.limits.originator_usage_seconds,
        "recipient_usage_period": settings.limits.recipient_usage_seconds,
        "storage": if on_token { "token" } else { "wrapped" },
        "supports_decryption": encrypts,
        // Vault's word is also about what this server refuses: Ed25519 keys derived in the token.
        "supports_derivation": algorithm.supports_derivation() || algorithm == KeyAlgorithm::Ed25519,
        "supports_encryption": encrypts,
        "supports_signing": algorithm.supports_signing(),
        "type": algorithm.name(),
    });
    match algorithm.key_size() {
        Some(bytes) => shown["key_size"] = bytes.into(),
        None => shown["keys"] = versions(key),
    }
    if settings.imported {
        shown["imported_key_allow_rotation"] = settings.imported_may_rotate.into();
    }
    shown["state"] = settings.state.word().into();
    shown["soft_deleted"] = settings.soft_deleted.into();
    if let Some(at) = settings.destroy_at {
        shown["destroy_at"] = at.to_rfc3339_opts(SecondsFormat::Secs, true).into();
    }
    for (field, copied) in [("backup_info", settings.backup), ("restore_info", settings.restoration)] {
        if let Some(copied) = copied {
            let at = copied.at.to_rfc3339_opts(SecondsFormat::Micros, true);
            shown[field] = json!({ "time": at, "version": copied.version });
        }
    }
    if let Some(kdf) = key.derivation.kdf() {
        let convergent = key.derivation.is_convergent();
        shown["kdf"] = kdf.into();
        shown["convergent_encryption"] = convergent.into();
        if convergent {
            shown["convergent_encryption_version"] = (-1).into();
        }
    }
    shown
}

fn versions(key: &Key) -> Value {
    let shown = key.usable_versions().map(|version| (version.version.to_string(), of_version(key.algorithm, version)));
    Value::Object(shown.collect())
}

/// Of a symmetric key the second in which it was made, as clients expect.
fn of_version(algorithm: KeyAlgorithm, version: &KeyVersion) -> Value {
    if algorithm.is_symmetric() {
        return version.created_at.timestamp().into();
    }
    json!({
        "certificate_chain": version.certificate_chain.as_deref().unwrap_or_default(),
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

//! Signatures of checkpoints: ECDSA P-256 over SHA-256 (FIPS 186-5), checked in software with the public half of the audit key.

use anyhow::{Context, Result};
use audit_chain::StoredCheckpoint;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use der::pem::LineEnding;
use std::path::Path;

/// SubjectPublicKeyInfo from a PEM file.
pub(super) fn read_key(path: &Path) -> Result<Vec<u8>> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let (label, der) = der::pem::decode_vec(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    anyhow::ensure!(label == "PUBLIC KEY", "{}: a `PUBLIC KEY` is wanted, not a `{label}`", path.display());
    Ok(der)
}

/// The same, as text.
pub(super) fn pem(key: &[u8]) -> Result<String> {
    der::pem::encode_string("PUBLIC KEY", LineEnding::LF, key).map_err(|error| anyhow::anyhow!("PEM: {error}"))
}

/// Whether one of `keys` signed it; with no keys the one that it names is believed.
pub(super) fn holds(stored: &StoredCheckpoint, keys: &[Vec<u8>]) -> bool {
    let message = stored.checkpoint.signed_bytes();
    let signed_by =
        |key: &[u8]| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&message, &stored.signature).is_ok();
    if keys.is_empty() { signed_by(&stored.public_key) } else { keys.iter().any(|key| signed_by(key)) }
}

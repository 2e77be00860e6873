//! Keys as callers send them to be imported.

use anyhow::{Context, Result};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Base64 of RSA-OAEP(wrapping key, AES key) ‖ AES-KWP(AES key, material), as Vault's clients make it. `wrapping_key`: PEM.
pub fn wrapped(wrapping_key: &str, hash: &'static OaepAlgorithm, material: &[u8]) -> Result<String> {
    let body: String = wrapping_key.lines().filter(|line| !line.starts_with('-')).collect();
    let key = PublicEncryptingKey::from_der(&BASE64_STANDARD.decode(body)?).context("the wrapping key is read")?;
    let key = OaepPublicEncryptingKey::new(key).context("the wrapping key encrypts")?;
    let kek = [0x5a; 32];
    let (mut first, mut second) = (vec![0; key.ciphertext_size()], vec![0; material.len() + 15]);
    key.encrypt(hash, &kek, &mut first, None).context("RSA-OAEP")?;
    let length =
        AesKek::new(&AES_256, &kek).context("AES")?.wrap_with_padding(material, &mut second).context("AES-KWP")?;
    first.extend_from_slice(length);
    Ok(BASE64_STANDARD.encode(first))
}

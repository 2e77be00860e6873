//! Codes as an authenticator program shows them (RFC 4226, RFC 6238), read off the two documents: the service has its own.

use anyhow::{Context, Result};
use aws_lc_rs::hmac;

/// The six digits for a secret in base32 (RFC 4648, 6) at a time, seconds since 1970.
pub fn totp(secret: &str, time: u64) -> Result<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut key, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for character in secret.chars() {
        let five = ALPHABET.find(character).context("base32")?;
        (bits, count) = (bits << 5 | u32::try_from(five)?, count + 5);
        if count >= 8 {
            count -= 8;
            key.push(u8::try_from(bits >> count & 0xff)?);
        }
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &(time / 30).to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0xf);
    let number = u32::from_be_bytes(tag[offset..offset + 4].try_into()?) & 0x7fff_ffff;
    Ok(format!("{:06}", number % 1_000_000))
}

//! The text of tokens and accessors.

use crate::error::{Error, Result};
use rand::TryCryptoRng;
use rand::rngs::SysRng;
use secrecy::SecretString;
use zeroize::Zeroizing;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Bytes from here on would make the first characters likelier.
const FAIR: u8 = 248;

/// The text of a service token: `hvs.` and 24 base62 characters (142 bits), 28 in all as clients expect of root tokens.
pub(crate) struct Secret28(Zeroizing<String>);

impl Secret28 {
    pub(crate) fn random() -> Result<Self> {
        let random = random_base62(24)?;
        let mut text = Zeroizing::new(String::with_capacity(28));
        text.push_str("hvs.");
        text.push_str(&random);
        Ok(Self(text))
    }

    pub(crate) fn into_secret(self) -> SecretString {
        SecretString::from(self.0.as_str())
    }
}

/// Letters and digits from the operating system's generator.
pub fn random_base62(length: usize) -> Result<Zeroizing<String>> {
    base62(&mut SysRng, length).map_err(|_| Error::Internal("the operating system gave no random bytes".into()))
}

fn base62<R: TryCryptoRng>(rng: &mut R, length: usize) -> Result<Zeroizing<String>, R::Error> {
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while text.len() < length {
        rng.try_fill_bytes(bytes.as_mut_slice())?;
        for byte in bytes.iter().filter(|byte| **byte < FAIR).take(length - text.len()) {
            text.push(char::from(BASE62[usize::from(byte % 62)]));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_token_has_28_characters_and_no_two_are_alike() {
        let one = Secret28::random().expect("random").into_secret();
        let other = Secret28::random().expect("random").into_secret();
        assert_eq!(one.expose_secret().len(), 28);
        let random = one.expose_secret().strip_prefix("hvs.").expect("the prefix");
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn every_character_comes_up() {
        let text = random_base62(10_000).expect("random");
        assert!(BASE62.iter().all(|character| text.contains(char::from(*character))));
    }
}

//! What the service makes of a secret by itself: a password, or a key pair.

use crate::key::KeyAlgorithm;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Characters of a password.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=512;
/// Characters of a field's name.
const LONGEST_FIELD: usize = 128;

/// How the next value comes about. Only the field named changes, of a key pair `public_key` as well; the others stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Generator {
    /// A new key pair, its private half as PKCS#8, PEM (RFC 5958, RFC 7468).
    KeyPair {
        /// `rsa-2048`, `rsa-3072`, `rsa-4096`, `ecdsa-p256`, `ecdsa-p384`, `ecdsa-p521` or `ed25519`.
        algorithm: String,
        /// Where it stands in the secret.
        #[serde(default = "private_key")]
        field: String,
    },
    /// Random text.
    Password {
        /// Characters.
        length: usize,
        /// Of which at least one each is in it.
        #[serde(default = "all_classes")]
        classes: Vec<CharacterClass>,
        /// Where it stands in the secret.
        #[serde(default = "password")]
        field: String,
    },
}

/// Characters that a password is made of, all of ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum CharacterClass {
    Digits,
    Lower,
    Symbols,
    Upper,
}

fn private_key() -> String {
    "private_key".into()
}

fn password() -> String {
    "password".into()
}

fn all_classes() -> Vec<CharacterClass> {
    use CharacterClass::{Digits, Lower, Symbols, Upper};
    vec![Digits, Lower, Symbols, Upper]
}

/// What was made.
pub struct Generated {
    /// Fields of the secret that have other values now.
    pub fields: Vec<(String, Zeroizing<String>)>,
    /// Of a key pair, PEM.
    pub public_key: Option<String>,
}

impl CharacterClass {
    /// Symbols without quotes, backslash and blank, which shells and connection strings would take for their own.
    fn characters(self) -> &'static [u8] {
        match self {
            Self::Digits => b"0123456789",
            Self::Lower => b"abcdefghijklmnopqrstuvwxyz",
            Self::Symbols => b"!#%()*+,-./:;<=>?@[]^_{|}~",
            Self::Upper => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        }
    }
}

impl Generator {
    /// Why there can be none like it.
    pub(super) fn check(&self) -> Result<(), String> {
        let field = match self {
            Self::KeyPair { algorithm, field } => {
                if pair(algorithm).is_none() {
                    return Err(format!(
                        "generator: algorithm {algorithm:?} is none of rsa-2048, rsa-3072, rsa-4096, ecdsa-p256, ecdsa-p384, ecdsa-p521 and ed25519"
                    ));
                }
                if field == "public_key" {
                    return Err(
                        "generator: the public key stands in `public_key`; call the private one otherwise".into()
                    );
                }
                field
            }
            Self::Password { length, classes, field } => {
                if !LENGTHS.contains(length) {
                    let (least, most) = (LENGTHS.start(), LENGTHS.end());
                    return Err(format!("generator: length must be between {least} and {most}, not {length}"));
                }
                if classes.is_empty() {
                    return Err("generator: classes must name some of lower, upper, digits and symbols".into());
                }
                field
            }
        };
        if field.is_empty() || field.chars().count() > LONGEST_FIELD || field.chars().any(char::is_control) {
            return Err(format!("generator: field must have 1 to {LONGEST_FIELD} characters, no control character"));
        }
        Ok(())
    }

    /// One text for one generator: what is stored, and what the row's MAC is over.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always have a JSON form")
    }
}

/// The algorithm of a key pair.
pub(super) fn pair(name: &str) -> Option<KeyAlgorithm> {
    KeyAlgorithm::parse(name, None).filter(|algorithm| !algorithm.is_symmetric() && !algorithm.is_ecdh())
}

/// Bytes of randomness that usually are enough for [`compose`].
pub(super) fn enough(length: usize) -> usize {
    2 * length + 64
}

/// A password out of random bytes, all that fit equally likely; `None`: they were too few, or left a class out: draw again.
pub(super) fn compose(length: usize, classes: &[CharacterClass], random: &[u8]) -> Option<Zeroizing<String>> {
    let mut classes = classes.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let alphabet: Vec<u8> = classes.iter().flat_map(|class| class.characters()).copied().collect();
    // Bytes above the last whole multiple would make some characters likelier than others.
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut text = Zeroizing::new(String::with_capacity(length));
    for byte in random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair).take(length) {
        text.push(alphabet[byte % alphabet.len()].into());
    }
    let has = |class: &CharacterClass| text.bytes().any(|byte| class.characters().contains(&byte));
    (text.len() == length && classes.iter().all(has)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Generator, String> {
        let generator: Generator = serde_json::from_str(json).map_err(|error| error.to_string())?;
        generator.check().map(|()| generator)
    }

    #[test]
    fn what_is_said_of_a_generator_is_read_and_the_rest_is_usual() {
        let password = read(r#"{"type":"password","length":20}"#).expect("read");
        let all = all_classes();
        assert_eq!(password, Generator::Password { length: 20, classes: all, field: "password".into() });
        let pair = read(r#"{"type":"key_pair","algorithm":"ed25519","field":"key"}"#).expect("read");
        assert_eq!(pair, Generator::KeyPair { algorithm: "ed25519".into(), field: "key".into() });
        assert_eq!(read(&pair.text()), Ok(pair));
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for bad in [
            "{}",
            r#"{"type":"password"}"#,
            r#"{"type":"password","length":7}"#,
            r#"{"type":"password","length":513}"#,
            r#"{"type":"password","length":20,"classes":[]}"#,
            r#"{"type":"password","length":20,"classes":["runes"]}"#,
            r#"{"type":"password","length":20,"field":""}"#,
            r#"{"type":"password","length":20,"words":4}"#,
            r#"{"type":"key_pair","algorithm":"aes256-gcm96"}"#,
            r#"{"type":"key_pair","algorithm":"dsa"}"#,
            r#"{"type":"key_pair","algorithm":"ed25519","field":"public_key"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let digits = [CharacterClass::Digits];
        let random: Vec<u8> = (0..=255).collect();
        // 250 of the 256 bytes are used, each digit 25 times.
        let text = compose(250, &digits, &random).expect("composed");
        for digit in "0123456789".chars() {
            assert_eq!(text.matches(digit).count(), 25, "{digit}");
        }
        assert!(compose(251, &digits, &random).is_none());
    }

    proptest! {
        #[test]
        fn a_password_has_its_length_and_each_class_and_nothing_else(
            length in LENGTHS, chosen in prop::collection::vec(0..4_usize, 1..4), random in prop::collection::vec(any::<u8>(), 1100),
        ) {
            let classes: Vec<CharacterClass> = chosen.iter().map(|at| all_classes()[*at]).collect();
            if let Some(text) = compose(length, &classes, &random) {
                prop_assert_eq!(text.len(), length);
                let of = |class: &CharacterClass, byte| class.characters().contains(&byte);
                prop_assert!(text.bytes().all(|byte| classes.iter().any(|class| of(class, byte))));
                prop_assert!(classes.iter().all(|class| text.bytes().any(|byte| of(class, byte))));
            }
        }
    }
}

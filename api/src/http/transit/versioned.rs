//! `vault:v<version>:<base64>`: what ciphertexts, signatures and HMACs look like.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a text is, in the words of its refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Ciphertext,
    Cmac,
    Hmac,
    Signature,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Ciphertext => "ciphertext",
            Self::Cmac => "CMAC",
            Self::Hmac => "HMAC",
            Self::Signature => "signature",
        }
    }
}

/// The version that a text names, and its base64.
pub(super) fn split(text: &str, what: What) -> Result<(u32, &str), String> {
    let name = what.name();
    let no_prefix = || {
        format!("invalid {name}{}: no prefix", if matches!(what, What::Cmac | What::Hmac) { " to verify" } else { "" })
    };
    let rest = text.strip_prefix("vault:v").ok_or_else(no_prefix)?;
    let (version, encoded) = rest.split_once(':').ok_or_else(|| format!("invalid {name}: wrong number of fields"))?;
    let version: i64 = version.parse().map_err(|_| format!("invalid {name}: version number could not be decoded"))?;
    // The reference's first ciphertexts had no version of their own.
    let version = if version == 0 && what == What::Ciphertext { 1 } else { version };
    if version < 1 {
        return Err(match what {
            What::Cmac | What::Hmac => format!("cannot verify {name}: version is too old (disallowed by policy)"),
            _ => "ciphertext or signature version is disallowed by policy (too old)".into(),
        });
    }
    let version = u32::try_from(version).map_err(|_| format!("invalid {name}: version is too new"))?;
    Ok((version, encoded))
}

/// As it is answered.
pub(super) fn text(version: u32, bytes: &[u8]) -> String {
    format!("vault:v{version}:{}", BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_split() {
        let signature = |text| split(text, What::Signature);
        assert_eq!(signature("vault:v1:YWJj"), Ok((1, "YWJj")));
        assert_eq!(signature("vault:v02:YW:Jj"), Ok((2, "YW:Jj")));
        assert_eq!(split("vault:v0:YQ==", What::Ciphertext), Ok((1, "YQ==")));
        for (text, what, why) in [
            ("zz", What::Signature, "invalid signature: no prefix"),
            ("abc", What::Ciphertext, "invalid ciphertext: no prefix"),
            ("zz", What::Hmac, "invalid HMAC to verify: no prefix"),
            ("vault:v2YWJj", What::Signature, "invalid signature: wrong number of fields"),
            ("vault:v1", What::Ciphertext, "invalid ciphertext: wrong number of fields"),
            ("vault:vx:YWJj", What::Signature, "invalid signature: version number could not be decoded"),
            ("vault:v0:YWJj", What::Signature, "ciphertext or signature version is disallowed by policy (too old)"),
            ("vault:v-1:YWJj", What::Ciphertext, "ciphertext or signature version is disallowed by policy (too old)"),
            ("vault:v0:YWJj", What::Hmac, "cannot verify HMAC: version is too old (disallowed by policy)"),
            ("vault:v99999999999:YWJj", What::Ciphertext, "invalid ciphertext: version is too new"),
        ] {
            assert_eq!(split(text, what), Err(why.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_and_what_is_written_is_read(any in "(vault:v)?\\PC{0,30}", version in 1u32.., bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for what in [What::Ciphertext, What::Cmac, What::Hmac, What::Signature] {
                drop(split(&any, what));
                let written = text(version, &bytes);
                let (read, encoded) = split(&written, what).expect("well written");
                prop_assert_eq!((read, BASE64_STANDARD.decode(encoded).expect("base64")), (version, bytes.clone()));
            }
        }
    }
}

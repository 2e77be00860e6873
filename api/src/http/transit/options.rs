//! How to sign or verify: the fields that both share.

use crate::app::{Error, Result};
use crate::http::call::Call;
use keyvault::key::{Hash, Marshaling, Padding, SaltLength};

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// `None`: the word `none`.
    pub(super) hash: Option<Hash>,
    pub(super) prehashed: bool,
    pub(super) padding: Padding,
    pub(super) salt_length: SaltLength,
    pub(super) marshaling: Marshaling,
}

impl Options {
    /// All of them are checked, also where the key's type ignores them. `is_rsa`: a padding that is none is a mistake only then.
    pub(super) fn read(call: &Call, is_rsa: bool) -> Result<Self> {
        let parameters = &call.parameters;
        let prehashed = parameters.flag("prehashed")?.unwrap_or(false);
        let word = parameters.text("signature_algorithm")?.unwrap_or_default();
        let padding = match word.as_str() {
            "" | "pss" => Padding::Pss,
            "pkcs1v15" => Padding::Pkcs1v15,
            other if is_rsa => return Err(Error::invalid(format!("unsupported rsa signature algorithm {other}"))),
            _ => Padding::Pss,
        };
        let marshaling = match parameters.text("marshaling_algorithm")?.unwrap_or_default().as_str() {
            "" | "asn1" => Marshaling::Asn1,
            "jws" => Marshaling::Jws,
            other => return Err(Error::invalid(format!("invalid marshaling type {other:?}"))),
        };
        let salt_length = salt_length(&parameters.text("salt_length")?.unwrap_or_default())?;
        let hash = hash(call)?;
        if hash.is_none() && !(prehashed && word == "pkcs1v15") {
            return Err(Error::invalid(
                "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15",
            ));
        }
        Ok(Self { hash, prehashed, padding, salt_length, marshaling })
    }

    /// With `fips = true` new signatures are only those that FIPS 186-5 approves: no SHA-1 (SP 800-131A, 3), no digest of unknown origin, and an
    /// RSASSA-PSS salt no longer than the hash (5.4), which is then also what `auto` means.
    pub(super) fn approved_for_signing(self) -> Result<Self> {
        let Some(hash) = self.hash.filter(|hash| !hash.is_sha1()) else {
            return Err(Error::invalid("fips: sign with a hash of SHA-2 or SHA-3; SHA-1 and none are not approved"));
        };
        let salt_length = match self.salt_length {
            SaltLength::Auto => SaltLength::Hash,
            SaltLength::Bytes(bytes) if bytes as usize > hash.length() => {
                return Err(Error::invalid("fips: salt_length must not be longer than the hash"));
            }
            other => other,
        };
        Ok(Self { salt_length, ..self })
    }
}

/// The path's goes over the body's.
fn hash(call: &Call) -> Result<Option<Hash>> {
    let field = call.parameters.text("hash_algorithm")?.filter(|name| !name.is_empty());
    let path = call.capture("urlalgorithm");
    let name = if path.is_empty() { field.unwrap_or_else(|| "sha2-256".to_owned()) } else { path.to_owned() };
    if name == "none" {
        return Ok(None);
    }
    Hash::parse(&name).map(Some).ok_or_else(|| Error::invalid(format!("invalid hash algorithm {name:?}")))
}

fn salt_length(text: &str) -> Result<SaltLength> {
    match text.to_ascii_lowercase().as_str() {
        "" | "auto" => Ok(SaltLength::Auto),
        "hash" | "-1" => Ok(SaltLength::Hash),
        other => match other.parse::<i64>() {
            Ok(bytes) if bytes >= 0 => u32::try_from(bytes)
                .map(SaltLength::Bytes)
                .map_err(|_| Error::invalid(format!("requested salt length {bytes} is invalid"))),
            Ok(bytes) => Err(Error::invalid(format!("requested salt length {bytes} is invalid"))),
            Err(_) => Err(Error::invalid(format!("salt length neither 'auto', 'hash', nor an int: {text}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts() {
        for (text, salt) in [
            ("", SaltLength::Auto),
            ("AUTO", SaltLength::Auto),
            ("Hash", SaltLength::Hash),
            ("-1", SaltLength::Hash),
            ("0", SaltLength::Bytes(0)),
            ("32", SaltLength::Bytes(32)),
        ] {
            assert_eq!(salt_length(text).expect("valid"), salt, "{text}");
        }
        for text in ["-2", "zz", "1.5", "99999999999"] {
            assert!(salt_length(text).is_err(), "{text}");
        }
    }
}

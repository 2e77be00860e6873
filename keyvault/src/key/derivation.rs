//! Keys derived from a named key, one a context, inside the token.

use crate::{Error, Result, Vault};
use hsm_bridge::ContextKdf;

/// How the key of a context is derived. Each has ciphertexts of its own, so a row records which; a key stays with the one that it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivationFunction(pub(super) ContextKdf);

/// Whether each context has a key of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derivation {
    /// The key is used as it is.
    #[default]
    None,
    /// Each context has a key of its own.
    Derived(DerivationFunction),
    /// And equal plaintexts have equal ciphertexts: the nonce is a MAC of the plaintext.
    Convergent(DerivationFunction),
}

impl DerivationFunction {
    /// As rows record it; of HKDF Vault's word.
    fn word(self) -> &'static str {
        match self.0 {
            ContextKdf::AesEcbEncryptData => "aes_ecb_encrypt_data",
            ContextKdf::HkdfSha256 => "hkdf_sha256",
        }
    }

    /// What the token does it by.
    pub fn mechanism(self) -> &'static str {
        match self.0 {
            ContextKdf::AesEcbEncryptData => "CKM_AES_ECB_ENCRYPT_DATA",
            ContextKdf::HkdfSha256 => "CKM_HKDF_DERIVE",
        }
    }
}

impl Derivation {
    /// From a row. `None`: a function that this program does not know.
    pub(crate) fn parse(kdf: Option<&str>, convergent: bool) -> Option<Self> {
        let known = |word| ContextKdf::ALL.into_iter().map(DerivationFunction).find(|function| function.word() == word);
        match kdf {
            None => (!convergent).then_some(Self::None),
            Some(word) if convergent => known(word).map(Self::Convergent),
            Some(word) => known(word).map(Self::Derived),
        }
    }

    /// The key derivation function.
    pub fn function(self) -> Option<DerivationFunction> {
        match self {
            Self::None => None,
            Self::Derived(function) | Self::Convergent(function) => Some(function),
        }
    }

    /// Its name, as rows record it.
    pub fn kdf(self) -> Option<&'static str> {
        self.function().map(DerivationFunction::word)
    }

    /// Equal plaintexts have equal ciphertexts.
    pub fn is_convergent(self) -> bool {
        matches!(self, Self::Convergent(_))
    }
}

impl Vault {
    /// The best function that the token has: of a new key.
    pub async fn derivation_function(&self) -> Result<DerivationFunction> {
        let offered = self.inner.bridge.capabilities().await?.derivation;
        let best = offered.first().copied().map(DerivationFunction);
        best.ok_or_else(|| {
            let all = ContextKdf::ALL.map(|kdf| DerivationFunction(kdf).mechanism()).join(" or ");
            Error::Invalid(format!("derived keys need {all}, which this token does not offer"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_found_by_the_word_that_rows_have_for_it() {
        for function in ContextKdf::ALL.map(DerivationFunction) {
            for derivation in [Derivation::Derived(function), Derivation::Convergent(function)] {
                assert_eq!(Derivation::parse(derivation.kdf(), derivation.is_convergent()), Some(derivation));
            }
        }
        assert_eq!(Derivation::parse(None, false), Some(Derivation::None));
        assert_eq!(Derivation::parse(None, true), None);
        assert_eq!(Derivation::parse(Some("md5"), false), None);
    }
}

//! Keys derived from a named key, one a context, inside the token.

/// Whether each context has a key of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derivation {
    /// The key is used as it is.
    #[default]
    None,
    /// Each context has a key of its own.
    Derived,
    /// And equal plaintexts have equal ciphertexts: the nonce is a MAC of the plaintext.
    Convergent,
}

impl Derivation {
    /// As rows record it. A version of its own, so that another function (CKM_HKDF_DERIVE, SP 800-108) can stand beside it.
    const KDF: &'static str = "aes_ecb_encrypt_data";

    /// From a row. `None`: a function that this program does not know.
    pub(crate) fn parse(kdf: Option<&str>, convergent: bool) -> Option<Self> {
        match kdf {
            None if !convergent => Some(Self::None),
            Some(Self::KDF) => Some(if convergent { Self::Convergent } else { Self::Derived }),
            _ => None,
        }
    }

    /// The key derivation function.
    pub fn kdf(self) -> Option<&'static str> {
        (self != Self::None).then_some(Self::KDF)
    }

    /// Equal plaintexts have equal ciphertexts.
    pub fn is_convergent(self) -> bool {
        self == Self::Convergent
    }
}

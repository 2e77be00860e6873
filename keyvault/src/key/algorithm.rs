//! Algorithms of named keys, in the API's words and the bridge's.

use aws_lc_rs::digest;
use hsm_bridge::{HashAlgorithm, KeyType, Purpose};
use sha3::{Digest, Sha3_224};

/// What a named key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Vault's key types")]
pub enum KeyAlgorithm {
    Aes128Cmac,
    Aes128Gcm96,
    Aes192Cmac,
    Aes256Cmac,
    Aes256Gcm96,
    ChaCha20Poly1305,
    EcdhP256,
    EcdhP384,
    EcdhP521,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    /// Of that many bytes.
    Hmac(u16),
    MlDsa44,
    MlDsa65,
    MlDsa87,
    MlKem512,
    MlKem768,
    MlKem1024,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    X25519,
}

impl KeyAlgorithm {
    /// All but HMAC, whose keys have as many bytes as their maker asks for.
    pub const OF_ONE_SIZE: [Self; 23] = [
        Self::Aes128Cmac,
        Self::Aes128Gcm96,
        Self::Aes192Cmac,
        Self::Aes256Cmac,
        Self::Aes256Gcm96,
        Self::ChaCha20Poly1305,
        Self::EcdhP256,
        Self::EcdhP384,
        Self::EcdhP521,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::MlKem512,
        Self::MlKem768,
        Self::MlKem1024,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::X25519,
    ];
    /// Bytes that an HMAC key may have.
    pub const HMAC_BYTES: std::ops::RangeInclusive<u16> = 32..=512;

    /// By the API's name. `key_size`: bytes, for hmac, the one type that has no size of its own.
    pub fn parse(name: &str, key_size: Option<u16>) -> Option<Self> {
        match key_size {
            Some(bytes) => (name == "hmac" && Self::HMAC_BYTES.contains(&bytes)).then_some(Self::Hmac(bytes)),
            None => Self::OF_ONE_SIZE.into_iter().find(|algorithm| algorithm.name() == name),
        }
    }

    /// The API's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Cmac => "aes128-cmac",
            Self::Aes128Gcm96 => "aes128-gcm96",
            Self::Aes192Cmac => "aes192-cmac",
            Self::Aes256Cmac => "aes256-cmac",
            Self::Aes256Gcm96 => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::EcdhP256 => "ecdh-p256",
            Self::EcdhP384 => "ecdh-p384",
            Self::EcdhP521 => "ecdh-p521",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Ed25519 => "ed25519",
            Self::Hmac(_) => "hmac",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
            Self::MlKem512 => "ml-kem-512",
            Self::MlKem768 => "ml-kem-768",
            Self::MlKem1024 => "ml-kem-1024",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::X25519 => "x25519",
        }
    }

    /// The name of a version's key in key objects.
    pub fn version_name(self) -> &'static str {
        match self {
            Self::EcdhP256 | Self::EcdsaP256 => "P-256",
            Self::EcdhP384 | Self::EcdsaP384 => "P-384",
            Self::EcdhP521 | Self::EcdsaP521 => "P-521",
            other => other.name(),
        }
    }

    /// Bytes of an HMAC key.
    pub fn key_size(self) -> Option<u16> {
        match self {
            Self::Hmac(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// One secret key, not a pair.
    pub fn is_symmetric(self) -> bool {
        self.is_aead() || self.is_cmac() || matches!(self, Self::Hmac(_))
    }

    /// AES-GCM (SP 800-38D), ChaCha20-Poly1305 (RFC 8439).
    pub fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm96 | Self::Aes256Gcm96 | Self::ChaCha20Poly1305)
    }

    /// AES-CMAC (SP 800-38B).
    pub fn is_cmac(self) -> bool {
        matches!(self, Self::Aes128Cmac | Self::Aes192Cmac | Self::Aes256Cmac)
    }

    /// ECDH (SP 800-56A; RFC 7748): agrees on keys with others, and does nothing else.
    pub fn is_ecdh(self) -> bool {
        matches!(self, Self::EcdhP256 | Self::EcdhP384 | Self::EcdhP521 | Self::X25519)
    }

    /// The algorithm that signs with a key like one for agreement, on the same curve; others are their own.
    pub(crate) fn as_ecdsa(self) -> Self {
        match self {
            Self::EcdhP256 => Self::EcdsaP256,
            Self::EcdhP384 => Self::EcdsaP384,
            Self::EcdhP521 => Self::EcdsaP521,
            other => other,
        }
    }

    /// ML-DSA (FIPS 204).
    pub fn is_ml_dsa(self) -> bool {
        self.key_type().is_ml_dsa()
    }

    /// ML-KEM (FIPS 203): encapsulates shared secrets, and does nothing else.
    pub fn is_ml_kem(self) -> bool {
        self.key_type().is_ml_kem()
    }

    /// The message itself is signed, not a digest of it.
    pub(crate) fn signs_messages(self) -> bool {
        self == Self::Ed25519 || self.is_ml_dsa()
    }

    /// RSA (RFC 8017).
    pub fn is_rsa(self) -> bool {
        self.modulus_bytes().is_some()
    }

    /// Encrypts and decrypts.
    pub fn supports_encryption(self) -> bool {
        self.is_aead() || self.is_rsa()
    }

    /// Signs and verifies.
    pub fn supports_signing(self) -> bool {
        !self.is_symmetric() && !self.is_ml_kem() && !self.is_ecdh()
    }

    /// Keys of contexts can be derived from it.
    pub fn supports_derivation(self) -> bool {
        self.is_aead()
    }

    /// What the token must offer for it; of other types it says so when a key is made.
    pub(crate) fn mechanism(self) -> Option<&'static str> {
        match self {
            Self::Aes128Gcm96 | Self::Aes256Gcm96 => Some("CKM_AES_GCM"),
            Self::ChaCha20Poly1305 => Some("CKM_CHACHA20_POLY1305"),
            Self::Aes128Cmac | Self::Aes192Cmac | Self::Aes256Cmac => Some("CKM_AES_CMAC"),
            Self::Hmac(_) => Some("CKM_SHA256_HMAC"),
            Self::X25519 => Some("CKM_EC_MONTGOMERY_KEY_PAIR_GEN"),
            _ if self.is_ecdh() => Some("CKM_ECDH1_DERIVE"),
            _ if self.is_ml_dsa() => Some("CKM_ML_DSA"),
            _ if self.is_ml_kem() => Some("CKM_ML_KEM"),
            _ => None,
        }
    }

    pub(crate) fn key_type(self) -> KeyType {
        match self {
            Self::Aes128Cmac | Self::Aes128Gcm96 => KeyType::Aes128,
            Self::Aes192Cmac => KeyType::Aes192,
            Self::Aes256Cmac | Self::Aes256Gcm96 => KeyType::Aes256,
            Self::ChaCha20Poly1305 => KeyType::ChaCha20,
            Self::EcdhP256 | Self::EcdsaP256 => KeyType::EcP256,
            Self::EcdhP384 | Self::EcdsaP384 => KeyType::EcP384,
            Self::EcdhP521 | Self::EcdsaP521 => KeyType::EcP521,
            Self::Ed25519 => KeyType::Ed25519,
            Self::Hmac(bytes) => KeyType::Hmac(bytes),
            Self::MlDsa44 => KeyType::MlDsa44,
            Self::MlDsa65 => KeyType::MlDsa65,
            Self::MlDsa87 => KeyType::MlDsa87,
            Self::MlKem512 => KeyType::MlKem512,
            Self::MlKem768 => KeyType::MlKem768,
            Self::MlKem1024 => KeyType::MlKem1024,
            Self::Rsa2048 => KeyType::Rsa2048,
            Self::Rsa3072 => KeyType::Rsa3072,
            Self::Rsa4096 => KeyType::Rsa4096,
            Self::X25519 => KeyType::X25519,
        }
    }

    /// Of a key that is used as it is; one that others are derived from does nothing else.
    pub(crate) fn purpose(self) -> Purpose {
        match self {
            Self::Aes128Gcm96 | Self::Aes256Gcm96 | Self::ChaCha20Poly1305 => Purpose::Encryption,
            Self::Aes128Cmac | Self::Aes192Cmac | Self::Aes256Cmac | Self::Hmac(_) => Purpose::Mac,
            Self::EcdhP256 | Self::EcdhP384 | Self::EcdhP521 | Self::X25519 => Purpose::Agreement,
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 | Self::Ed25519 => Purpose::Signing,
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => Purpose::Signing,
            Self::MlKem512 | Self::MlKem768 | Self::MlKem1024 => Purpose::Decapsulation,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Purpose::SigningAndEncryption,
        }
    }

    /// Bytes of the group order, for ECDSA.
    pub(crate) fn order_bytes(self) -> Option<usize> {
        match self {
            Self::EcdsaP256 => Some(32),
            Self::EcdsaP384 => Some(48),
            Self::EcdsaP521 => Some(66),
            _ => None,
        }
    }

    /// Bytes of the modulus, for RSA.
    pub(crate) fn modulus_bytes(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::Rsa4096 => Some(512),
            _ => None,
        }
    }

    /// Bytes of an ML-DSA public key (FIPS 204, table 2) or of an ML-KEM encapsulation key (FIPS 203, table 3), and what follows
    /// 2.16.840.1.101.3.4 in its object identifier (RFC 9881, RFC 9935).
    pub(crate) fn post_quantum(self) -> Option<(usize, &'static str)> {
        match self {
            Self::MlDsa44 => Some((1312, "3.17")),
            Self::MlDsa65 => Some((1952, "3.18")),
            Self::MlDsa87 => Some((2592, "3.19")),
            Self::MlKem512 => Some((800, "4.1")),
            Self::MlKem768 => Some((1184, "4.2")),
            Self::MlKem1024 => Some((1568, "4.3")),
            _ => None,
        }
    }

    /// Bytes of a secret encapsulated by ML-KEM (FIPS 203, table 3).
    pub(crate) fn encapsulated_bytes(self) -> Option<usize> {
        match self {
            Self::MlKem512 => Some(768),
            Self::MlKem768 => Some(1088),
            Self::MlKem1024 => Some(1568),
            _ => None,
        }
    }

    /// The words of `private_keys`: family, bits (of FIPS 203 and 204 the parameter set), curve.
    pub(crate) fn columns(self) -> (&'static str, Option<i32>, Option<&'static str>) {
        let bits = self.modulus_bytes().and_then(|bytes| i32::try_from(8 * bytes).ok());
        match self {
            Self::EcdhP256 => ("ECDH", Some(256), Some("P-256")),
            Self::EcdhP384 => ("ECDH", Some(384), Some("P-384")),
            Self::EcdhP521 => ("ECDH", Some(521), Some("P-521")),
            Self::EcdsaP256 => ("ECDSA", Some(256), Some("P-256")),
            Self::EcdsaP384 => ("ECDSA", Some(384), Some("P-384")),
            Self::EcdsaP521 => ("ECDSA", Some(521), Some("P-521")),
            Self::Ed25519 => ("Ed25519", Some(256), Some("Ed25519")),
            Self::MlDsa44 => ("ML-DSA", Some(44), None),
            Self::MlDsa65 => ("ML-DSA", Some(65), None),
            Self::MlDsa87 => ("ML-DSA", Some(87), None),
            Self::MlKem512 => ("ML-KEM", Some(512), None),
            Self::MlKem768 => ("ML-KEM", Some(768), None),
            Self::MlKem1024 => ("ML-KEM", Some(1024), None),
            Self::X25519 => ("ECDH", Some(255), Some("X25519")),
            _ => ("RSA", bits, None),
        }
    }
}

/// A digest by the API's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub(crate) HashAlgorithm);

impl Hash {
    /// SHA-256, the default.
    pub const SHA2_256: Self = Self(HashAlgorithm::Sha2_256);

    /// `sha1`, `sha2-256`, `sha3-512`, …
    pub fn parse(name: &str) -> Option<Self> {
        Some(Self(match name {
            "sha1" => HashAlgorithm::Sha1,
            "sha2-224" => HashAlgorithm::Sha2_224,
            "sha2-256" => HashAlgorithm::Sha2_256,
            "sha2-384" => HashAlgorithm::Sha2_384,
            "sha2-512" => HashAlgorithm::Sha2_512,
            "sha3-224" => HashAlgorithm::Sha3_224,
            "sha3-256" => HashAlgorithm::Sha3_256,
            "sha3-384" => HashAlgorithm::Sha3_384,
            "sha3-512" => HashAlgorithm::Sha3_512,
            _ => return None,
        }))
    }

    pub(crate) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self.algorithm() {
            Some(algorithm) => digest::digest(algorithm, data).as_ref().to_vec(),
            None => Sha3_224::digest(data).to_vec(),
        }
    }

    /// Whether it is SHA-1.
    pub fn is_sha1(self) -> bool {
        self.0 == HashAlgorithm::Sha1
    }

    /// Of a digest, bytes.
    pub fn length(self) -> usize {
        self.algorithm().map_or_else(Sha3_224::output_size, digest::Algorithm::output_len)
    }

    /// DigestInfo up to the digest (RFC 8017, 9.2, note 1).
    pub(crate) fn digest_info_prefix(self) -> Vec<u8> {
        let oid: &[u8] = match self.0 {
            HashAlgorithm::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
            HashAlgorithm::Sha2_224 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04],
            HashAlgorithm::Sha2_256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
            HashAlgorithm::Sha2_384 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
            HashAlgorithm::Sha2_512 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03],
            HashAlgorithm::Sha3_224 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x07],
            HashAlgorithm::Sha3_256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08],
            HashAlgorithm::Sha3_384 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x09],
            HashAlgorithm::Sha3_512 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x0a],
        };
        let (oid_length, digest_length) =
            (u8::try_from(oid.len()).unwrap_or(0), u8::try_from(self.length()).unwrap_or(0));
        let head = [0x30, 8 + oid_length + digest_length, 0x30, 4 + oid_length, 0x06, oid_length];
        [&head, oid, &[0x05, 0x00, 0x04, digest_length]].concat()
    }

    /// aws-lc's; it has no SHA3-224.
    fn algorithm(self) -> Option<&'static digest::Algorithm> {
        Some(match self.0 {
            HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha2_224 => &digest::SHA224,
            HashAlgorithm::Sha2_256 => &digest::SHA256,
            HashAlgorithm::Sha2_384 => &digest::SHA384,
            HashAlgorithm::Sha2_512 => &digest::SHA512,
            HashAlgorithm::Sha3_224 => return None,
            HashAlgorithm::Sha3_256 => &digest::SHA3_256,
            HashAlgorithm::Sha3_384 => &digest::SHA3_384,
            HashAlgorithm::Sha3_512 => &digest::SHA3_512,
        })
    }
}

/// RSA signature padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1v15,
    /// RSASSA-PSS.
    Pss,
}

/// Salt of RSASSA-PSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaltLength {
    /// Signing: as long as fits; verifying: whatever is there.
    Auto,
    /// As long as the hash.
    Hash,
    /// That many bytes.
    Bytes(u32),
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marshaling {
    /// ECDSA-Sig-Value, DER (RFC 3279, 2.2.3).
    Asn1,
    /// r ‖ s (RFC 7515), for JWS.
    Jws,
}

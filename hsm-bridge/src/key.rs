//! Keys as the bridge speaks of them: what they are, where they are, what they may do.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What a key is (algorithm and size).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyType {
    /// AES with a 128-bit key (FIPS 197).
    Aes128,
    /// AES with a 192-bit key (FIPS 197).
    Aes192,
    /// AES with a 256-bit key (FIPS 197).
    Aes256,
    /// ECDSA or ECDH on P-256 (FIPS 186-5, SP 800-186).
    EcP256,
    /// ECDSA or ECDH on P-384.
    EcP384,
    /// ECDSA or ECDH on P-521.
    EcP521,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ChaCha20 (RFC 8439), 256 bits.
    ChaCha20,
    /// Generic secret for HMAC (FIPS 198-1), of that many bytes.
    Hmac(u16),
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
    /// ML-KEM-512 (FIPS 203).
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
    /// RSA, modulus of 2048 bits (RFC 8017).
    Rsa2048,
    /// RSA, modulus of 3072 bits.
    Rsa3072,
    /// RSA, modulus of 4096 bits.
    Rsa4096,
    /// X25519 (RFC 7748).
    X25519,
}

impl KeyType {
    /// ML-DSA (FIPS 204).
    pub fn is_ml_dsa(self) -> bool {
        matches!(self, Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87)
    }

    /// ML-KEM (FIPS 203).
    pub fn is_ml_kem(self) -> bool {
        matches!(self, Self::MlKem512 | Self::MlKem768 | Self::MlKem1024)
    }

    /// Some tokens make such keys and cannot wrap them: [`crate::Capabilities::wraps`] tells.
    pub fn may_not_be_wrapped(self) -> bool {
        matches!(self, Self::Ed25519 | Self::X25519) || self.is_ml_dsa() || self.is_ml_kem()
    }
}

/// What a key may do; one purpose a key (SP 800-57 part 1, 5.2). Becomes CKA_SIGN, CKA_WRAP and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Agree on keys with the holders of other pairs (ECDH), and nothing else.
    Agreement,
    /// Decapsulate shared secrets, and nothing else.
    Decapsulation,
    /// Derive other keys, and nothing else.
    Derivation,
    /// Encrypt and decrypt data.
    Encryption,
    /// HMAC, or CMAC with an AES key.
    Mac,
    /// Sign.
    Signing,
    /// Sign and decrypt: RSA keys of Transit do both.
    SigningAndEncryption,
    /// Take in keys that callers send under its public half (RSA-OAEP), and nothing else. Decrypts only where the token lacks the hash.
    Transport,
    /// Wrap and unwrap other keys (AES-KWP, RFC 5649), and nothing else.
    Wrapping,
}

/// How a key is made of the secret that two sides share by ECDH (SP 800-56A rev. 3, 5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AgreementKdf {
    /// CKM_AES_ECB_ENCRYPT_DATA (PKCS#11 v2.40, 2.15): the last 32 bytes of the secret are an AES key that encrypts 32 bytes of information. For tokens
    /// that have no function of their own for it, and no approved one.
    AesEcbEncryptData,
    /// ANSI X9.63 with that hash (SEC 1, 3.6.1), CKD_SHA256_KDF and so on: hash(secret ‖ counter ‖ information).
    X963(HashAlgorithm),
}

impl AgreementKdf {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AesEcbEncryptData,
        Self::X963(HashAlgorithm::Sha2_256),
        Self::X963(HashAlgorithm::Sha2_384),
        Self::X963(HashAlgorithm::Sha2_512),
    ];
}

/// Where a key is.
#[derive(Clone, Debug)]
pub enum KeyRef {
    /// An object on the token.
    Token(TokenKey),
    /// A blob, unwrapped in a worker when first used there and kept in its bounded cache.
    Wrapped(Arc<WrappedKey>),
}

/// A key that is an object on the token, found once by CKA_ID and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenKey {
    /// CKA_ID: the 16 bytes of this id.
    pub id: Uuid,
    /// What it is.
    pub key_type: KeyType,
}

/// A key wrapped by AES-KWP.
#[derive(Clone, Debug)]
pub struct WrappedKey {
    /// Names the key in workers' caches: unique to this very material (a key version), never reused.
    pub id: Uuid,
    /// What it is.
    pub key_type: KeyType,
    /// What it may do once unwrapped (unwrapped SENSITIVE, not EXTRACTABLE).
    pub purpose: Purpose,
    /// AES-KWP of the key (PKCS#8 for private keys).
    pub blob: Vec<u8>,
    /// The key that unwraps it.
    pub wrapped_by: KeyRef,
}

/// The public half of a key pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo, DER (RFC 5280, 4.1).
    pub spki_der: Vec<u8>,
}

/// What generation gives back.
#[derive(Clone, Debug)]
pub struct GeneratedKey {
    /// The wrapped key, ready for the database.
    pub blob: Vec<u8>,
    /// The public half, for key pairs.
    pub public: Option<PublicKey>,
}

/// A key as a caller sends it: CKM_RSA_AES_KEY_WRAP cut in two (PKCS#11 v3.0, 2.1.21).
#[derive(Clone, Debug)]
pub struct TransportedKey {
    /// What it must turn out to be; of [`KeyType::Hmac`] any length will do.
    pub key_type: KeyType,
    /// Hash of RSA-OAEP and of its MGF1.
    pub hash: HashAlgorithm,
    /// RSA-OAEP of an AES key, under the public half of a [`Purpose::Transport`] key.
    pub kek: Vec<u8>,
    /// AES-KWP of the key (PKCS#8 for private keys) under that AES key.
    pub blob: Vec<u8>,
}

/// A transported key, wrapped anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportedKey {
    /// AES-KWP, ready for the database.
    pub blob: Vec<u8>,
    /// What it is.
    pub key_type: KeyType,
    /// The public half, where the token knows it from the private one: RSA, Ed25519, X25519.
    pub public: Option<PublicKey>,
    /// Of key pairs, one signature for each of [`PROBES`]: ECDSA r ‖ s, Ed25519, or RSASSA-PKCS1-v1_5 with SHA-256. None of X25519, whose halves were seen
    /// to agree.
    pub signatures: Vec<Vec<u8>>,
    /// RSA-OAEP was undone in the worker, which held the AES key: the token lacks the hash.
    pub unpadded_in_worker: bool,
}

/// What an imported key pair signs, as digests, to show that it can and which public half is its own.
pub const PROBES: [[u8; 32]; 2] = [*b"clm probe of an imported key: 1 ", *b"clm probe of an imported key: 2 "];

/// Whether a worker may undo RSA-OAEP itself, in constant time, where the token lacks the hash (docs/KEY-HIERARCHY.md). Never with `fips = true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerUnpadding {
    /// It may.
    Allowed,
    /// The token does it, or nobody.
    Refused,
}

/// Digests known to mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the standard's (FIPS 180-4, FIPS 202)")]
pub enum HashAlgorithm {
    Sha1,
    Sha2_224,
    Sha2_256,
    Sha2_384,
    Sha2_512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

/// How to sign. Data is hashed by the caller; the worker gets the digest (the message itself for Ed25519).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignMechanism {
    /// ECDSA over a digest; the signature is r ‖ s, each as long as the order (PKCS#11). Longer digests are cut to the order's length by us.
    Ecdsa,
    /// Ed25519 over the message (RFC 8032).
    Ed25519,
    /// ML-DSA over the message, with an empty context, hedged if the token can (FIPS 204, 5.2).
    MlDsa,
    /// RSASSA-PKCS1-v1_5 over a digest; `None`: the data is the encoded message's content as given (no DigestInfo).
    RsaPkcs1(Option<HashAlgorithm>),
    /// RSASSA-PSS over a digest with MGF1 of the same hash and that many bytes of salt.
    RsaPss {
        /// Hash of the digest and of MGF1.
        hash: HashAlgorithm,
        /// Salt, bytes.
        salt_length: u16,
    },
}

/// A secret that was encapsulated for the holder of a key pair (FIPS 203, 6.2), and stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Encapsulated {
    /// What the holder decapsulates.
    pub ciphertext: Vec<u8>,
    /// AES-KWP of the secret, an AES-256 key, ready for the database.
    pub blob: Vec<u8>,
}

/// What is to be encrypted by AES-GCM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plaintext {
    /// Plaintext: wiped when dropped.
    pub data: Zeroizing<Vec<u8>>,
    /// Authenticated, not encrypted.
    pub aad: Vec<u8>,
    /// With keys derived for a context, instead of the key itself.
    pub context: Option<Context>,
}

/// What is to be decrypted by AES-GCM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// Ciphertext.
    pub ciphertext: Ciphertext,
    /// As it was authenticated.
    pub aad: Vec<u8>,
    /// As in [`Plaintext`].
    pub context: Option<Context>,
}

/// Keys derived in the token from a key whose purpose is derivation; destroyed after use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    /// Type of the key that encrypts.
    pub key_type: KeyType,
    /// How, and from what.
    pub derivation: ContextDerivation,
}

/// How the keys of a context come of another. Of those for the IV, the HMAC-SHA-256 of the plaintext is the IV; decrypting does not look at them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ContextDerivation {
    /// An AES key encrypts: CKM_AES_ECB_ENCRYPT_DATA (PKCS#11 v2.40, 2.15).
    AesEcbEncryptData {
        /// What the key that encrypts is derived from.
        cipher: [u8; 32],
        /// What an HMAC key for the IV is derived from. `None`: the IV is random.
        nonce: Option<[u8; 32]>,
    },
    /// HKDF with SHA-256 and without salt (RFC 5869), of a generic secret: CKM_HKDF_DERIVE (PKCS#11 v3.0, 2.43).
    HkdfSha256 {
        /// The context.
        info: Vec<u8>,
        /// The 32 bytes that follow the key that encrypts are an HMAC key for the IV; otherwise that is random.
        makes_nonce: bool,
    },
}

/// Names of [`ContextDerivation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContextKdf {
    /// For tokens that have no better one, and no approved one.
    AesEcbEncryptData,
    /// The values that Vault has.
    HkdfSha256,
}

impl ContextKdf {
    /// All of them, the best first.
    pub const ALL: [Self; 2] = [Self::HkdfSha256, Self::AesEcbEncryptData];
}

/// What RSA-OAEP decryption gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RsaDecrypted {
    /// `None`: the padding does not fit; nothing tells how.
    pub plaintext: Option<Vec<u8>>,
    /// The token did RSA alone, and a worker undid the padding.
    pub unpadded_in_worker: bool,
}

/// AES-GCM output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ciphertext {
    /// 96-bit IV, from the token's generator or a MAC of the plaintext.
    pub iv: [u8; 12],
    /// Ciphertext followed by the 128-bit tag.
    pub ciphertext_and_tag: Vec<u8>,
}

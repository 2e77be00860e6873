//! Attribute templates, named for intent.

use super::ffi;
use crate::{Error, KeyType, Purpose, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{
    Attribute, KeyType as CkKeyType, MlDsaParameterSetType, MlKemParameterSetType, ObjectClass, ParameterSetType,
};
use uuid::Uuid;

/// Whether a key may leave wrapped, and where it lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Residence<'a> {
    /// On the token for good, never extractable.
    Token { id: Uuid, label: &'a str },
    /// In this session, not extractable: for use.
    Session,
    /// In this session and extractable: only while it is being wrapped.
    Wrapping,
}

/// Object identifiers of the curves, DER (SP 800-186; RFC 8410 for Ed25519 and X25519).
pub(super) fn curve_oid(key_type: KeyType) -> Option<&'static [u8]> {
    Some(match key_type {
        KeyType::EcP256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        KeyType::EcP384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        KeyType::EcP521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        KeyType::Ed25519 => &[0x06, 0x03, 0x2b, 0x65, 0x70],
        KeyType::X25519 => &[0x06, 0x03, 0x2b, 0x65, 0x6e],
        _ => return None,
    })
}

/// Bits of an RSA modulus.
pub(super) fn modulus_bits(key_type: KeyType) -> Option<u64> {
    match key_type {
        KeyType::Rsa2048 => Some(2048),
        KeyType::Rsa3072 => Some(3072),
        KeyType::Rsa4096 => Some(4096),
        _ => None,
    }
}

/// CKP_ of a key of FIPS 203 or 204.
fn parameter_set(key_type: KeyType) -> Option<ParameterSetType> {
    Some(match key_type {
        KeyType::MlDsa44 => MlDsaParameterSetType::ML_DSA_44.into(),
        KeyType::MlDsa65 => MlDsaParameterSetType::ML_DSA_65.into(),
        KeyType::MlDsa87 => MlDsaParameterSetType::ML_DSA_87.into(),
        KeyType::MlKem512 => MlKemParameterSetType::ML_KEM_512.into(),
        KeyType::MlKem768 => MlKemParameterSetType::ML_KEM_768.into(),
        KeyType::MlKem1024 => MlKemParameterSetType::ML_KEM_1024.into(),
        _ => return None,
    })
}

/// CKO_ and CKK_ of the secret or private half.
pub(super) fn class_and_type(key_type: KeyType) -> (ObjectClass, CkKeyType) {
    match key_type {
        KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 => (ObjectClass::SECRET_KEY, CkKeyType::AES),
        KeyType::ChaCha20 => (ObjectClass::SECRET_KEY, ffi::chacha20()),
        KeyType::Hmac(_) => (ObjectClass::SECRET_KEY, CkKeyType::GENERIC_SECRET),
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => (ObjectClass::PRIVATE_KEY, CkKeyType::EC),
        KeyType::Ed25519 => (ObjectClass::PRIVATE_KEY, CkKeyType::EC_EDWARDS),
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => (ObjectClass::PRIVATE_KEY, CkKeyType::ML_DSA),
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => (ObjectClass::PRIVATE_KEY, CkKeyType::ML_KEM),
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => (ObjectClass::PRIVATE_KEY, CkKeyType::RSA),
        KeyType::X25519 => (ObjectClass::PRIVATE_KEY, CkKeyType::EC_MONTGOMERY),
    }
}

/// CKM_ that generates such keys.
pub(super) fn generation(key_type: KeyType) -> Mechanism<'static> {
    match key_type {
        KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 => Mechanism::AesKeyGen,
        KeyType::ChaCha20 => ffi::without_parameter(ffi::numbered(cryptoki_sys::CKM_CHACHA20_KEY_GEN)),
        KeyType::Hmac(_) => Mechanism::GenericSecretKeyGen,
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => Mechanism::EccKeyPairGen,
        KeyType::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => Mechanism::MlDsaKeyPairGen,
        KeyType::MlKem512 | KeyType::MlKem768 | KeyType::MlKem1024 => Mechanism::MlKemKeyPairGen,
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => Mechanism::RsaPkcsKeyPairGen,
        KeyType::X25519 => Mechanism::EccMontgomeryKeyPairGen,
    }
}

/// The secret or private half, without what its unwrapping or generation gives (class, type, value).
pub(super) fn secret_half(purpose: Purpose, residence: Residence<'_>) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(matches!(residence, Residence::Token { .. })),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(residence == Residence::Wrapping),
    ];
    if let Residence::Token { id, label } = residence {
        template.extend([Attribute::Id(id.as_bytes().to_vec()), Attribute::Label(label.as_bytes().to_vec())]);
    }
    let signs = matches!(purpose, Purpose::Mac | Purpose::Signing | Purpose::SigningAndEncryption);
    let decrypts = matches!(purpose, Purpose::Encryption | Purpose::SigningAndEncryption | Purpose::Transport);
    template.push(Attribute::Sign(signs));
    template.push(Attribute::Decrypt(decrypts));
    template.push(Attribute::Unwrap(matches!(purpose, Purpose::Transport | Purpose::Wrapping)));
    match purpose {
        Purpose::Agreement => template.push(Attribute::Derive(true)),
        // Tokens before PKCS#11 v3.2 do not know the attribute.
        Purpose::Decapsulation => template.push(Attribute::Decapsulate(true)),
        _ => {}
    }
    template
}

/// What only secret keys have: both directions are in one object.
pub(super) fn secret_key_verbs(purpose: Purpose) -> [Attribute; 4] {
    [
        Attribute::Derive(purpose == Purpose::Derivation),
        Attribute::Encrypt(purpose == Purpose::Encryption),
        Attribute::Wrap(purpose == Purpose::Wrapping),
        Attribute::Verify(purpose == Purpose::Mac),
    ]
}

/// Length of a secret key, bytes.
pub(super) fn secret_length(key_type: KeyType) -> Option<u64> {
    match key_type {
        KeyType::Aes128 => Some(16),
        KeyType::Aes192 => Some(24),
        KeyType::Aes256 | KeyType::ChaCha20 => Some(32),
        KeyType::Hmac(bytes) => Some(bytes.into()),
        _ => None,
    }
}

/// The public half of a pair to be generated. Nothing is done with one that is there to agree: the other side's point is no object.
pub(super) fn public_half(key_type: KeyType, purpose: Purpose, residence: Residence<'_>) -> Result<Vec<Attribute>> {
    let mut template = vec![
        Attribute::Token(matches!(residence, Residence::Token { .. })),
        Attribute::Private(false),
        if key_type.is_ml_kem() {
            Attribute::Encapsulate(true)
        } else {
            Attribute::Verify(purpose != Purpose::Agreement)
        },
    ];
    if let Residence::Token { id, label } = residence {
        template.extend([Attribute::Id(id.as_bytes().to_vec()), Attribute::Label(label.as_bytes().to_vec())]);
    }
    if let Some(set) = parameter_set(key_type) {
        template.push(Attribute::ParameterSet(set));
    } else if let Some(oid) = curve_oid(key_type) {
        template.push(Attribute::EcParams(oid.to_vec()));
    } else if let Some(bits) = modulus_bits(key_type) {
        let bits = cryptoki_sys::CK_ULONG::try_from(bits).map_err(|error| Error::Internal(error.to_string()))?;
        template.extend([Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])]);
    } else {
        return Err(Error::Internal(format!("{key_type:?} has no public half")));
    }
    Ok(template)
}

/// The public half of an ML-KEM pair, as an object of this session, to encapsulate to.
pub(super) fn encapsulation_key(key_type: KeyType, value: &[u8]) -> Result<Vec<Attribute>> {
    let set = parameter_set(key_type).filter(|_| key_type.is_ml_kem());
    let set = set.ok_or_else(|| Error::Internal(format!("{key_type:?} encapsulates nothing")))?;
    Ok(vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(CkKeyType::ML_KEM),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::ParameterSet(set),
        Attribute::Value(value.to_vec()),
        Attribute::Encapsulate(true),
    ])
}

/// A shared secret, to be wrapped or to try whether it can be made: an AES-256 key that encrypts.
pub(super) fn shared_secret(residence: Residence<'_>) -> Vec<Attribute> {
    let mut template = secret_half(Purpose::Encryption, residence);
    template.extend(secret_key_verbs(Purpose::Encryption));
    template.extend([Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(CkKeyType::AES)]);
    template
}

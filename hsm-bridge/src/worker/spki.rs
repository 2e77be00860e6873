//! SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) from what a token says of a public key: CKA_PUBLIC_KEY_INFO is often empty.

use super::template::curve_oid;
use crate::{Error, KeyType, PublicKey, Result};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Any, Decode, Encode};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
/// Bytes of a key of RFC 8410.
const BARE: usize = 32;

/// What follows 2.16.840.1.101.3.4 (RFC 9881, RFC 9935), of keys that are bare bytes.
fn post_quantum(key_type: KeyType) -> Option<ObjectIdentifier> {
    let text = match key_type {
        KeyType::MlDsa44 => "2.16.840.1.101.3.4.3.17",
        KeyType::MlDsa65 => "2.16.840.1.101.3.4.3.18",
        KeyType::MlDsa87 => "2.16.840.1.101.3.4.3.19",
        KeyType::MlKem512 => "2.16.840.1.101.3.4.4.1",
        KeyType::MlKem768 => "2.16.840.1.101.3.4.4.2",
        KeyType::MlKem1024 => "2.16.840.1.101.3.4.4.3",
        _ => return None,
    };
    Some(ObjectIdentifier::new_unwrap(text))
}

#[derive(der::Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// Reads the public object.
pub(super) fn read(session: &Session, public: ObjectHandle, key_type: KeyType) -> Result<PublicKey> {
    if let Some(oid) = post_quantum(key_type) {
        let value = session.get_attributes(public, &[AttributeType::Value]).map_err(refused)?;
        let Some(Attribute::Value(value)) = value.first() else {
            return Err(Error::Internal("the token's public key has no CKA_VALUE".into()));
        };
        return bare(oid, value).map_err(not_understood);
    }
    let wanted = [AttributeType::EcPoint, AttributeType::Modulus, AttributeType::PublicExponent];
    let attributes = session.get_attributes(public, &wanted).map_err(refused)?;
    let (mut point, mut modulus, mut exponent) = (None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::EcPoint(value) => point = Some(value),
            Attribute::Modulus(value) => modulus = Some(value),
            Attribute::PublicExponent(value) => exponent = Some(value),
            _ => {}
        }
    }
    encode(key_type, point.as_deref(), modulus.as_deref(), exponent.as_deref()).map_err(not_understood)
}

fn refused(error: cryptoki::error::Error) -> Error {
    Error::Refused { function: "C_GetAttributeValue".into(), reason: error.to_string() }
}

fn not_understood(error: der::Error) -> Error {
    Error::Internal(format!("the token's public key is not understood: {error}"))
}

/// A key that is nothing but its bytes.
fn bare(oid: ObjectIdentifier, key: &[u8]) -> der::Result<PublicKey> {
    let subject_public_key = BitStringRef::from_bytes(key)?;
    let algorithm = AlgorithmIdentifier::<Any> { oid, parameters: None };
    Ok(PublicKey { spki_der: SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der()? })
}

/// The bytes of such a key; an error says that it is of another type.
pub(super) fn bytes(key_type: KeyType, key: &PublicKey) -> Result<Vec<u8>> {
    let other =
        || Error::Refused { function: "a public key".into(), reason: format!("it is not of type {key_type:?}") };
    let info = spki::SubjectPublicKeyInfoRef::from_der(&key.spki_der).map_err(|_| other())?;
    let key = info.subject_public_key.as_bytes().filter(|_| Some(info.algorithm.oid) == post_quantum(key_type));
    key.map(<[u8]>::to_vec).ok_or_else(other)
}

/// The point of a key on a curve, as the key has it.
pub(super) fn point(key: &PublicKey) -> Result<Vec<u8>> {
    let info = spki::SubjectPublicKeyInfoRef::from_der(&key.spki_der).map_err(not_understood)?;
    Ok(info.subject_public_key.as_bytes().unwrap_or_default().to_vec())
}

fn encode(
    key_type: KeyType,
    point: Option<&[u8]>,
    modulus: Option<&[u8]>,
    exponent: Option<&[u8]>,
) -> der::Result<PublicKey> {
    let missing = || der::ErrorKind::Value { tag: der::Tag::Sequence }.to_error();
    let (oid, parameters, key) = if let (Some(modulus), Some(exponent)) = (modulus, exponent) {
        let key = RsaPublicKey { modulus: UintRef::new(modulus)?, public_exponent: UintRef::new(exponent)? };
        (RSA_ENCRYPTION, Some(Any::null()), key.to_der()?)
    } else {
        let point = point.ok_or_else(missing)?;
        // DER OCTET STRING by the standard (PKCS#11 v2.40, 2.3.3); some tokens give the bare point, and bytes of RFC 8410 may look like DER.
        let decoded = <&OctetStringRef>::from_der(point).ok().filter(|_| point.len() != BARE);
        let bare = decoded.map_or(point, OctetStringRef::as_bytes);
        match key_type {
            KeyType::Ed25519 => (ED25519, None, bare.to_vec()),
            KeyType::X25519 => (X25519, None, bare.to_vec()),
            _ => (EC_PUBLIC_KEY, Some(Any::from_der(curve_oid(key_type).ok_or_else(missing)?)?), bare.to_vec()),
        }
    };
    let subject_public_key = BitStringRef::from_bytes(&key)?;
    let info = SubjectPublicKeyInfo { algorithm: AlgorithmIdentifier { oid, parameters }, subject_public_key };
    Ok(PublicKey { spki_der: info.to_der()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_key_that_looks_like_der_is_taken_as_it_is() {
        let mut key = [7; BARE];
        key[..2].copy_from_slice(&[0x04, 0x1e]);
        let wrapped = [&[0x04, 0x20], &key[..]].concat();
        for key_type in [KeyType::Ed25519, KeyType::X25519] {
            for point in [&key[..], &wrapped] {
                let public = encode(key_type, Some(point), None, None).expect("encodes");
                assert_eq!(super::point(&public).expect("a key"), key);
            }
        }
    }
}

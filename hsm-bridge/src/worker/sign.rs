//! Signing.

use super::failure::{Attempt, at};
use super::mechanism;
use crate::{KeyType, SignMechanism};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

/// A signature that proves a new key works.
pub(super) fn trial(key_type: KeyType) -> (SignMechanism, &'static [u8]) {
    match key_type {
        KeyType::Ed25519 => (SignMechanism::Ed25519, b"probe"),
        key_type if key_type.is_ml_dsa() => (SignMechanism::MlDsa, b"probe"),
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => (SignMechanism::RsaPkcs1(None), b"probe"),
        _ => (SignMechanism::Ecdsa, &[1; 32]),
    }
}

pub(super) fn sign(session: &Session, key: ObjectHandle, how: SignMechanism, data: &[u8]) -> Attempt<Vec<u8>> {
    match how {
        SignMechanism::Ecdsa => session.sign(&Mechanism::Ecdsa, key, data),
        SignMechanism::Ed25519 => {
            session.sign(&Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), key, data)
        }
        SignMechanism::MlDsa => {
            session.sign(&Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)), key, data)
        }
        SignMechanism::RsaPkcs1(Some(hash)) => {
            session.sign(&Mechanism::RsaPkcs, key, &mechanism::digest_info(hash, data)?)
        }
        SignMechanism::RsaPkcs1(None) => session.sign(&Mechanism::RsaPkcs, key, data),
        SignMechanism::RsaPss { hash, salt_length } => session.sign(&mechanism::pss(hash, salt_length)?, key, data),
    }
    .map_err(at("C_Sign"))
}

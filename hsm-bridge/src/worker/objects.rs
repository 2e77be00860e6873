//! Objects on the token: found again, and described.

use super::failure::{Attempt, at};
use super::template;
use super::token::{away, clean};
use crate::{Error, KeyType, ObjectAttributes, Result, TokenKey};
use cryptoki::object::{Attribute, AttributeType, KeyType as CkKeyType, ObjectHandle};
use cryptoki::session::Session;
use uuid::Uuid;

pub(super) fn on_token(id: Uuid) -> [Attribute; 2] {
    [Attribute::Token(true), Attribute::Id(id.as_bytes().to_vec())]
}

pub(super) fn find_token_key(session: &Session, key: TokenKey) -> Result<ObjectHandle> {
    let (class, _) = template::class_and_type(key.key_type);
    let [token, id] = on_token(key.id);
    let found =
        session.find_objects(&[token, id, Attribute::Class(class)]).map_err(|error| away("C_FindObjects", &error))?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::NotFound(key.id.to_string())),
        more => Err(Error::Internal(format!("{} objects share CKA_ID {}", more.len(), key.id))),
    }
}

pub(super) fn find_objects(session: &Session, label_prefix: &str) -> Attempt<Vec<ObjectAttributes>> {
    let wanted = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::Class,
        AttributeType::KeyType,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::AlwaysSensitive,
        AttributeType::Private,
        AttributeType::Wrap,
        AttributeType::Unwrap,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
        AttributeType::Sign,
        AttributeType::ValueLen,
        AttributeType::ModulusBits,
        AttributeType::EcParams,
    ];
    // cryptoki reads no type of key that it has no name for (CKK_CHACHA20): such an object is described without.
    let unnamed: Vec<AttributeType> = wanted.iter().copied().filter(|kind| *kind != AttributeType::KeyType).collect();
    let mut objects = Vec::new();
    for handle in session.find_objects(&[Attribute::Token(true)]).map_err(at("C_FindObjects"))? {
        let label =
            match session.get_attributes(handle, &[AttributeType::Label]).map_err(at("C_GetAttributeValue"))?.pop() {
                Some(Attribute::Label(label)) => clean(&String::from_utf8_lossy(&label)),
                _ => String::new(),
            };
        if label.starts_with(label_prefix) {
            let attributes =
                session.get_attributes(handle, &wanted).or_else(|_| session.get_attributes(handle, &unnamed));
            let attributes = attributes.map_err(at("C_GetAttributeValue"))?;
            objects.push(describe(label, attributes));
        }
    }
    Ok(objects)
}

fn describe(label: String, attributes: Vec<Attribute>) -> ObjectAttributes {
    let mut object = ObjectAttributes { label, ..ObjectAttributes::default() };
    let (mut ck_type, mut bytes, mut bits, mut curve) = (None, 0u64, 0u64, Vec::new());
    for attribute in attributes {
        match attribute {
            Attribute::Id(id) => object.id = Uuid::from_slice(&id).ok(),
            Attribute::Class(class) => object.class = class.to_string(),
            Attribute::KeyType(value) => ck_type = Some(value),
            Attribute::Sensitive(value) => object.sensitive = value,
            Attribute::Extractable(value) => object.extractable = value,
            Attribute::NeverExtractable(value) => object.never_extractable = value,
            Attribute::AlwaysSensitive(value) => object.always_sensitive = value,
            Attribute::Private(value) => object.private = value,
            Attribute::Wrap(value) => object.wrap = value,
            Attribute::Unwrap(value) => object.unwrap = value,
            Attribute::Encrypt(value) => object.encrypt = value,
            Attribute::Decrypt(value) => object.decrypt = value,
            Attribute::Sign(value) => object.sign = value,
            Attribute::ValueLen(value) => bytes = *value,
            Attribute::ModulusBits(value) => bits = *value,
            Attribute::EcParams(value) => curve = value,
            _ => {}
        }
    }
    object.key_type = ck_type.and_then(|ck_type| key_type(ck_type, bytes, bits, &curve));
    object
}

fn key_type(ck_type: CkKeyType, bytes: u64, bits: u64, curve: &[u8]) -> Option<KeyType> {
    match ck_type {
        CkKeyType::AES if bytes == 16 => Some(KeyType::Aes128),
        CkKeyType::AES if bytes == 24 => Some(KeyType::Aes192),
        CkKeyType::AES if bytes == 32 => Some(KeyType::Aes256),
        CkKeyType::GENERIC_SECRET => Some(KeyType::Hmac(u16::try_from(bytes).ok()?)),
        CkKeyType::RSA => [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096]
            .into_iter()
            .find(|candidate| template::modulus_bits(*candidate) == Some(bits)),
        _ => [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::Ed25519, KeyType::X25519]
            .into_iter()
            .find(|candidate| template::curve_oid(*candidate) == Some(curve)),
    }
}

//! ECDH (SP 800-56A rev. 3, 5.7.1.2) through C_DeriveKey with CKM_ECDH1_DERIVE: the shared secret is made in the token, and so is the key that a key
//! derivation function makes of it. Nothing of either leaves but the key, wrapped.

use super::failure::{Attempt, Failure, at};
use super::ffi;
use super::generation::generate;
use super::operations::Operations;
use super::spki;
use super::template::{self, Residence};
use crate::{AgreementKdf, Error, HashAlgorithm, KeyType, Purpose};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;

/// Bytes of the key that is made: AES-256.
const LENGTH: u64 = 32;

impl Operations {
    /// What `key` and the holder of `peer`, a point of its curve, agree on, wrapped: an AES-256 key.
    pub(super) fn agree(
        &self,
        session: &Session,
        key: ObjectHandle,
        peer: &[u8],
        kdf: AgreementKdf,
        info: &[u8],
        wrapping: ObjectHandle,
    ) -> Attempt<Vec<u8>> {
        if !self.capabilities.agreement.contains(&kdf) {
            return Err(Error::Unsupported(mechanisms(kdf).into()).into());
        }
        let agreed = derive(session, key, peer, (kdf, info), Residence::Wrapping)?;
        self.wrapped_once(session, agreed, wrapping)
    }
}

/// What a function needs of the token.
fn mechanisms(kdf: AgreementKdf) -> &'static str {
    match kdf {
        AgreementKdf::AesEcbEncryptData => "CKM_ECDH1_DERIVE followed by CKM_AES_ECB_ENCRYPT_DATA",
        AgreementKdf::X963(HashAlgorithm::Sha2_384) => "CKM_ECDH1_DERIVE with CKD_SHA384_KDF",
        AgreementKdf::X963(HashAlgorithm::Sha2_512) => "CKM_ECDH1_DERIVE with CKD_SHA512_KDF",
        AgreementKdf::X963(_) => "CKM_ECDH1_DERIVE with CKD_SHA256_KDF",
    }
}

/// The key, extractable only for as long as it takes to wrap it.
fn derive(
    session: &Session,
    key: ObjectHandle,
    peer: &[u8],
    (kdf, info): (AgreementKdf, &[u8]),
    residence: Residence<'_>,
) -> Attempt<ObjectHandle> {
    let ecdh = |kdf, attributes: &[Attribute]| {
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(kdf, peer));
        session.derive_key(&mechanism, key, attributes).map_err(at("C_DeriveKey"))
    };
    let mut agreed = template::shared_secret(residence);
    agreed.push(length()?);
    let hash = match kdf {
        AgreementKdf::X963(hash) => hash,
        AgreementKdf::AesEcbEncryptData => {
            let info = info.try_into().map_err(|_| Error::Internal("32 bytes are encrypted, no others".into()))?;
            let mut secret = template::secret_half(Purpose::Derivation, Residence::Session);
            secret.extend(template::secret_key_verbs(Purpose::Derivation));
            let (class, key_type) = template::class_and_type(KeyType::Aes256);
            secret.extend([Attribute::Class(class), Attribute::KeyType(key_type), length()?]);
            let secret = ecdh(EcKdf::null(), &secret)?;
            let made = ffi::with_ecb_encrypt_data(info, |mechanism| {
                session.derive_key(mechanism, secret, &agreed).map_err(at("C_DeriveKey"))
            });
            session.destroy_object(secret).map_err(at("C_DestroyObject"))?;
            return made;
        }
    };
    let kdf = match hash {
        HashAlgorithm::Sha2_256 => EcKdf::sha256(info),
        HashAlgorithm::Sha2_384 => EcKdf::sha384(info),
        HashAlgorithm::Sha2_512 => EcKdf::sha512(info),
        other => return Err(Error::Internal(format!("no function over {other:?}")).into()),
    };
    ecdh(kdf, &agreed)
}

fn length() -> Attempt<Attribute> {
    let length = cryptoki_sys::CK_ULONG::try_from(LENGTH).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Attribute::ValueLen(length.into()))
}

/// The functions by which two pairs of that type, made in this token, agree on a key.
pub(super) fn functions(session: &Session, key_type: KeyType) -> Vec<AgreementKdf> {
    let agrees = |kdf: &AgreementKdf| {
        let tried = || -> Attempt<()> {
            let (key, public) = generate(session, key_type, Purpose::Agreement, Residence::Session)?;
            let mut made = vec![key];
            made.extend(public);
            let peer = public.ok_or_else(|| Error::Internal("a pair without a public half".into()));
            let agreed = peer
                .and_then(|public| spki::read(session, public, key_type))
                .and_then(|public| spki::point(&public))
                .map_err(Failure::from)
                .and_then(|point| derive(session, key, &point, (*kdf, &[7; 32]), Residence::Session));
            made.extend(agreed.as_ref().ok());
            for object in made {
                session.destroy_object(object).map_err(at("C_DestroyObject"))?;
            }
            agreed.map(drop)
        };
        tried().is_ok()
    };
    AgreementKdf::ALL.into_iter().filter(agrees).collect()
}

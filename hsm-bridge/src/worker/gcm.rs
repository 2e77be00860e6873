//! AES-GCM (SP 800-38D), with the key itself or with one derived from it for a context.

use super::failure::{Attempt, Failure, at, is_of_the_data};
use super::ffi;
use super::generation::generate;
use super::template::{self, Residence};
use crate::{Ciphertext, Context, Error, KeyType, Plaintext, Purpose, Sealed};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;

/// The key that works: the one asked, or one derived from it, which is destroyed afterwards.
struct Keys<'s> {
    session: &'s Session,
    base: ObjectHandle,
    cipher: ObjectHandle,
    derived: Vec<ObjectHandle>,
}

impl<'s> Keys<'s> {
    fn of(session: &'s Session, base: ObjectHandle, context: Option<&Context>) -> Attempt<Self> {
        let mut keys = Self { session, base, cipher: base, derived: Vec::new() };
        if let Some(context) = context {
            keys.cipher = keys.derive(&context.cipher, context.key_type, Purpose::Encryption)?;
        }
        Ok(keys)
    }

    /// Random, or the first bytes of a MAC of the plaintext.
    fn iv(&mut self, nonce: Option<&[u8; 32]>, plaintext: &[u8]) -> Attempt<[u8; 12]> {
        let Some(nonce) = nonce else {
            let mut iv = [0; 12];
            self.session.generate_random_slice(&mut iv).map_err(at("C_GenerateRandom"))?;
            return Ok(iv);
        };
        let key = self.derive(nonce, KeyType::Hmac(32), Purpose::Mac)?;
        let mac = self.session.sign(&Mechanism::Sha256Hmac, key, plaintext).map_err(at("C_Sign"))?;
        let short = || Failure::Error(Error::Internal("an HMAC is shorter than 12 bytes".into()));
        mac.first_chunk().copied().ok_or_else(short)
    }

    fn derive(&mut self, data: &[u8; 32], key_type: KeyType, purpose: Purpose) -> Attempt<ObjectHandle> {
        let (class, ck_type) = template::class_and_type(key_type);
        let mut attributes = template::secret_half(purpose, Residence::Session);
        attributes.extend(template::secret_key_verbs(purpose));
        let length = template::secret_length(key_type).unwrap_or_default();
        let length = cryptoki_sys::CK_ULONG::try_from(length).map_err(|error| Error::Internal(error.to_string()))?;
        attributes.extend([Attribute::Class(class), Attribute::KeyType(ck_type), Attribute::ValueLen(length.into())]);
        let derived = ffi::with_ecb_encrypt_data(data, |mechanism| {
            self.session.derive_key(mechanism, self.base, &attributes).map_err(at("C_DeriveKey"))
        })?;
        self.derived.push(derived);
        Ok(derived)
    }
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        for object in &self.derived {
            if let Err(error) = self.session.destroy_object(*object) {
                tracing::warn!(%error, "a derived key could not be destroyed; it goes with this session");
            }
        }
    }
}

pub(super) fn encrypt(session: &Session, key: ObjectHandle, item: &Plaintext) -> Attempt<Ciphertext> {
    let mut keys = Keys::of(session, key, item.context.as_ref())?;
    let nonce = item.context.as_ref().and_then(|context| context.nonce.as_ref());
    let iv = keys.iv(nonce, &item.data)?;
    let mut used = iv;
    let params = GcmParams::new(&mut used, &item.aad, 128.into()).map_err(at("C_EncryptInit"))?;
    let ciphertext_and_tag =
        session.encrypt(&Mechanism::AesGcm(params), keys.cipher, &item.data).map_err(at("C_Encrypt"))?;
    Ok(Ciphertext { iv, ciphertext_and_tag })
}

/// `None`: the tag does not fit, as far as the token's code can be believed.
pub(super) fn decrypt(session: &Session, key: ObjectHandle, item: &Sealed) -> Attempt<Option<Vec<u8>>> {
    let keys = Keys::of(session, key, item.context.as_ref())?;
    let mut iv = item.ciphertext.iv;
    let params = GcmParams::new(&mut iv, &item.aad, 128.into()).map_err(at("C_DecryptInit"))?;
    match session.decrypt(&Mechanism::AesGcm(params), keys.cipher, &item.ciphertext.ciphertext_and_tag) {
        Ok(plaintext) => Ok(Some(plaintext)),
        Err(error) if is_of_the_data(&error) => Ok(None),
        Err(error) => Err(Failure::Token("C_Decrypt", error)),
    }
}

/// Whether a derived key encrypts on this token: cryptoki's mechanism list leaves out CKM_AES_ECB_ENCRYPT_DATA.
pub(super) fn derives(session: &Session) -> bool {
    let Ok((base, _)) = generate(session, KeyType::Aes256, Purpose::Derivation, Residence::Session) else {
        return false;
    };
    let context = Context { key_type: KeyType::Aes128, cipher: [1; 32], nonce: Some([2; 32]) };
    let item = Plaintext { data: b"probe".to_vec().into(), aad: Vec::new(), context: Some(context) };
    let derives = encrypt(session, base, &item).is_ok();
    session.destroy_object(base).is_ok() && derives
}

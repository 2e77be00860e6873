//! AES-GCM (SP 800-38D) and ChaCha20-Poly1305 (RFC 8439), with the key itself or with one derived from it for a context.

use super::failure::{Attempt, Failure, at, is_of_the_data};
use super::ffi;
use super::generation::generate;
use super::template::{self, Residence};
use crate::{Ciphertext, Context, ContextDerivation, ContextKdf, Error, KeyType, Plaintext, Purpose, Result, Sealed};
use cryptoki::mechanism::aead::{GcmMessageParams, GcmParams, GeneratorFunction};
use cryptoki::mechanism::hkdf::{HkdfParams, HkdfSalt};
use cryptoki::mechanism::{Mechanism, MechanismType, MessageParam};
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
        if let Some(Context { key_type, derivation }) = context {
            let (key_type, purpose) = (*key_type, Purpose::Encryption);
            keys.cipher = match derivation {
                ContextDerivation::AesEcbEncryptData { cipher, .. } => {
                    ffi::with_ecb_encrypt_data(cipher, |mechanism| keys.derive(mechanism, base, key_type, purpose))?
                }
                ContextDerivation::HkdfSha256 { info, .. } => keys.derive(&hkdf(info), base, key_type, purpose)?,
            };
        }
        Ok(keys)
    }

    /// Random, or the first bytes of a MAC of the plaintext.
    fn iv(&mut self, context: Option<&Context>, plaintext: &[u8]) -> Attempt<[u8; 12]> {
        let Some(key) = context.map_or(Ok(None), |context| self.nonce_key(context))? else {
            let mut iv = [0; 12];
            self.session.generate_random_slice(&mut iv).map_err(at("C_GenerateRandom"))?;
            return Ok(iv);
        };
        let mac = self.session.sign(&Mechanism::Sha256Hmac, key, plaintext).map_err(at("C_Sign"))?;
        let short = || Failure::Error(Error::Internal("an HMAC is shorter than 12 bytes".into()));
        mac.first_chunk().copied().ok_or_else(short)
    }

    /// `None`: the IV is to be random.
    fn nonce_key(&mut self, Context { key_type, derivation }: &Context) -> Attempt<Option<ObjectHandle>> {
        let (base, nonce, purpose) = (self.base, KeyType::Hmac(32), Purpose::Mac);
        match derivation {
            ContextDerivation::AesEcbEncryptData { nonce: Some(data), .. } => {
                ffi::with_ecb_encrypt_data(data, |mechanism| self.derive(mechanism, base, nonce, purpose)).map(Some)
            }
            ContextDerivation::HkdfSha256 { info, makes_nonce: true } => {
                let cipher = length(*key_type)?;
                let both = u16::try_from(cipher + 32).map_err(|error| Error::Internal(error.to_string()))?;
                let both = self.derive(&hkdf(info), base, KeyType::Hmac(both), Purpose::Derivation)?;
                ffi::with_extraction(8 * cipher, |mechanism| self.derive(mechanism, both, nonce, purpose)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn derive(
        &mut self,
        mechanism: &Mechanism<'_>,
        base: ObjectHandle,
        key_type: KeyType,
        purpose: Purpose,
    ) -> Attempt<ObjectHandle> {
        let (class, ck_type) = template::class_and_type(key_type);
        let mut attributes = template::secret_half(purpose, Residence::Session);
        attributes.extend(template::secret_key_verbs(purpose));
        let length = length(key_type)?;
        attributes.extend([Attribute::Class(class), Attribute::KeyType(ck_type), Attribute::ValueLen(length.into())]);
        let derived = self.session.derive_key(mechanism, base, &attributes).map_err(at("C_DeriveKey"))?;
        self.derived.push(derived);
        Ok(derived)
    }
}

/// Bytes.
fn length(key_type: KeyType) -> Result<cryptoki_sys::CK_ULONG> {
    let length = template::secret_length(key_type).unwrap_or_default();
    cryptoki_sys::CK_ULONG::try_from(length).map_err(|error| Error::Internal(error.to_string()))
}

/// With SHA-256 and without salt, as Vault derives.
fn hkdf(info: &[u8]) -> Mechanism<'_> {
    Mechanism::HkdfDerive(HkdfParams::new(MechanismType::SHA256, Some(HkdfSalt::Null), Some(info)))
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

/// Where random IVs come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ivs {
    /// The token's generator, asked before.
    Drawn,
    /// The token itself, while it encrypts (PKCS#11 v3.0, 2.13.4).
    Made,
}

/// The type of the key that works, which is not that of one from which it is derived.
fn works(key_type: KeyType, context: Option<&Context>) -> KeyType {
    context.map_or(key_type, |context| context.key_type)
}

pub(super) fn encrypt(
    session: &Session,
    key: ObjectHandle,
    key_type: KeyType,
    item: &Plaintext,
    ivs: Ivs,
) -> Attempt<Ciphertext> {
    let mut keys = Keys::of(session, key, item.context.as_ref())?;
    if works(key_type, item.context.as_ref()) == KeyType::ChaCha20 {
        let iv = keys.iv(item.context.as_ref(), &item.data)?;
        let sealed = ffi::with_chacha20_poly1305(&iv, &item.aad, |mechanism| {
            session.encrypt(mechanism, keys.cipher, &item.data)
        });
        return Ok(Ciphertext { iv, ciphertext_and_tag: sealed.map_err(at("C_Encrypt"))? });
    }
    if ivs == Ivs::Made && !item.context.as_ref().is_some_and(makes_nonce) {
        return message(session, keys.cipher, item);
    }
    let iv = keys.iv(item.context.as_ref(), &item.data)?;
    let mut used = iv;
    let params = GcmParams::new(&mut used, &item.aad, 128.into()).map_err(at("C_EncryptInit"))?;
    let ciphertext_and_tag =
        session.encrypt(&Mechanism::AesGcm(params), keys.cipher, &item.data).map_err(at("C_Encrypt"))?;
    Ok(Ciphertext { iv, ciphertext_and_tag })
}

/// With an IV that the token draws for this message, all 96 bits of it.
fn message(session: &Session, key: ObjectHandle, item: &Plaintext) -> Attempt<Ciphertext> {
    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    let params = GcmMessageParams::new(&mut iv, 0.into(), GeneratorFunction::GenerateRandom, &mut tag)
        .map_err(at("C_MessageEncryptInit"))?;
    session.message_encrypt_init(&Mechanism::AesGcmMessage(params), key).map_err(at("C_MessageEncryptInit"))?;
    let sealed = session.encrypt_message(&MessageParam::AesGcmMessage(params), &item.aad, &item.data);
    // Whatever came of it: the session could encrypt nothing else.
    let ended = session.message_encrypt_final().map_err(at("C_MessageEncryptFinal"));
    let mut ciphertext_and_tag = sealed.map_err(at("C_EncryptMessage"))?;
    ended?;
    ciphertext_and_tag.extend(tag);
    Ok(Ciphertext { iv, ciphertext_and_tag })
}

fn makes_nonce(context: &Context) -> bool {
    match &context.derivation {
        ContextDerivation::AesEcbEncryptData { nonce, .. } => nonce.is_some(),
        ContextDerivation::HkdfSha256 { makes_nonce, .. } => *makes_nonce,
    }
}

/// `None`: the tag does not fit, as far as the token's code can be believed.
pub(super) fn decrypt(
    session: &Session,
    key: ObjectHandle,
    key_type: KeyType,
    item: &Sealed,
) -> Attempt<Option<Vec<u8>>> {
    let keys = Keys::of(session, key, item.context.as_ref())?;
    let (mut iv, sealed) = (item.ciphertext.iv, &item.ciphertext.ciphertext_and_tag);
    let opened = if works(key_type, item.context.as_ref()) == KeyType::ChaCha20 {
        ffi::with_chacha20_poly1305(&iv, &item.aad, |mechanism| session.decrypt(mechanism, keys.cipher, sealed))
    } else {
        let params = GcmParams::new(&mut iv, &item.aad, 128.into()).map_err(at("C_DecryptInit"))?;
        session.decrypt(&Mechanism::AesGcm(params), keys.cipher, sealed)
    };
    match opened {
        Ok(plaintext) => Ok(Some(plaintext)),
        Err(error) if is_of_the_data(&error) => Ok(None),
        Err(error) => Err(Failure::Token("C_Decrypt", error)),
    }
}

/// The functions by which keys can be derived on this token that encrypt: its mechanism list does not tell.
pub(super) fn derivation(session: &Session) -> Vec<ContextKdf> {
    let derives = |kdf: &ContextKdf| {
        let (base, derivation) = match kdf {
            ContextKdf::AesEcbEncryptData => {
                let derivation = ContextDerivation::AesEcbEncryptData { cipher: [1; 32], nonce: Some([2; 32]) };
                (KeyType::Aes256, derivation)
            }
            ContextKdf::HkdfSha256 => {
                let derivation = ContextDerivation::HkdfSha256 { info: b"probe".to_vec(), makes_nonce: true };
                (KeyType::Hmac(32), derivation)
            }
        };
        let Ok((base, _)) = generate(session, base, Purpose::Derivation, Residence::Session) else { return false };
        let context = Context { key_type: KeyType::Aes128, derivation };
        let item = Plaintext { data: b"probe".to_vec().into(), aad: Vec::new(), context: Some(context) };
        let derives = encrypt(session, base, KeyType::Aes128, &item, Ivs::Drawn).is_ok();
        session.destroy_object(base).is_ok() && derives
    };
    ContextKdf::ALL.into_iter().filter(derives).collect()
}

/// Whether the token makes IVs, no two the same, and what it made with them is opened with them. Only for a module that has the functions.
pub(super) fn makes_ivs(session: &Session) -> bool {
    let Ok((key, _)) = generate(session, KeyType::Aes256, Purpose::Encryption, Residence::Session) else {
        return false;
    };
    let item = Plaintext { data: b"probe".to_vec().into(), aad: b"aad".to_vec(), context: None };
    let made = || -> Attempt<bool> {
        let (first, second) = (message(session, key, &item)?, message(session, key, &item)?);
        let differ = first.iv != second.iv;
        let sealed = Sealed { ciphertext: first, aad: item.aad.clone(), context: None };
        let opened = decrypt(session, key, KeyType::Aes256, &sealed)?;
        Ok(differ && opened.as_deref() == Some(item.data.as_slice()))
    };
    let makes = matches!(made(), Ok(true));
    session.destroy_object(key).is_ok() && makes
}

/// Whether the token does ChaCha20-Poly1305, which its mechanism list, as cryptoki reads it, leaves out.
pub(super) fn chacha20(session: &Session) -> bool {
    let (key_type, data) = (KeyType::ChaCha20, b"probe");
    let Ok((key, _)) = generate(session, key_type, Purpose::Encryption, Residence::Session) else { return false };
    let done = || -> Attempt<bool> {
        let item = Plaintext { data: data.to_vec().into(), aad: b"aad".to_vec(), context: None };
        let ciphertext = encrypt(session, key, key_type, &item, Ivs::Drawn)?;
        let opened = decrypt(session, key, key_type, &Sealed { ciphertext, aad: item.aad, context: None })?;
        Ok(opened.as_deref() == Some(data))
    };
    let does = matches!(done(), Ok(true));
    session.destroy_object(key).is_ok() && does
}

//! One whole operation for one request.

use super::cache::{Cache, Held};
use super::probe::{self, Kwp};
use super::template::{self, Residence};
use super::token::{Token, away, clean};
use super::{gcm, mechanism, oaep, spki};
use crate::protocol::{KeyName, Reply, Request};
use crate::{Capabilities, Error, KeyType, ObjectAttributes, PublicKey, Purpose, Result, SignMechanism, TokenKey};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType as CkKeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Label of a key pair that is still being made: `clm-tmp-SECONDS-ID`.
const TEMPORARY: &str = "clm-tmp-";
/// A temporary object older than this was left by a crash.
const ORPHANED_AFTER: Duration = Duration::from_secs(600);

pub(super) struct Operations {
    pub(super) token: Token,
    cache: Cache,
    pub(super) capabilities: Capabilities,
    kwp: Kwp,
}

impl Operations {
    /// Probes the token; with `sweeps`, removes what crashes during generation left.
    pub(super) fn new(token: Token, sweeps: bool) -> Result<Self> {
        let session = token.session()?;
        let (capabilities, kwp) = probe::capabilities(&token, &session)?;
        if sweeps {
            sweep(&session)?;
        }
        let cache = Cache::new(token.session()?, token.settings.cached_keys_per_worker);
        Ok(Self { token, cache, capabilities, kwp })
    }

    pub(super) fn session(&self) -> Result<Session> {
        self.token.session()
    }

    /// Does what is asked. An error is the request's fault only if the token still answers a probe; else this worker has lost it.
    pub(super) fn perform(&self, session: &Session, request: Request) -> Reply {
        let key = named_key(&request);
        match self.attempt(session, &request) {
            Ok(reply) => reply,
            Err(Failure::NotLoaded(id)) => Reply::NotLoaded(id),
            // A token that is away shows no objects and no error: that is not the caller's mistake.
            Err(Failure::Error(error @ Error::NotFound(_))) => match self.alive(session) {
                Ok(()) => Reply::Failed(error),
                Err(reason) => Reply::Retry(reason),
            },
            Err(Failure::Error(error)) => Reply::Failed(error),
            Err(Failure::Token(function, error)) => {
                if let Err(reason) = self.alive(session) {
                    return Reply::Retry(reason);
                }
                // A stale handle is found again, a passing fault of the device tried again, both once. Codes lie, so any handle-like complaint counts.
                let stale = is_stale(&error, key) && self.forget(key).is_ok();
                if !(stale || is_device(&error) && repeatable(&request)) {
                    return Reply::Failed(refused(function, &error));
                }
                match self.attempt(session, &request) {
                    Ok(reply) => reply,
                    Err(Failure::NotLoaded(id)) => Reply::NotLoaded(id),
                    Err(Failure::Error(error)) => Reply::Failed(error),
                    Err(Failure::Token(function, error)) if is_device(&error) && takes_no_blob(&request) => {
                        Reply::Failed(away(function, &error))
                    }
                    Err(Failure::Token(function, error)) => Reply::Failed(refused(function, &error)),
                }
            }
        }
    }

    fn forget(&self, key: Option<KeyName>) -> Result<()> {
        match key {
            Some(KeyName::Cached(id)) => self.cache.forget_unwrapped(id),
            Some(KeyName::Token(key)) => self.cache.forget_token_key(key.id),
            None => Ok(()),
        }
    }

    /// "Session info ok" is no sign of health: the token must show itself and a key it is known to hold.
    fn alive(&self, session: &Session) -> std::result::Result<(), String> {
        self.token.pkcs11.get_token_info(self.token.slot).map_err(|error| format!("C_GetTokenInfo: {error}"))?;
        session.get_session_info().map_err(|error| format!("C_GetSessionInfo: {error}"))?;
        session.generate_random_vec(8).map_err(|error| format!("C_GenerateRandom: {error}"))?;
        let known = self.cache.known_token_keys().map_err(|error| error.to_string())?;
        if known.is_empty() {
            return Ok(());
        }
        // Handles first: finding is linear in the token's objects, and any caller's mistake comes this way.
        let answers =
            |handle| session.get_attributes(handle, &[AttributeType::Class]).is_ok_and(|class| !class.is_empty());
        if known.iter().any(|(_, handle)| answers(*handle)) {
            return Ok(());
        }
        // Another process may have destroyed all that this one knew; a token that is away shows nothing at all.
        match session.iter_objects(&[Attribute::Token(true)]).map(|mut objects| objects.next()) {
            Ok(Some(Ok(_))) => {
                for (key, _) in known {
                    self.cache.forget_token_key(key.id).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
            Ok(None) => Err("the token shows none of its objects".into()),
            Ok(Some(Err(error))) | Err(error) => Err(format!("C_FindObjects: {error}")),
        }
    }

    fn attempt(&self, session: &Session, request: &Request) -> Attempt<Reply> {
        match request {
            Request::AesGcmDecrypt { key, items } => {
                let held = self.handle(session, *key)?;
                let opened =
                    items.iter().map(|item| gcm::decrypt(session, *held, item)).collect::<Attempt<Vec<_>>>()?;
                // Codes lie: a token that went away, or a key that did, may look like a tag that does not fit.
                if opened.contains(&None) {
                    if let Err(reason) = self.alive(session) {
                        return Ok(Reply::Retry(reason));
                    }
                    session.get_attributes(*held, &[AttributeType::Class]).map_err(at("C_GetAttributeValue"))?;
                }
                Ok(Reply::Opened(opened))
            }
            Request::AesGcmEncrypt { key, items } => {
                let key = self.handle(session, *key)?;
                let sealed = items.iter().map(|item| gcm::encrypt(session, *key, item)).collect::<Attempt<Vec<_>>>()?;
                Ok(Reply::Ciphertexts(sealed))
            }
            Request::Capabilities => Ok(Reply::Capabilities(Box::new(self.capabilities.clone()))),
            Request::DestroyTokenKey { id } => {
                for object in session.find_objects(&on_token(*id)).map_err(at("C_FindObjects"))? {
                    session.destroy_object(object).map_err(at("C_DestroyObject"))?;
                }
                self.cache.forget_token_key(*id)?;
                Ok(Reply::Done)
            }
            Request::Export(export) => self.export(session, export),
            Request::FindObjects { label_prefix } => Ok(Reply::Objects(find_objects(session, label_prefix)?)),
            Request::GenerateTokenKey { id, label, key_type, purpose } => {
                let public = self.generate_token_key(session, *id, label, *key_type, *purpose)?;
                Ok(Reply::Generated { blob: Vec::new(), public })
            }
            Request::GenerateWrappedKey { key_type, purpose, wrapped_by } => {
                let wrapping = self.handle(session, *wrapped_by)?;
                self.generate_wrapped_key(session, *key_type, *purpose, *wrapping)
            }
            Request::Hmac { key, hash, data } => {
                let key = self.handle(session, *key)?;
                let mechanism = mechanism::hmac(*hash)?;
                let sign = |item: &Vec<u8>| session.sign(&mechanism, *key, item).map_err(at("C_Sign"));
                Ok(Reply::List(data.iter().map(sign).collect::<Attempt<_>>()?))
            }
            Request::Import(import) => self.import(session, import),
            Request::Load { id, key_type, purpose, blob, wrapped_by } => {
                let wrapping = self.handle(session, *wrapped_by)?;
                let mut failure = None;
                let loaded = self.cache.load(*id, |owner| {
                    self.unwrap(owner, *key_type, *purpose, Residence::Session, blob, *wrapping).map_err(|failed| {
                        failure = Some(failed);
                        Error::Internal("unwrap".into())
                    })
                });
                match failure {
                    Some(failure) => Err(failure),
                    None => Ok(loaded.map(|()| Reply::Done)?),
                }
            }
            Request::PublicKey { key } => {
                let [token, id] = on_token(key.id);
                let public = session
                    .find_objects(&[token, id, Attribute::Class(ObjectClass::PUBLIC_KEY)])
                    .map_err(at("C_FindObjects"))?
                    .pop()
                    .ok_or_else(|| Error::NotFound(key.id.to_string()))?;
                Ok(Reply::PublicKey(spki::read(session, public, key.key_type)?))
            }
            Request::Random { bytes } => {
                Ok(Reply::Bytes(session.generate_random_vec(*bytes).map_err(at("C_GenerateRandom"))?))
            }
            Request::Rewrap { key_type, blob, wrapped_by, new } => {
                let (old, new) = (self.handle(session, *wrapped_by)?, self.handle(session, *new)?);
                let key = self.unwrap(session, *key_type, Purpose::Wrapping, Residence::Wrapping, blob, *old)?;
                let wrapped = self.wrap(session, *new, key);
                session.destroy_object(key).map_err(at("C_DestroyObject"))?;
                Ok(Reply::Bytes(wrapped?))
            }
            Request::RsaDecrypt { key, hash, ciphertext, unpadding } => {
                let key = self.handle(session, *key)?;
                Ok(Reply::Bytes(oaep::decrypt(session, *key, *hash, ciphertext, *unpadding)?))
            }
            Request::Sign { key, mechanism, data } => {
                let key = self.handle(session, *key)?;
                Ok(Reply::List(data.iter().map(|item| sign(session, *key, *mechanism, item)).collect::<Attempt<_>>()?))
            }
        }
    }

    /// The key, held as long as the caller keeps what this gives.
    pub(super) fn handle(&self, session: &Session, key: KeyName) -> Attempt<Held> {
        match key {
            KeyName::Cached(id) => self.cache.unwrapped(id)?.ok_or(Failure::NotLoaded(id)),
            KeyName::Token(key) => Ok(self.cache.token_key(key, || find_token_key(session, key))?),
        }
    }

    pub(super) fn unwrap(
        &self,
        session: &Session,
        key_type: KeyType,
        purpose: Purpose,
        residence: Residence<'_>,
        blob: &[u8],
        wrapping: ObjectHandle,
    ) -> Attempt<ObjectHandle> {
        let (class, ck_type) = template::class_and_type(key_type);
        let mut attributes = template::secret_half(purpose, residence);
        if class == ObjectClass::SECRET_KEY {
            attributes.extend(template::secret_key_verbs(purpose));
        }
        attributes.extend([Attribute::Class(class), Attribute::KeyType(ck_type)]);
        session.unwrap_key(&self.kwp.mechanism(), wrapping, blob, &attributes).map_err(at("C_UnwrapKey"))
    }

    pub(super) fn wrap(&self, session: &Session, wrapping: ObjectHandle, key: ObjectHandle) -> Attempt<Vec<u8>> {
        self.token.raw.wrap_key(session, &self.kwp.mechanism(), wrapping, key).map_err(at("C_WrapKey"))
    }

    fn generate_wrapped_key(
        &self,
        session: &Session,
        key_type: KeyType,
        purpose: Purpose,
        wrapping: ObjectHandle,
    ) -> Attempt<Reply> {
        if key_type == KeyType::Ed25519 && !self.capabilities.wraps_ed25519 {
            return Err(
                Error::Unsupported("wrapping Ed25519 keys; keep them on the token (storage = token)".into()).into()
            );
        }
        let (key, public) = generate(session, key_type, purpose, Residence::Wrapping)?;
        let result = self.wrap(session, wrapping, key).and_then(|blob| {
            let public = public.map(|handle| spki::read(session, handle, key_type)).transpose()?;
            Ok(Reply::Generated { blob, public })
        });
        for object in [Some(key), public].into_iter().flatten() {
            session.destroy_object(object).map_err(at("C_DestroyObject"))?;
        }
        result
    }

    /// Two-phase: under a temporary label, tried, and only then under its own, because a crash in the middle leaves half pairs
    /// and keys that cannot sign.
    fn generate_token_key(
        &self,
        session: &Session,
        id: Uuid,
        label: &str,
        key_type: KeyType,
        purpose: Purpose,
    ) -> Attempt<Option<PublicKey>> {
        let existing = session.find_objects(&on_token(id)).map_err(at("C_FindObjects"))?;
        if !existing.is_empty() {
            return Err(
                Error::Refused { function: "C_GenerateKey".into(), reason: format!("CKA_ID {id} is taken") }.into()
            );
        }
        let temporary = format!("{TEMPORARY}{}-{id}", now_seconds());
        let (key, public) = generate(session, key_type, purpose, Residence::Token { id, label: &temporary })?;
        let made = (|| {
            match purpose {
                Purpose::Signing | Purpose::SigningAndEncryption => {
                    let (mechanism, data) = trial(key_type);
                    sign(session, key, mechanism, data)?;
                }
                Purpose::Mac => {
                    let mechanism =
                        if matches!(key_type, KeyType::Hmac(_)) { Mechanism::Sha256Hmac } else { Mechanism::AesCMac };
                    session.sign(&mechanism, key, b"probe").map_err(at("C_Sign"))?;
                }
                Purpose::Derivation | Purpose::Encryption | Purpose::Transport | Purpose::Wrapping => {}
            }
            let public_key = public.map(|handle| spki::read(session, handle, key_type)).transpose()?;
            for object in [Some(key), public].into_iter().flatten() {
                session
                    .update_attributes(object, &[Attribute::Label(label.into())])
                    .map_err(at("C_SetAttributeValue"))?;
            }
            Ok(public_key)
        })();
        if made.is_err() {
            for object in [Some(key), public].into_iter().flatten() {
                if let Err(error) = session.destroy_object(object) {
                    tracing::warn!(%id, %error, "a half-made key stays on the token until the next sweep");
                }
            }
        }
        made
    }
}

pub(super) type Attempt<T> = std::result::Result<T, Failure>;

/// Why an attempt ended.
pub(super) enum Failure {
    Error(Error),
    NotLoaded(Uuid),
    Token(&'static str, CryptokiError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

pub(super) fn at(function: &'static str) -> impl Fn(CryptokiError) -> Failure {
    move |error| Failure::Token(function, error)
}

fn refused(function: &str, error: &CryptokiError) -> Error {
    match error {
        CryptokiError::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _) => {
            Error::Unsupported(format!("{function}: {error}"))
        }
        _ => Error::Refused { function: function.into(), reason: error.to_string() },
    }
}

fn is_stale(error: &CryptokiError, key: Option<KeyName>) -> bool {
    match error {
        CryptokiError::Pkcs11(RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid, _) => true,
        // Some tokens say this of a stale handle; SoftHSM says it of a bad GCM tag. Only a token object is worth finding again for it.
        CryptokiError::Pkcs11(RvError::GeneralError, _) => matches!(key, Some(KeyName::Token(_))),
        _ => false,
    }
}

/// The token's complaint about itself, as far as codes can be believed.
fn is_device(error: &CryptokiError) -> bool {
    use RvError::{DeviceError, DeviceMemory, DeviceRemoved, FunctionFailed, HostMemory, TokenNotPresent};
    let CryptokiError::Pkcs11(error, _) = error else { return false };
    matches!(error, DeviceError | DeviceMemory | DeviceRemoved | FunctionFailed | HostMemory | TokenNotPresent)
}

/// Doing it twice leaves nothing behind on the token.
fn repeatable(request: &Request) -> bool {
    !matches!(request, Request::GenerateTokenKey { .. } | Request::DestroyTokenKey { .. })
}

/// Nothing in it could have moved the token to call a caller's mistake its own (kryoptic says CKR_DEVICE_ERROR of a bad blob).
fn takes_no_blob(request: &Request) -> bool {
    !matches!(
        request,
        Request::AesGcmDecrypt { .. }
            | Request::Export(_)
            | Request::Import(_)
            | Request::Load { .. }
            | Request::Rewrap { .. }
            | Request::RsaDecrypt { .. }
    )
}

fn named_key(request: &Request) -> Option<KeyName> {
    match request {
        Request::AesGcmDecrypt { key, .. }
        | Request::AesGcmEncrypt { key, .. }
        | Request::Hmac { key, .. }
        | Request::RsaDecrypt { key, .. }
        | Request::Sign { key, .. } => Some(*key),
        Request::GenerateWrappedKey { wrapped_by, .. } | Request::Load { wrapped_by, .. } => Some(*wrapped_by),
        _ => None,
    }
}

fn on_token(id: Uuid) -> [Attribute; 2] {
    [Attribute::Token(true), Attribute::Id(id.as_bytes().to_vec())]
}

fn find_token_key(session: &Session, key: TokenKey) -> Result<ObjectHandle> {
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

pub(super) fn generate(
    session: &Session,
    key_type: KeyType,
    purpose: Purpose,
    residence: Residence<'_>,
) -> Attempt<(ObjectHandle, Option<ObjectHandle>)> {
    let mut attributes = template::secret_half(purpose, residence);
    let mechanism = template::generation(key_type);
    if let Some(length) = template::secret_length(key_type) {
        let length = cryptoki_sys::CK_ULONG::try_from(length).map_err(|error| Error::Internal(error.to_string()))?;
        attributes.extend(template::secret_key_verbs(purpose));
        attributes.push(Attribute::ValueLen(length.into()));
        Ok((session.generate_key(&mechanism, &attributes).map_err(at("C_GenerateKey"))?, None))
    } else {
        let public = template::public_half(key_type, residence)?;
        let (public, private) =
            session.generate_key_pair(&mechanism, &public, &attributes).map_err(at("C_GenerateKeyPair"))?;
        Ok((private, Some(public)))
    }
}

/// A signature that proves a new key works.
fn trial(key_type: KeyType) -> (SignMechanism, &'static [u8]) {
    match key_type {
        KeyType::Ed25519 => (SignMechanism::Ed25519, b"probe"),
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
        SignMechanism::RsaPkcs1(Some(hash)) => {
            session.sign(&Mechanism::RsaPkcs, key, &mechanism::digest_info(hash, data)?)
        }
        SignMechanism::RsaPkcs1(None) => session.sign(&Mechanism::RsaPkcs, key, data),
        SignMechanism::RsaPss { hash, salt_length } => session.sign(&mechanism::pss(hash, salt_length)?, key, data),
    }
    .map_err(at("C_Sign"))
}

fn find_objects(session: &Session, label_prefix: &str) -> Attempt<Vec<ObjectAttributes>> {
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
    let mut objects = Vec::new();
    for handle in session.find_objects(&[Attribute::Token(true)]).map_err(at("C_FindObjects"))? {
        let label =
            match session.get_attributes(handle, &[AttributeType::Label]).map_err(at("C_GetAttributeValue"))?.pop() {
                Some(Attribute::Label(label)) => clean(&String::from_utf8_lossy(&label)),
                _ => String::new(),
            };
        if label.starts_with(label_prefix) {
            let attributes = session.get_attributes(handle, &wanted).map_err(at("C_GetAttributeValue"))?;
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
        _ => [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::Ed25519]
            .into_iter()
            .find(|candidate| template::curve_oid(*candidate) == Some(curve)),
    }
}

/// Destroys pairs whose making was cut off long ago. Young ones may be another replica's work in progress.
fn sweep(session: &Session) -> Result<()> {
    let now = now_seconds();
    let objects = session.find_objects(&[Attribute::Token(true)]).map_err(|error| away("C_FindObjects", &error))?;
    for object in objects {
        let Ok(attributes) = session.get_attributes(object, &[AttributeType::Label]) else { continue };
        let Some(Attribute::Label(label)) = attributes.first() else { continue };
        let label = String::from_utf8_lossy(label);
        let Some(since) = label.strip_prefix(TEMPORARY).and_then(|rest| rest.split('-').next()?.parse::<u64>().ok())
        else {
            continue;
        };
        if now.saturating_sub(since) > ORPHANED_AFTER.as_secs() {
            match session.destroy_object(object) {
                Ok(()) => tracing::info!(%label, "removed a key whose making was cut off"),
                Err(error) => tracing::warn!(%label, %error, "a key whose making was cut off could not be removed"),
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a temporary label is wall-clock time; no caller has it at hand in a worker"
)]
fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

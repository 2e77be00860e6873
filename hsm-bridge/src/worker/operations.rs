//! One whole operation for one request.

use super::cache::{Cache, Held};
use super::failure::{Attempt, Failure, at, is_device, is_stale, named_key, refused, repeatable, takes_no_blob};
use super::gcm::Ivs;
use super::objects::{find_objects, find_token_key, on_token};
use super::probe::{self, Kwp};
use super::sign::sign;
use super::template::{self, Residence};
use super::token::{Token, away};
use super::{gcm, generation, mechanism, oaep, spki};
use crate::protocol::{KeyName, Reply, Request, Strings};
use crate::{Capabilities, Error, KeyType, Purpose, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

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
            generation::sweep(&session)?;
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
            Request::AeadDecrypt { key, key_type, items } => {
                let held = self.handle(session, *key)?;
                let decrypt = |item| gcm::decrypt(session, *held, *key_type, item);
                let opened = items.iter().map(decrypt).collect::<Attempt<Vec<_>>>()?;
                self.unless_lost(session, *held, opened.contains(&None), Reply::Opened(opened))
            }
            Request::AeadEncrypt { key, key_type, items } => {
                let key = self.handle(session, *key)?;
                let ivs = if self.capabilities.makes_ivs { Ivs::Made } else { Ivs::Drawn };
                let encrypt = |item| gcm::encrypt(session, *key, *key_type, item, ivs);
                let sealed = items.iter().map(encrypt).collect::<Attempt<Vec<_>>>()?;
                Ok(Reply::Ciphertexts(sealed))
            }
            Request::Agree { key, peer, kdf, info, wrapped_by } => {
                let (key, wrapping) = (self.handle(session, *key)?, self.handle(session, *wrapped_by)?);
                Ok(Reply::Bytes(self.agree(session, *key, peer, *kdf, info, *wrapping)?))
            }
            Request::Capabilities => Ok(Reply::Capabilities(Box::new(self.capabilities.clone()))),
            Request::Decapsulate { key, ciphertext, wrapped_by } => {
                let (key, wrapping) = (self.handle(session, *key)?, self.handle(session, *wrapped_by)?);
                Ok(Reply::Bytes(self.decapsulate(session, *key, ciphertext, *wrapping)?))
            }
            Request::Cmac { key, data } => {
                let key = self.handle(session, *key)?;
                let sign = |item: &Vec<u8>| session.sign(&Mechanism::AesCMac, *key, item).map_err(at("C_Sign"));
                Ok(Reply::List(Strings(data.0.iter().map(sign).collect::<Attempt<_>>()?)))
            }
            Request::DestroyTokenKey { id } => {
                for object in session.find_objects(&on_token(*id)).map_err(at("C_FindObjects"))? {
                    session.destroy_object(object).map_err(at("C_DestroyObject"))?;
                }
                self.cache.forget_token_key(*id)?;
                Ok(Reply::Done)
            }
            Request::Encapsulate { public, key_type, wrapped_by } => {
                let wrapping = self.handle(session, *wrapped_by)?;
                Ok(Reply::Encapsulated(self.encapsulate(session, *key_type, public, *wrapping)?))
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
            Request::GenerateWrappedKeys { key_type, purpose, wrapped_by, count } => {
                let wrapping = self.handle(session, *wrapped_by)?;
                let made = (0..*count).map(|_| self.generate_wrapped_secret(session, *key_type, *purpose, *wrapping));
                Ok(Reply::List(Strings(made.collect::<Attempt<_>>()?)))
            }
            Request::Hmac { key, hash, data } => {
                let key = self.handle(session, *key)?;
                let offers = |kind| self.token.pkcs11.get_mechanism_info(self.token.slot, kind).is_ok();
                let mechanism = mechanism::hmac(*hash, offers)?;
                let sign = |item: &Vec<u8>| session.sign(&mechanism, *key, item).map_err(at("C_Sign"));
                Ok(Reply::List(Strings(data.0.iter().map(sign).collect::<Attempt<_>>()?)))
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
            Request::RsaDecrypt { key, hash, items, unpadding } => {
                let held = self.handle(session, *key)?;
                let decrypt = |item: &Vec<u8>| oaep::decrypt(session, *held, *hash, item, *unpadding);
                let decrypted = items.iter().map(decrypt).collect::<Attempt<Vec<_>>>()?;
                let doubtful = decrypted.iter().any(|decrypted| decrypted.plaintext.is_none());
                self.unless_lost(session, *held, doubtful, Reply::RsaDecrypted(decrypted))
            }
            Request::Sign { key, mechanism, data } => {
                let key = self.handle(session, *key)?;
                Ok(Reply::List(Strings(
                    data.0.iter().map(|item| sign(session, *key, *mechanism, item)).collect::<Attempt<_>>()?,
                )))
            }
        }
    }

    /// Codes lie: a token that went away, or a key that did, may look like data that does not fit.
    fn unless_lost(&self, session: &Session, key: ObjectHandle, doubtful: bool, reply: Reply) -> Attempt<Reply> {
        if doubtful {
            if let Err(reason) = self.alive(session) {
                return Ok(Reply::Retry(reason));
            }
            session.get_attributes(key, &[AttributeType::Class]).map_err(at("C_GetAttributeValue"))?;
        }
        Ok(reply)
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
}

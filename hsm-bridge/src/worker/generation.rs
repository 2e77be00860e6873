//! Making keys, and removing what was left of those whose making was cut off.

use super::failure::{Attempt, at};
use super::objects::on_token;
use super::operations::Operations;
use super::sign::{sign, trial};
use super::spki;
use super::template::{self, Residence};
use super::token::away;
use crate::protocol::Reply;
use crate::{Error, KeyType, PublicKey, Purpose, Result};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Label of a key pair that is still being made: `clm-tmp-SECONDS-ID`.
const TEMPORARY: &str = "clm-tmp-";
/// A temporary object older than this was left by a crash.
const ORPHANED_AFTER: Duration = Duration::from_secs(600);

impl Operations {
    pub(super) fn generate_wrapped_key(
        &self,
        session: &Session,
        key_type: KeyType,
        purpose: Purpose,
        wrapping: ObjectHandle,
    ) -> Attempt<Reply> {
        if !self.capabilities.wraps(key_type) {
            let what = format!("wrapping {key_type:?} keys; keep them on the token (storage = token)");
            return Err(Error::Unsupported(what).into());
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

    /// The blob of a key that has no public half.
    pub(super) fn generate_wrapped_secret(
        &self,
        session: &Session,
        key_type: KeyType,
        purpose: Purpose,
        wrapping: ObjectHandle,
    ) -> Attempt<Vec<u8>> {
        match self.generate_wrapped_key(session, key_type, purpose, wrapping)? {
            Reply::Generated { blob, public: None } => Ok(blob),
            _ => Err(Error::Internal(format!("{key_type:?} keys are made one by one")).into()),
        }
    }

    /// Two-phase: under a temporary label, tried, and only then under its own, because a crash in the middle leaves half pairs
    /// and keys that cannot sign.
    pub(super) fn generate_token_key(
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
                Purpose::Agreement
                | Purpose::Decapsulation
                | Purpose::Derivation
                | Purpose::Encryption
                | Purpose::Transport
                | Purpose::Wrapping => {}
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
        let public = template::public_half(key_type, purpose, residence)?;
        let (public, private) =
            session.generate_key_pair(&mechanism, &public, &attributes).map_err(at("C_GenerateKeyPair"))?;
        Ok((private, Some(public)))
    }
}

/// Destroys pairs whose making was cut off long ago. Young ones may be another replica's work in progress.
pub(super) fn sweep(session: &Session) -> Result<()> {
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

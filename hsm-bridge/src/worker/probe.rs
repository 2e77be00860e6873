//! What this token can really do: its mechanism list says, a trial decides.

use super::agree;
use super::failure::Failure;
use super::ffi::{self, RawModule};
use super::gcm;
use super::generation::generate;
use super::sign;
use super::template::{self, Residence};
use super::token::{Token, away, clean};
use crate::{Capabilities, Error, KeyType, Purpose, Result};
use cryptoki::context::Function;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::Attribute;
use cryptoki::session::Session;

/// Which number this token gives AES-KWP (RFC 5649).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kwp {
    /// CKM_AES_KEY_WRAP_PAD, 0x210A.
    KeyWrapPad,
    /// CKM_AES_KEY_WRAP_KWP, 0x210B.
    KeyWrapKwp,
}

impl Kwp {
    pub(super) fn mechanism(self) -> Mechanism<'static> {
        match self {
            Self::KeyWrapPad => Mechanism::AesKeyWrapPad,
            Self::KeyWrapKwp => ffi::kwp(),
        }
    }
}

/// Lists mechanisms and tries what lists do not tell.
pub(super) fn capabilities(token: &Token, session: &Session) -> Result<(Capabilities, Kwp)> {
    let list = token.pkcs11.get_mechanism_list(token.slot).map_err(|error| away("C_GetMechanismList", &error))?;
    // The list leaves out what cryptoki has no name for.
    let offers = |kind| token.pkcs11.get_mechanism_info(token.slot, kind).is_ok();
    let has_kwp = offers(ffi::kwp_type());
    let kwp = if list.contains(&MechanismType::AES_KEY_WRAP_PAD) {
        Kwp::KeyWrapPad
    } else if has_kwp {
        Kwp::KeyWrapKwp
    } else {
        return Err(Error::Configuration(
            "this token offers neither CKM_AES_KEY_WRAP_PAD nor CKM_AES_KEY_WRAP_KWP: wrapped keys are impossible on it".into(),
        ));
    };
    let makes = |key_type, kwp| trial(&token.raw, session, key_type, kwp).is_ok();
    let ed25519 = list.contains(&MechanismType::EDDSA) && makes(KeyType::Ed25519, None);
    let agreement = agree::functions(session, KeyType::EcP256);
    let x25519 = list.contains(&MechanismType::ECC_MONTGOMERY_KEY_PAIR_GEN)
        && agree::functions(session, KeyType::X25519).len() == agreement.len();
    let wraps = |mechanism, key_type| list.contains(&mechanism) && makes(key_type, Some(kwp));
    let has_chacha20 = offers(ffi::numbered(cryptoki_sys::CKM_CHACHA20_POLY1305)) && gcm::chacha20(session);
    let makes_ivs = token.pkcs11.is_fn_supported(Function::MessageEncryptInit) && gcm::makes_ivs(session);
    let info = &token.info;
    let firmware = info.firmware_version();
    let capabilities = Capabilities {
        manufacturer: clean(info.manufacturer_id()),
        model: clean(info.model()),
        serial: clean(info.serial_number()),
        label: clean(info.label()),
        firmware: format!("{}.{}", firmware.major(), firmware.minor()),
        mechanisms: list
            .iter()
            .map(ToString::to_string)
            .chain(has_kwp.then(|| "CKM_AES_KEY_WRAP_KWP".to_owned()))
            .chain(has_chacha20.then(|| "CKM_CHACHA20_POLY1305".to_owned()))
            .collect(),
        wraps_ed25519: ed25519 && makes(KeyType::Ed25519, Some(kwp)),
        wraps_ml_dsa: wraps(MechanismType::ML_DSA, KeyType::MlDsa44),
        wraps_ml_kem: wraps(MechanismType::ML_KEM, KeyType::MlKem512),
        ed25519,
        derivation: gcm::derivation(session),
        makes_ivs,
        agreement,
        x25519,
        wraps_x25519: x25519 && makes(KeyType::X25519, Some(kwp)),
        kwp_is_key_wrap_pad: kwp == Kwp::KeyWrapPad,
    };
    Ok((capabilities, kwp))
}

/// Makes a session key and signs with it, if it does that; with `kwp` also wraps it and unwraps it again.
fn trial(raw: &RawModule, session: &Session, key_type: KeyType, kwp: Option<Kwp>) -> std::result::Result<(), Failure> {
    let purpose = match key_type {
        KeyType::X25519 => Purpose::Agreement,
        _ if key_type.is_ml_kem() => Purpose::Decapsulation,
        _ => Purpose::Signing,
    };
    let (key, public) = generate(session, key_type, purpose, Residence::Wrapping)?;
    let mut made = vec![key];
    made.extend(public);
    let (mechanism, data) = sign::trial(key_type);
    let signed = if purpose == Purpose::Signing { sign::sign(session, key, mechanism, data).map(drop) } else { Ok(()) };
    let result = signed.and_then(|()| {
        let Some(kwp) = kwp else { return Ok(()) };
        let (wrapping, _) = generate(session, KeyType::Aes256, Purpose::Wrapping, Residence::Session)?;
        made.push(wrapping);
        let failed = |error| Failure::Token("C_WrapKey", error);
        let blob = raw.wrap_key(session, &kwp.mechanism(), wrapping, key).map_err(failed)?;
        let (class, ck_type) = template::class_and_type(key_type);
        let mut attributes = template::secret_half(purpose, Residence::Session);
        attributes.extend([Attribute::Class(class), Attribute::KeyType(ck_type)]);
        made.push(session.unwrap_key(&kwp.mechanism(), wrapping, &blob, &attributes).map_err(failed)?);
        Ok(())
    });
    for object in made {
        session.destroy_object(object).map_err(|error| Failure::Token("C_DestroyObject", error))?;
    }
    result
}

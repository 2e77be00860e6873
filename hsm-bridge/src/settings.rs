//! What the operator says about the token, and what the token says of itself.

use crate::{AgreementKdf, ContextKdf, KeyType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The `[hsm]` section of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The vendor's PKCS#11 module.
    pub module: PathBuf,
    /// Which token: `label`, `serial:…`, or a `pkcs11:` URI (RFC 7512). Never a slot number.
    pub token: String,
    /// Where the user PIN is read from (by the supervisor, not by the server).
    pub pin: PinSource,
    /// Worker processes for ordinary requests.
    pub workers: u16,
    /// Threads, each with its own session, in a worker: 1 for SoftHSM (global lock), more for a network HSM.
    pub threads_per_worker: u16,
    /// Worker processes for slow requests (RSA generation): they never queue in front of signing.
    pub slow_workers: u16,
    /// Unwrapped keys kept by a worker.
    pub cached_keys_per_worker: u32,
    /// Requests waiting for one worker before `Busy`.
    pub queue_limit: u32,
    /// A request's time, milliseconds, waiting included; slow requests have twice as long.
    pub deadline_ms: u64,
    /// A worker silent for so long while it has requests is killed and replaced, milliseconds; slow workers get twelve times as long.
    pub watchdog_ms: u64,
    /// A worker that has not logged in after so long is ended, and another started, milliseconds.
    pub start_ms: u64,
    /// Environment variables that the vendor's library reads (`SOFTHSM2_CONF`, …), set for workers only.
    pub environment: BTreeMap<String, String>,
    /// Executable to start the supervisor and workers from; default: this process's own.
    #[serde(skip)]
    pub executable: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token: String::new(),
            pin: PinSource::default(),
            workers: 2,
            threads_per_worker: 1,
            slow_workers: 1,
            cached_keys_per_worker: 10_000,
            queue_limit: 4096,
            deadline_ms: 10_000,
            watchdog_ms: 5_000,
            start_ms: 60_000,
            environment: BTreeMap::new(),
            executable: None,
        }
    }
}

/// Where the PIN comes from. Never argv.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinSource {
    /// `CREDENTIALS_DIRECTORY/NAME` (systemd).
    Credential(String),
    /// Environment variable.
    Environment(String),
    /// First line of a file.
    File(PathBuf),
    /// Given by [`crate::Bridge::unlock`] (Shamir seal).
    #[default]
    Unlock,
}

/// A token, by what identifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenSelector {
    /// CK_TOKEN_INFO label, trailing blanks cut.
    Label(String),
    /// CK_TOKEN_INFO serial number.
    Serial(String),
    /// All parts of a `pkcs11:` URI that name a token (RFC 7512).
    Uri {
        /// `token=`
        label: Option<String>,
        /// `serial=`
        serial: Option<String>,
        /// `manufacturer=`
        manufacturer: Option<String>,
        /// `model=`
        model: Option<String>,
    },
}

/// A token as it shows itself without login.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are CK_TOKEN_INFO's")]
pub struct TokenDescription {
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
    pub user_pin_initialized: bool,
    /// CKF_USER_PIN_FINAL_TRY: one more wrong PIN locks it.
    pub user_pin_final_try: bool,
    pub user_pin_locked: bool,
}

/// What the token was found able to do, by its mechanism list and by trying.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// Manufacturer, as the token says.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Label.
    pub label: String,
    /// Firmware version.
    pub firmware: String,
    /// Names of all mechanisms (`CKM_…`).
    pub mechanisms: Vec<String>,
    /// Ed25519 keys can be wrapped and unwrapped with AES-KWP (SoftHSM cannot).
    pub wraps_ed25519: bool,
    /// X25519 keys can be wrapped and unwrapped with AES-KWP.
    pub wraps_x25519: bool,
    /// ML-DSA keys can be wrapped and unwrapped with AES-KWP (kryoptic cannot).
    pub wraps_ml_dsa: bool,
    /// ML-KEM keys can be wrapped and unwrapped with AES-KWP.
    pub wraps_ml_kem: bool,
    /// Ed25519 signing works.
    pub ed25519: bool,
    /// X25519 keys agree.
    pub x25519: bool,
    /// How keys of contexts can be derived that encrypt, the best first; none: the token derives none.
    pub derivation: Vec<ContextKdf>,
    /// The token makes the IVs of AES-GCM itself while it encrypts (CKG_GENERATE_RANDOM), rather than giving them from its generator before.
    pub makes_ivs: bool,
    /// How keys are made of secrets shared by ECDH; none: the token does not agree.
    pub agreement: Vec<AgreementKdf>,
    /// AES-KWP by 0x210A (CKM_AES_KEY_WRAP_PAD) rather than 0x210B (CKM_AES_KEY_WRAP_KWP).
    pub kwp_is_key_wrap_pad: bool,
}

impl Capabilities {
    /// Whether a mechanism is offered, by its name (`CKM_…`).
    pub fn offers(&self, mechanism: &str) -> bool {
        self.mechanisms.iter().any(|offered| offered == mechanism)
    }

    /// Whether keys of that type can leave the token wrapped, and come back.
    pub fn wraps(&self, key_type: KeyType) -> bool {
        match key_type {
            KeyType::Ed25519 => self.wraps_ed25519,
            KeyType::X25519 => self.wraps_x25519,
            key_type if key_type.is_ml_dsa() => self.wraps_ml_dsa,
            key_type if key_type.is_ml_kem() => self.wraps_ml_kem,
            _ => true,
        }
    }
}

impl TokenSelector {
    /// Whether this is the token that is meant.
    pub fn matches(&self, token: &TokenDescription) -> bool {
        let is = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|wanted| wanted == got);
        match self {
            Self::Label(label) => *label == token.label,
            Self::Serial(serial) => *serial == token.serial,
            Self::Uri { label, serial, manufacturer, model } => {
                is(label, &token.label)
                    && is(serial, &token.serial)
                    && is(manufacturer, &token.manufacturer)
                    && is(model, &token.model)
            }
        }
    }
}

impl std::str::FromStr for TokenSelector {
    type Err = crate::Error;

    /// Reads `serial:…`, a `pkcs11:` URI (RFC 7512, its token attributes), or else a label.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(crate::Error::Configuration(
                "hsm.token is empty: name the token by its label, serial:… or a pkcs11: URI".into(),
            ));
        }
        if let Some(serial) = text.strip_prefix("serial:") {
            return Ok(Self::Serial(serial.to_owned()));
        }
        let Some(path) = text.strip_prefix("pkcs11:") else { return Ok(Self::Label(text.to_owned())) };
        let (mut label, mut serial, mut manufacturer, mut model) = (None, None, None, None);
        for attribute in path.split('?').next().unwrap_or_default().split(';').filter(|part| !part.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or_else(|| {
                crate::Error::Configuration(format!("hsm.token: `{attribute}` in the pkcs11: URI is no name=value"))
            })?;
            let value = percent_decode(value).ok_or_else(|| {
                crate::Error::Configuration(format!(
                    "hsm.token: `{value}` in the pkcs11: URI is not percent-encoded text"
                ))
            })?;
            match name {
                "token" => label = Some(value),
                "serial" => serial = Some(value),
                "manufacturer" => manufacturer = Some(value),
                "model" => model = Some(value),
                "slot-id" => {
                    return Err(crate::Error::Configuration(
                        "hsm.token: slot numbers are not stable; name the token by token= or serial=".into(),
                    ));
                }
                _ => {}
            }
        }
        if label.is_none() && serial.is_none() && manufacturer.is_none() && model.is_none() {
            return Err(crate::Error::Configuration(
                "hsm.token: the pkcs11: URI names no token (token=, serial=, manufacturer=, model=)".into(),
            ));
        }
        Ok(Self::Uri { label, serial, manufacturer, model })
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_token_by_its_decoded_parts() {
        let selector: TokenSelector =
            "pkcs11:token=My%20Token;serial=12ab;object=ignored?pin-source=x".parse().expect("valid");
        let expected = TokenSelector::Uri {
            label: Some("My Token".into()),
            serial: Some("12ab".into()),
            manufacturer: None,
            model: None,
        };
        assert_eq!(selector, expected);
    }

    #[test]
    fn a_slot_number_is_refused_with_what_to_do() {
        let error = "pkcs11:slot-id=3".parse::<TokenSelector>().expect_err("must be refused");
        assert!(error.to_string().contains("name the token by"), "{error}");
    }

    #[test]
    fn other_text_is_a_label() {
        assert_eq!("clm dev".parse::<TokenSelector>().expect("valid"), TokenSelector::Label("clm dev".into()));
        assert!("".parse::<TokenSelector>().is_err());
        assert!("pkcs11:token=%zz".parse::<TokenSelector>().is_err());
    }
}

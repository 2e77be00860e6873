//! The token: found by what identifies it, logged in once.

use super::ffi::RawModule;
use crate::protocol::Pin;
use crate::{Error, Result, Settings, TokenDescription, TokenSelector};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A logged-in token.
pub(super) struct Token {
    pub(super) pkcs11: Pkcs11,
    /// The same module, for what cryptoki does wrong.
    pub(super) raw: RawModule,
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
    pub(super) settings: Settings,
    /// Holds the login: closing the last session of a token logs out, and login is per application (PKCS#11 v2.40, 5.6).
    anchor: Mutex<Session>,
}

impl Token {
    /// Loads the module, finds the token and logs in. A wrong PIN is said at once and never tried again.
    pub(super) fn open(settings: &Settings, pin: &Pin) -> Result<Self> {
        let selector: TokenSelector = settings.token.parse()?;
        let pkcs11 = load(settings)?;
        let raw = RawModule::load(&settings.module).map_err(|error| away("C_GetFunctionList", &error))?;
        let (slot, info) = find(&pkcs11, &selector, settings)?;
        if !info.user_pin_initialized() {
            return Err(Error::Configuration(format!(
                "token `{}` has no user PIN yet: run `clm hsm init`",
                info.label().trim_end()
            )));
        }
        let anchor = pkcs11.open_rw_session(slot).map_err(|error| away("C_OpenSession", &error))?;
        log_in(&anchor, pin)?;
        Ok(Self { pkcs11, raw, slot, info, settings: settings.clone(), anchor: Mutex::new(anchor) })
    }

    /// Another session, logged in like all sessions of the application.
    pub(super) fn session(&self) -> Result<Session> {
        self.pkcs11.open_rw_session(self.slot).map_err(|error| away("C_OpenSession", &error))
    }

    /// C_SetPIN of the user PIN.
    pub(super) fn set_pin(&self, old: &Pin, new: &Pin) -> Result<()> {
        let anchor = self.anchor.lock().map_err(|_| Error::Internal("poisoned anchor".into()))?;
        anchor.set_pin(&secret(old), &secret(new)).map_err(|error| {
            Error::Configuration(format!("this token's user PIN cannot be changed by its user (C_SetPIN): {error}"))
        })
    }
}

/// Loads and initialises the module.
pub(super) fn load(settings: &Settings) -> Result<Pkcs11> {
    if !settings.module.is_file() {
        return Err(Error::Configuration(format!(
            "hsm.module: no file {}; install the vendor's PKCS#11 module or correct the path",
            settings.module.display()
        )));
    }
    let pkcs11 = Pkcs11::new(&settings.module).map_err(|error| {
        Error::Configuration(format!("hsm.module: {} cannot be loaded: {error}", settings.module.display()))
    })?;
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(pkcs11),
        Err(error) => Err(away("C_Initialize", &error)),
    }
}

/// Looks for the token for up to two seconds: SoftHSM may not show it while another process starts.
fn find(pkcs11: &Pkcs11, selector: &TokenSelector, settings: &Settings) -> Result<(Slot, TokenInfo)> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let slots = pkcs11.get_slots_with_token().map_err(|error| away("C_GetSlotList", &error))?;
        let mut seen = Vec::new();
        for slot in slots {
            let Ok(info) = pkcs11.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            if selector.matches(&describe(&info)) {
                return Ok((slot, info));
            }
            seen.push(format!("`{}` (serial {})", clean(info.label()), clean(info.serial_number())));
        }
        if Instant::now() >= deadline {
            let seen = if seen.is_empty() { "no initialised token".to_owned() } else { seen.join(", ") };
            return Err(Error::Unavailable(format!(
                "token `{}` is not there; {} shows {seen}. Correct hsm.token, connect the token, or make one with `clm hsm init`",
                settings.token,
                settings.module.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn describe(info: &TokenInfo) -> TokenDescription {
    TokenDescription {
        label: clean(info.label()),
        serial: clean(info.serial_number()),
        manufacturer: clean(info.manufacturer_id()),
        model: clean(info.model()),
        user_pin_initialized: info.user_pin_initialized(),
        user_pin_final_try: info.user_pin_final_try(),
        user_pin_locked: info.user_pin_locked(),
    }
}

/// Some tokens pad with NULs instead of blanks.
pub(super) fn clean(text: &str) -> String {
    text.trim_end_matches(['\0', ' ']).to_owned()
}

fn log_in(session: &Session, pin: &Pin) -> Result<()> {
    match session.login(UserType::User, Some(&secret(pin))) {
        Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(CryptokiError::Pkcs11(RvError::PinLocked, _)) => Err(Error::Configuration(
            "the user PIN is locked (CKR_PIN_LOCKED): the security officer must set it anew".into(),
        )),
        Err(CryptokiError::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
            _,
        )) => Err(Error::Configuration(
            "the token refused the user PIN; it was tried once and will not be tried again: correct hsm.pin".into(),
        )),
        Err(error) => Err(away("C_Login", &error)),
    }
}

fn secret(pin: &Pin) -> SecretString {
    SecretString::from(pin.0.as_str())
}

/// The token or its module is away.
pub(super) fn away(function: &str, error: &CryptokiError) -> Error {
    Error::Unavailable(format!("{function}: {error}"))
}

/// C_InitToken in the first slot that has none, then C_InitPIN. Refuses a label that is taken.
pub(super) fn initialize(settings: &Settings, label: &str, so_pin: &Pin, pin: &Pin) -> Result<()> {
    if label.is_empty() || label.len() > 32 {
        return Err(Error::Configuration("a token label has 1 to 32 bytes (PKCS#11)".into()));
    }
    let pkcs11 = load(settings)?;
    let mut free = None;
    for slot in pkcs11.get_slots_with_token().map_err(|error| away("C_GetSlotList", &error))? {
        let Ok(info) = pkcs11.get_token_info(slot) else { continue };
        if info.token_initialized() && clean(info.label()) == label {
            return Err(Error::Configuration(format!(
                "a token `{label}` exists already: choose another label, or use it as it is"
            )));
        }
        if !info.token_initialized() {
            free = free.or(Some(slot));
        }
    }
    let slot = free.ok_or_else(|| {
        Error::Configuration(
            "no slot holds an uninitialised token: make a partition or slot with the vendor's tool first".into(),
        )
    })?;
    let failed = |step: &'static str| move |error| Error::Configuration(format!("{step}: {error}"));
    pkcs11.init_token(slot, &secret(so_pin), label).map_err(failed("C_InitToken"))?;
    // The slot's number may change when its token is initialised (SoftHSM derives it from the serial).
    let slot = pkcs11
        .get_slots_with_token()
        .map_err(|error| away("C_GetSlotList", &error))?
        .into_iter()
        .find(|slot| {
            pkcs11.get_token_info(*slot).is_ok_and(|info| info.token_initialized() && clean(info.label()) == label)
        })
        .ok_or_else(|| Error::Unavailable(format!("token `{label}` was initialised but does not show itself")))?;
    let session = pkcs11.open_rw_session(slot).map_err(|error| away("C_OpenSession", &error))?;
    session.login(UserType::So, Some(&secret(so_pin))).map_err(failed("C_Login (SO)"))?;
    session.init_pin(&secret(pin)).map_err(failed("C_InitPIN"))
}

/// The initialised tokens that the module shows.
pub(super) fn list(settings: &Settings) -> Result<Vec<TokenDescription>> {
    let pkcs11 = load(settings)?;
    let slots = pkcs11.get_slots_with_token().map_err(|error| away("C_GetSlotList", &error))?;
    let tokens = slots.into_iter().filter_map(|slot| pkcs11.get_token_info(slot).ok());
    Ok(tokens.filter(TokenInfo::token_initialized).map(|info| describe(&info)).collect())
}

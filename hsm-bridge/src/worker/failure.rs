//! Why a request failed, and whether trying again can help.

use crate::Error;
use crate::protocol::{KeyName, Request};
use cryptoki::error::{Error as CryptokiError, RvError};
use uuid::Uuid;

pub(super) type Attempt<T> = Result<T, Failure>;

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

pub(super) fn refused(function: &str, error: &CryptokiError) -> Error {
    match error {
        CryptokiError::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _) => {
            Error::Unsupported(format!("{function}: {error}"))
        }
        _ => Error::Refused { function: function.into(), reason: error.to_string() },
    }
}

pub(super) fn is_stale(error: &CryptokiError, key: Option<KeyName>) -> bool {
    match error {
        CryptokiError::Pkcs11(RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid, _) => true,
        // Some tokens say this of a stale handle; SoftHSM says it of a bad GCM tag. Only a token object is worth finding again for it.
        CryptokiError::Pkcs11(RvError::GeneralError, _) => matches!(key, Some(KeyName::Token(_))),
        _ => false,
    }
}

/// The token's complaint about itself, as far as codes can be believed.
pub(super) fn is_device(error: &CryptokiError) -> bool {
    use RvError::{DeviceError, DeviceMemory, DeviceRemoved, FunctionFailed, HostMemory, TokenNotPresent};
    let CryptokiError::Pkcs11(error, _) = error else { return false };
    matches!(error, DeviceError | DeviceMemory | DeviceRemoved | FunctionFailed | HostMemory | TokenNotPresent)
}

/// What tokens say of data that does not fit: a wrong tag, a wrong padding (SoftHSM: CKR_GENERAL_ERROR).
pub(super) fn is_of_the_data(error: &CryptokiError) -> bool {
    use RvError::{DataInvalid, DataLenRange, EncryptedDataInvalid, EncryptedDataLenRange, GeneralError};
    let CryptokiError::Pkcs11(error, _) = error else { return false };
    matches!(error, DataInvalid | DataLenRange | EncryptedDataInvalid | EncryptedDataLenRange | GeneralError)
}

/// Doing it twice leaves nothing behind on the token.
pub(super) fn repeatable(request: &Request) -> bool {
    !matches!(request, Request::GenerateTokenKey { .. } | Request::DestroyTokenKey { .. })
}

/// Nothing in it could have moved the token to call a caller's mistake its own (kryoptic says CKR_DEVICE_ERROR of a bad blob).
pub(super) fn takes_no_blob(request: &Request) -> bool {
    !matches!(
        request,
        Request::AeadDecrypt { .. }
            | Request::Agree { .. }
            | Request::Decapsulate { .. }
            | Request::Encapsulate { .. }
            | Request::Export(_)
            | Request::Import(_)
            | Request::Load { .. }
            | Request::Rewrap { .. }
            | Request::RsaDecrypt { .. }
    )
}

pub(super) fn named_key(request: &Request) -> Option<KeyName> {
    match request {
        Request::AeadDecrypt { key, .. }
        | Request::AeadEncrypt { key, .. }
        | Request::Agree { key, .. }
        | Request::Decapsulate { key, .. }
        | Request::Cmac { key, .. }
        | Request::Hmac { key, .. }
        | Request::RsaDecrypt { key, .. }
        | Request::Sign { key, .. } => Some(*key),
        Request::GenerateWrappedKey { wrapped_by, .. }
        | Request::GenerateWrappedKeys { wrapped_by, .. }
        | Request::Load { wrapped_by, .. } => Some(*wrapped_by),
        _ => None,
    }
}

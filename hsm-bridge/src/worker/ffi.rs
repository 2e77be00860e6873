//! What cryptoki cannot do.
//!
//! It has no name for CKM_AES_KEY_WRAP_KWP (0x210B, PKCS#11 v3.0, 6.13.4), which newer tokens offer instead of CKM_AES_KEY_WRAP_PAD (0x210A), and
//! none for CKM_AES_ECB_ENCRYPT_DATA (0x1104, PKCS#11 v2.40, 2.15), CKM_SHA3_256_HMAC and its like, CKM_PUB_KEY_FROM_PRIV_KEY (PKCS#11 v3.2), ChaCha20 (PKCS#11 v3.0, 2.63),
//! and the parameter of CKM_EXTRACT_KEY_FROM_KEY; its `wrap_key` gives back all the room that the module asked for, not the bytes
//! it then wrote (NSS asks for more).
#![expect(unsafe_code, reason = "both need PKCS#11's own types and functions")]

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{KeyType as CkKeyType, ObjectHandle};
use cryptoki::session::Session;
use cryptoki_sys::{
    CK_C_WrapKey, CK_KEY_DERIVATION_STRING_DATA, CK_KEY_TYPE, CK_MECHANISM, CK_SALSA20_CHACHA20_POLY1305_PARAMS,
    CK_ULONG,
};
use std::path::Path;

const CKM_AES_KEY_WRAP_KWP: cryptoki_sys::CK_MECHANISM_TYPE = 0x210B;

/// Number of CKM_AES_KEY_WRAP_KWP as cryptoki's type.
pub(super) fn kwp_type() -> MechanismType {
    numbered(CKM_AES_KEY_WRAP_KWP)
}

/// A mechanism for which cryptoki has no name.
pub(super) fn numbered(number: cryptoki_sys::CK_MECHANISM_TYPE) -> MechanismType {
    const { assert!(size_of::<MechanismType>() == size_of::<cryptoki_sys::CK_MECHANISM_TYPE>()) };
    // SAFETY: MechanismType is repr(transparent) over CK_MECHANISM_TYPE, any value of which is valid.
    unsafe { std::mem::transmute::<cryptoki_sys::CK_MECHANISM_TYPE, MechanismType>(number) }
}

/// CKM_AES_ECB_ENCRYPT_DATA over `data`, for as long as `with` runs: the mechanism points into `data`.
pub(super) fn with_ecb_encrypt_data<T>(data: &[u8; 32], with: impl FnOnce(&Mechanism<'_>) -> T) -> T {
    let parameters = CK_KEY_DERIVATION_STRING_DATA { pData: data.as_ptr().cast_mut(), ulLen: 32 };
    let kind = numbered(cryptoki_sys::CKM_AES_ECB_ENCRYPT_DATA);
    with(&Mechanism::VendorDefined(VendorDefinedMechanism::new(kind, Some(&parameters))))
}

/// CKK_CHACHA20 as cryptoki's type.
pub(super) fn chacha20() -> CkKeyType {
    const { assert!(size_of::<CkKeyType>() == size_of::<CK_KEY_TYPE>()) };
    // SAFETY: KeyType is repr(transparent) over CK_KEY_TYPE, any value of which is valid.
    unsafe { std::mem::transmute::<CK_KEY_TYPE, CkKeyType>(cryptoki_sys::CKK_CHACHA20) }
}

/// CKM_CHACHA20_POLY1305 for as long as `with` runs: the mechanism points into `nonce` and `aad`.
pub(super) fn with_chacha20_poly1305<T>(nonce: &[u8; 12], aad: &[u8], with: impl FnOnce(&Mechanism<'_>) -> T) -> T {
    let parameters = CK_SALSA20_CHACHA20_POLY1305_PARAMS {
        pNonce: nonce.as_ptr().cast_mut(),
        ulNonceLen: nonce.len() as CK_ULONG,
        pAAD: aad.as_ptr().cast_mut(),
        ulAADLen: aad.len() as CK_ULONG,
    };
    let kind = numbered(cryptoki_sys::CKM_CHACHA20_POLY1305);
    with(&Mechanism::VendorDefined(VendorDefinedMechanism::new(kind, Some(&parameters))))
}

/// CKM_EXTRACT_KEY_FROM_KEY (PKCS#11 v2.40, 2.43.7) from the bit `first` on, for as long as `with` runs.
pub(super) fn with_extraction<T>(first: CK_ULONG, with: impl FnOnce(&Mechanism<'_>) -> T) -> T {
    with(&Mechanism::VendorDefined(VendorDefinedMechanism::new(MechanismType::EXTRACT_KEY_FROM_KEY, Some(&first))))
}

/// A mechanism without parameter.
pub(super) fn without_parameter(kind: MechanismType) -> Mechanism<'static> {
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(kind, None))
}

/// CKM_AES_KEY_WRAP_KWP without parameter.
pub(super) fn kwp() -> Mechanism<'static> {
    without_parameter(kwp_type())
}

/// The module that cryptoki has loaded, once more: the loader gives the same library, with the same sessions.
pub(super) struct RawModule {
    wrap_key: CK_C_WrapKey,
    /// Keeps the library loaded.
    _library: cryptoki_sys::Pkcs11,
}

impl RawModule {
    pub(super) fn load(module: &Path) -> Result<Self> {
        // SAFETY: the operator names a PKCS#11 module, and cryptoki has loaded it before.
        let library = unsafe { cryptoki_sys::Pkcs11::new(module) }.map_err(Error::LibraryLoading)?;
        if library.C_GetFunctionList.is_err() {
            return Err(Error::MissingSymbol("C_GetFunctionList"));
        }
        let mut list = std::ptr::null_mut();
        // SAFETY: the symbol has the standard's type, and `list` is a place to write to.
        Rv::from(unsafe { library.C_GetFunctionList(&raw mut list) }).into_result(Function::GetFunctionList)?;
        if list.is_null() {
            return Err(Error::NullFunctionPointer);
        }
        // SAFETY: after CKR_OK the list is valid as long as the library is loaded.
        let wrap_key = unsafe { (*list).C_WrapKey };
        Ok(Self { wrap_key, _library: library })
    }

    /// C_WrapKey, cut to the length that the module says it wrote.
    pub(super) fn wrap_key(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        wrapping: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>> {
        let wrap_key = self.wrap_key.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let mut call = |out: *mut u8, length: &mut CK_ULONG| {
            // SAFETY: `out` is null, which asks for the length, or has room for `length` bytes; the mechanism outlives the call.
            let answer =
                unsafe { wrap_key(session.handle(), &raw mut mechanism, wrapping.handle(), key.handle(), out, length) };
            Rv::from(answer).into_result(Function::WrapKey)
        };
        let mut length: CK_ULONG = 0;
        call(std::ptr::null_mut(), &mut length)?;
        let mut wrapped = vec![0; usize::try_from(length)?];
        call(wrapped.as_mut_ptr(), &mut length)?;
        wrapped.truncate(usize::try_from(length)?);
        Ok(wrapped)
    }
}

//! The function list: the other module's, with ours in the places that can fail.
#![expect(unsafe_code, reason = "a PKCS#11 module is C functions behind pointers")]
#![expect(non_snake_case, reason = "the names are PKCS#11's")]

use crate::rule::{Action, decide, suffer};
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_NOTIFY, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE,
    CK_SLOT_ID, CK_TOKEN_INFO, CK_ULONG, CK_USER_TYPE, CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR, CKR_OK, Pkcs11,
};
use std::ffi::c_void;
use std::sync::OnceLock;

struct Lists {
    /// Keeps the other module loaded.
    _module: Pkcs11,
    real: CK_FUNCTION_LIST,
    ours: CK_FUNCTION_LIST,
}

// SAFETY: function pointers and a loaded library, written once before anyone reads them.
unsafe impl Send for Lists {}
// SAFETY: as above.
unsafe impl Sync for Lists {}

static LISTS: OnceLock<Option<Lists>> = OnceLock::new();

/// The one symbol a module must export (PKCS#11 v2.40, 5.4).
///
/// # Safety
/// `list` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(lists) = LISTS.get_or_init(load) else { return CKR_GENERAL_ERROR };
    // SAFETY: the caller gives a place to write to; the list is static and only read.
    unsafe { *list = (&raw const lists.ours).cast_mut() };
    CKR_OK
}

fn load() -> Option<Lists> {
    let path = std::env::var_os("CLM_FAULT_MODULE")?;
    // SAFETY: loading a PKCS#11 module is what this variable is for.
    let module = unsafe { Pkcs11::new(path) }.ok()?;
    let mut list = std::ptr::null_mut();
    // SAFETY: the symbol has the standard's type.
    if unsafe { module.C_GetFunctionList(&raw mut list) } != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: the module says CKR_OK, so the list is valid as long as it is loaded.
    let real = unsafe { *list };
    Some(Lists { _module: module, real, ours: replaced(real) })
}

fn real() -> Option<&'static CK_FUNCTION_LIST> {
    LISTS.get()?.as_ref().map(|lists| &lists.real)
}

/// Defines functions that may fail before they forward, and the list that has them in place.
macro_rules! faulty {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
                if let Some(value) = suffer(decide(stringify!($name))) {
                    return value;
                }
                let Some(function) = real().and_then(|list| list.$name) else { return CKR_FUNCTION_NOT_SUPPORTED };
                // SAFETY: the caller's arguments, unchanged.
                unsafe { function($($argument),*) }
            }
        )*

        fn replaced(mut list: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            list.C_GetFunctionList = Some(C_GetFunctionList);
            $(list.$name = Some($name);)*
            list.C_Decrypt = Some(C_Decrypt);
            list.C_Encrypt = Some(C_Encrypt);
            list.C_Sign = Some(C_Sign);
            list.C_WrapKey = Some(C_WrapKey);
            list
        }
    };
}

faulty! {
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE);
    C_GenerateRandom(session: CK_SESSION_HANDLE, bytes: *mut CK_BYTE, length: CK_ULONG);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO);
    C_Initialize(arguments: *mut c_void);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_BYTE, length: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_ULONG, application: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, length: CK_ULONG, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
}

/// Functions of two calls: the first, without room for the answer, asks for its length and fails only by naming too much.
macro_rules! with_length {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name($($argument: $type,)* out: *mut CK_BYTE, length: *mut CK_ULONG) -> CK_RV {
                let Some(function) = real().and_then(|list| list.$name) else { return CKR_FUNCTION_NOT_SUPPORTED };
                if out.is_null() {
                    // SAFETY: the caller's arguments, unchanged.
                    let answer = unsafe { function($($argument,)* out, length) };
                    if answer == CKR_OK && let Some(Action::Overestimate(more)) = decide(concat!(stringify!($name), "(length)")) {
                        // SAFETY: the other module has just written there.
                        unsafe { *length += more };
                    }
                    return answer;
                }
                let failure = suffer(decide(stringify!($name)));
                // Also where it is to fail: an operation that failed is over (PKCS#11 v2.40, 5.2), so the other module must end it.
                // SAFETY: the caller's arguments, unchanged.
                let answer = unsafe { function($($argument,)* out, length) };
                failure.unwrap_or(answer)
            }
        )*
    };
}

with_length! {
    C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG);
    C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG);
    C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG);
    C_WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE);
}

//! The function list: the other module's, with ours in the places that can fail.
#![expect(unsafe_code, reason = "a PKCS#11 module is C functions behind pointers")]
#![expect(non_snake_case, reason = "the names are PKCS#11's")]

use crate::log::{Call, asked, begin, begun, mechanism_of, note, object, template, with};
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

pub(crate) fn real() -> Option<&'static CK_FUNCTION_LIST> {
    LISTS.get()?.as_ref().map(|lists| &lists.real)
}

/// Our list: what is told of and may fail, what has nothing to tell, and nothing else.
fn replaced(real: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
    let mut list = CK_FUNCTION_LIST {
        version: real.version,
        C_GetFunctionList: Some(C_GetFunctionList),
        ..CK_FUNCTION_LIST::default()
    };
    plain(&mut list, &real);
    faulty(&mut list);
    with_length(&mut list);
    list
}

/// Functions that concern no key, no data and no object.
fn plain(list: &mut CK_FUNCTION_LIST, real: &CK_FUNCTION_LIST) {
    macro_rules! same {
        ($($name:ident)+) => { $(list.$name = real.$name;)+ };
    }
    same! {
        C_CancelFunction C_CloseAllSessions C_CloseSession C_Finalize C_FindObjects C_FindObjectsFinal C_GetFunctionStatus C_GetInfo C_GetMechanismInfo
        C_GetMechanismList C_GetSessionInfo C_GetSlotInfo C_GetSlotList C_InitPIN C_InitToken C_Logout C_SetPIN C_WaitForSlotEvent
    }
}

/// Defines functions that are told of and may fail before they forward.
macro_rules! faulty {
    ($($name:ident($($argument:ident: $type:ty),*) $(=> $told:expr)?;)*) => {
        $(
            unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
                note(stringify!($name), || told!($($told)?));
                if let Some(value) = suffer(decide(stringify!($name))) {
                    return value;
                }
                let Some(function) = real().and_then(|list| list.$name) else { return CKR_FUNCTION_NOT_SUPPORTED };
                // SAFETY: the caller's arguments, unchanged.
                unsafe { function($($argument),*) }
            }
        )*

        fn faulty(list: &mut CK_FUNCTION_LIST) {
            $(list.$name = Some($name);)*
        }
    };
}

macro_rules! told {
    () => {
        Call::default()
    };
    ($told:expr) => {
        $told
    };
}

faulty! {
    C_CreateObject(session: CK_SESSION_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE)
        => Call { template: template(attributes, count), ..Call::default() };
    C_CopyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG, copy: *mut CK_OBJECT_HANDLE)
        => Call { template: template(attributes, count), ..of(session, object) };
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => begin("C_DecryptInit", session, mechanism, key);
    C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, base: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE)
        => Call { template: template(attributes, count), ..with(session, mechanism, base) };
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) => of(session, object);
    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => begin("C_EncryptInit", session, mechanism, key);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG)
        => Call { template: template(attributes, count), ..Call::default() };
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE)
        => Call { template: template(attributes, count), ..mechanism_of(mechanism) };
    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE)
        => Call { template: template(private, private_count), ..mechanism_of(mechanism) };
    C_GenerateRandom(session: CK_SESSION_HANDLE, bytes: *mut CK_BYTE, length: CK_ULONG);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG)
        => Call { asks: asked(attributes, count), ..of(session, object) };
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO);
    C_Initialize(arguments: *mut c_void);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_BYTE, length: CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_ULONG, application: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG)
        => Call { template: template(attributes, count), ..of(session, object) };
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => begin("C_SignInit", session, mechanism, key);
    C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, length: CK_ULONG, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE)
        => Call { template: template(attributes, count), ..with(session, mechanism, wrapping) };
}

fn of(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Call {
    Call { object: Some(object(session, handle)), ..Call::default() }
}

/// Functions of two calls: the first, without room for the answer, asks for its length, is not told of and fails only by naming too much.
macro_rules! with_length {
    ($($name:ident($session:ident: CK_SESSION_HANDLE $(, $argument:ident: $type:ty)*) => $told:expr;)*) => {
        $(
            unsafe extern "C" fn $name($session: CK_SESSION_HANDLE, $($argument: $type,)* out: *mut CK_BYTE, length: *mut CK_ULONG) -> CK_RV {
                let Some(function) = real().and_then(|list| list.$name) else { return CKR_FUNCTION_NOT_SUPPORTED };
                if out.is_null() {
                    // SAFETY: the caller's arguments, unchanged.
                    let answer = unsafe { function($session, $($argument,)* out, length) };
                    if answer == CKR_OK && let Some(Action::Overestimate(more)) = decide(concat!(stringify!($name), "(length)")) {
                        // SAFETY: the other module has just written there.
                        unsafe { *length += more };
                    }
                    return answer;
                }
                note(stringify!($name), || $told);
                let failure = suffer(decide(stringify!($name)));
                // Also where it is to fail: an operation that failed is over (PKCS#11 v2.40, 5.2), so the other module must end it.
                // SAFETY: the caller's arguments, unchanged.
                let answer = unsafe { function($session, $($argument,)* out, length) };
                failure.unwrap_or(answer)
            }
        )*

        fn with_length(list: &mut CK_FUNCTION_LIST) {
            $(list.$name = Some($name);)*
        }
    };
}

with_length! {
    C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG) => begun("C_Decrypt", session);
    C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG) => begun("C_Encrypt", session);
    C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_length: CK_ULONG) => begun("C_Sign", session);
    C_WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE)
        => Call { wrapped: Some(object(session, key)), ..with(session, mechanism, wrapping) };
}

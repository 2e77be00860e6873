//! What was called: one line a call in the file that `CLM_FAULT_LOG` names, `PID FUNCTION {…}`, written before the other module is asked.
//!
//! A line says mechanisms, which objects are concerned and which attributes are set or asked for. Of attributes only flags, classes, key types
//! and labels are shown with their values: no byte of a key, of data or of a PIN gets into the log.

#![expect(unsafe_code, reason = "arguments of C functions are pointers")]

use crate::forward::real;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BBOOL, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKA_CLASS, CKA_EXTRACTABLE,
    CKA_KEY_TYPE, CKA_LABEL, CKA_SENSITIVE, CKA_TOKEN, CKR_OK,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// The process that called.
    #[serde(skip)]
    pub pid: u32,
    /// PKCS#11's name of the function.
    #[serde(skip)]
    pub function: String,
    /// CKM_ name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// The object that is used, read or destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// The key that is being wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<Object>,
    /// CKA_ names with the values that may be shown: of the new private or secret key, of what is set or looked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub template: BTreeMap<String, Option<String>>,
    /// CKA_ names that are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
}

/// An object as the other module describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// CKO_ name; empty: there is no such object.
    pub class: String,
    /// CKK_ name.
    pub key_type: String,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_TOKEN.
    pub token: Option<bool>,
    /// CKA_SENSITIVE; public objects have none.
    pub sensitive: Option<bool>,
    /// CKA_EXTRACTABLE; public objects have none.
    pub extractable: Option<bool>,
}

/// The calls that a log tells of behind its first `from` bytes, in their order. A line is one write: where the log ended once, a line began.
pub fn read(path: &Path, from: u64) -> Vec<Call> {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(path)
        && file.seek(SeekFrom::Start(from)).is_ok()
        && file.read_to_string(&mut text).is_err()
    {
        text.clear();
    }
    text.lines().filter_map(parse).collect()
}

/// How many bytes a log has.
pub fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |log| log.len())
}

fn parse(line: &str) -> Option<Call> {
    let mut words = line.splitn(3, ' ');
    let (pid, function) = (words.next()?.parse().ok()?, words.next()?.to_owned());
    let call: Call = words.next().and_then(|details| serde_json::from_str(details).ok()).unwrap_or_default();
    Some(Call { pid, function, ..call })
}

/// Writes a line, if anybody wants it.
pub(crate) fn note(function: &str, details: impl FnOnce() -> Call) {
    let Some(path) = std::env::var_os("CLM_FAULT_LOG") else { return };
    let details = serde_json::to_string(&details()).unwrap_or_default();
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        let line = format!("{} {function} {details}\n", std::process::id());
        drop(file.write_all(line.as_bytes()));
    }
}

/// Mechanism and key of the operation that each session has begun, by the function that ends it: `C_SignInit` says what `C_Sign` uses.
static BEGUN: Mutex<Option<HashMap<(CK_SESSION_HANDLE, String), Call>>> = Mutex::new(None);

/// Begins an operation with a key.
pub(crate) fn begin(
    init: &str,
    session: CK_SESSION_HANDLE,
    mechanism: *const CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Call {
    let call = with(session, mechanism, key);
    let function = init.trim_end_matches("Init").to_owned();
    BEGUN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default()
        .insert((session, function), call.clone());
    call
}

/// What was begun for `function`.
pub(crate) fn begun(function: &str, session: CK_SESSION_HANDLE) -> Call {
    let begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    begun.as_ref().and_then(|begun| begun.get(&(session, function.to_owned()))).cloned().unwrap_or_default()
}

/// A mechanism, and the key that it is used with.
pub(crate) fn with(session: CK_SESSION_HANDLE, mechanism: *const CK_MECHANISM, key: CK_OBJECT_HANDLE) -> Call {
    Call { object: Some(object(session, key)), ..mechanism_of(mechanism) }
}

/// A mechanism alone.
pub(crate) fn mechanism_of(mechanism: *const CK_MECHANISM) -> Call {
    // SAFETY: the caller's own mechanism, valid for the call, or null.
    let mechanism = unsafe { mechanism.as_ref() };
    Call { mechanism: mechanism.map(|mechanism| named(MECHANISMS, mechanism.mechanism)), ..Call::default() }
}

/// Names, and values that may be shown, of a template.
pub(crate) fn template(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> BTreeMap<String, Option<String>> {
    slice(attributes, count).iter().map(|attribute| (named(ATTRIBUTES, attribute.type_), shown(attribute))).collect()
}

/// Names alone.
pub(crate) fn asked(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> Vec<String> {
    slice(attributes, count).iter().map(|attribute| named(ATTRIBUTES, attribute.type_)).collect()
}

fn slice<'a>(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> &'a [CK_ATTRIBUTE] {
    let count = usize::try_from(count).unwrap_or_default();
    if attributes.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's own template, valid for the call; nothing that is made of it outlives that.
    unsafe { std::slice::from_raw_parts(attributes, count) }
}

/// Flags, classes, key types and labels.
fn shown(attribute: &CK_ATTRIBUTE) -> Option<String> {
    let length = usize::try_from(attribute.ulValueLen).ok()?;
    if attribute.pValue.is_null() {
        return None;
    }
    match attribute.type_ {
        CKA_LABEL => {
            // SAFETY: the attribute says where its value is and how long.
            let bytes = unsafe { std::slice::from_raw_parts(attribute.pValue.cast::<u8>(), length) };
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        CKA_CLASS | CKA_KEY_TYPE if length == size_of::<CK_ULONG>() => {
            // SAFETY: as above; these are CK_ULONGs, aligned as the caller's template made them.
            let value = unsafe { attribute.pValue.cast::<CK_ULONG>().read_unaligned() };
            Some(named(if attribute.type_ == CKA_CLASS { CLASSES } else { KEY_TYPES }, value))
        }
        _ if is_flag(attribute.type_) && length == size_of::<CK_BBOOL>() => {
            // SAFETY: as above; a CK_BBOOL.
            Some((unsafe { attribute.pValue.cast::<CK_BBOOL>().read() } != 0).to_string())
        }
        _ => None,
    }
}

/// Asks the other module.
pub(crate) fn object(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Object {
    let text = |kind| ask(session, handle, kind).unwrap_or_default();
    let flag = |kind| ask(session, handle, kind).and_then(|text| text.parse().ok());
    Object {
        class: text(CKA_CLASS),
        key_type: text(CKA_KEY_TYPE),
        label: text(CKA_LABEL),
        token: flag(CKA_TOKEN),
        sensitive: flag(CKA_SENSITIVE),
        extractable: flag(CKA_EXTRACTABLE),
    }
}

fn ask(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE, kind: CK_ULONG) -> Option<String> {
    let get = real()?.C_GetAttributeValue?;
    let mut room = [0u64; 32];
    let mut attribute =
        CK_ATTRIBUTE { type_: kind, pValue: room.as_mut_ptr().cast(), ulValueLen: size_of_val(&room) as CK_ULONG };
    // SAFETY: one attribute with room for its value.
    if unsafe { get(session, handle, &raw mut attribute, 1) } != CKR_OK {
        return None;
    }
    shown(&attribute)
}

fn named(names: &[(&str, CK_ULONG)], value: CK_ULONG) -> String {
    names
        .iter()
        .find(|(_, known)| *known == value)
        .map_or_else(|| format!("{value:#x}"), |(name, _)| (*name).to_owned())
}

fn is_flag(kind: CK_ULONG) -> bool {
    FLAGS.iter().any(|(_, known)| *known == kind)
}

macro_rules! names {
    ($($(#[$comment:meta])* $list:ident: $($name:ident)+;)+) => {
        $($(#[$comment])* const $list: &[(&str, CK_ULONG)] = &[$((stringify!($name), cryptoki_sys::$name)),+];)+
    };
}

names! {
    CLASSES: CKO_DATA CKO_CERTIFICATE CKO_PUBLIC_KEY CKO_PRIVATE_KEY CKO_SECRET_KEY;
    KEY_TYPES: CKK_RSA CKK_EC CKK_EC_EDWARDS CKK_AES CKK_GENERIC_SECRET CKK_SHA_1_HMAC CKK_SHA224_HMAC CKK_SHA256_HMAC CKK_SHA384_HMAC CKK_SHA512_HMAC;
    FLAGS: CKA_TOKEN CKA_PRIVATE CKA_SENSITIVE CKA_ENCRYPT CKA_DECRYPT CKA_WRAP CKA_UNWRAP CKA_SIGN CKA_VERIFY CKA_DERIVE CKA_EXTRACTABLE
        CKA_LOCAL CKA_NEVER_EXTRACTABLE CKA_ALWAYS_SENSITIVE CKA_MODIFIABLE CKA_COPYABLE CKA_DESTROYABLE CKA_TRUSTED CKA_WRAP_WITH_TRUSTED
        CKA_SIGN_RECOVER CKA_VERIFY_RECOVER;
    ATTRIBUTES: CKA_CLASS CKA_KEY_TYPE CKA_LABEL CKA_ID CKA_VALUE CKA_VALUE_LEN CKA_MODULUS CKA_MODULUS_BITS CKA_PUBLIC_EXPONENT
        CKA_PRIVATE_EXPONENT CKA_PRIME_1 CKA_PRIME_2 CKA_EXPONENT_1 CKA_EXPONENT_2 CKA_COEFFICIENT CKA_EC_PARAMS CKA_EC_POINT
        CKA_TOKEN CKA_PRIVATE CKA_SENSITIVE CKA_ENCRYPT CKA_DECRYPT CKA_WRAP CKA_UNWRAP CKA_SIGN CKA_VERIFY CKA_DERIVE CKA_EXTRACTABLE
        CKA_LOCAL CKA_NEVER_EXTRACTABLE CKA_ALWAYS_SENSITIVE CKA_MODIFIABLE CKA_COPYABLE CKA_DESTROYABLE CKA_TRUSTED CKA_WRAP_WITH_TRUSTED
        CKA_SIGN_RECOVER CKA_VERIFY_RECOVER CKA_ALLOWED_MECHANISMS;
    MECHANISMS: CKM_AES_KEY_GEN CKM_GENERIC_SECRET_KEY_GEN CKM_RSA_PKCS_KEY_PAIR_GEN CKM_EC_KEY_PAIR_GEN CKM_EC_EDWARDS_KEY_PAIR_GEN CKM_RSA_PKCS
        CKM_RSA_PKCS_PSS CKM_RSA_PKCS_OAEP CKM_RSA_X_509 CKM_ECDSA CKM_EDDSA CKM_AES_GCM CKM_AES_ECB CKM_AES_CBC CKM_AES_CBC_PAD CKM_AES_CTR
        CKM_AES_KEY_WRAP CKM_AES_KEY_WRAP_PAD CKM_AES_ECB_ENCRYPT_DATA CKM_ECDH1_DERIVE CKM_SHA_1_HMAC CKM_SHA224_HMAC CKM_SHA256_HMAC CKM_SHA384_HMAC
        CKM_SHA512_HMAC CKM_SHA_1 CKM_SHA224 CKM_SHA256 CKM_SHA384 CKM_SHA512;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was() {
        let key = Object {
            class: "CKO_PRIVATE_KEY".into(),
            label: "with a blank".into(),
            extractable: Some(false),
            ..Object::default()
        };
        let call = Call { mechanism: Some("CKM_ECDSA".into()), object: Some(key), ..Call::default() };
        let line = format!("17 C_Sign {}", serde_json::to_string(&call).expect("JSON"));
        assert_eq!(parse(&line), Some(Call { pid: 17, function: "C_Sign".into(), ..call }));
        assert_eq!(parse("17 C_Login {}").expect("a call").function, "C_Login");
    }

    #[test]
    fn of_a_template_flags_and_labels_are_shown_and_bytes_are_not() {
        let (mut yes, mut value, mut label) = (1u8, [7u8; 32], *b"a label");
        let attribute = |type_, pointer: *mut u8, length: usize| CK_ATTRIBUTE {
            type_,
            pValue: pointer.cast(),
            ulValueLen: length as CK_ULONG,
        };
        let attributes = [
            attribute(CKA_EXTRACTABLE, &raw mut yes, 1),
            attribute(cryptoki_sys::CKA_VALUE, value.as_mut_ptr(), value.len()),
            attribute(CKA_LABEL, label.as_mut_ptr(), label.len()),
        ];
        let shown = template(attributes.as_ptr(), 3);
        assert_eq!(shown["CKA_EXTRACTABLE"].as_deref(), Some("true"));
        assert_eq!(shown["CKA_LABEL"].as_deref(), Some("a label"));
        assert_eq!(shown["CKA_VALUE"], None);
    }
}

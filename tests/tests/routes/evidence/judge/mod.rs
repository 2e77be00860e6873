//! From an answer and the PKCS#11 calls behind it: was the secret made in the token?

mod lists;
#[cfg(test)]
mod tests;

use lists::{AGREEING, HARMLESS, KEPT, MAKING, OWN, PAIRING, SECRET_ATTRIBUTES, TAKING_IN};
use serde_json::Value;
use softhsm_fault::log::{Call, Object};

/// What was asked, and what came back.
pub(super) struct Answered<'a> {
    pub(super) id: &'a str,
    /// Type of its record.
    pub(super) event: Option<&'a str>,
    /// Type of the key; empty: not known.
    pub(super) kind: &'a str,
    /// Below `/v1/`.
    pub(super) path: &'a str,
    /// Body.
    pub(super) sent: &'a str,
    pub(super) body: &'a Value,
}

/// The verdict, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// software: no.
    Token(String),
    /// software: yes.
    Software(Cause, String),
}

/// What kind of yes it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    DataKey,
    DataKeyPair,
    Export,
    NewValue,
    RawRsa,
    Seal,
    /// On no list.
    Unlisted,
}

/// Neither a worker that starts nor a checkpoint of the audit log.
pub(super) fn is_of_a_request(call: &Call) -> bool {
    let housekeeping = ["C_FindObjectsInit", "C_GetTokenInfo", "C_Initialize", "C_Login", "C_OpenSession"];
    !housekeeping.contains(&call.function.as_str())
        && !call.object.as_ref().is_some_and(|object| object.label.starts_with(OWN[0]))
}

/// Judges one answer.
pub(super) fn judge(answered: &Answered<'_>, calls: &[Call]) -> Finding {
    if answered.event == Some("key.export") && !answered.path.contains("/public-key") {
        return Finding::Software(Cause::Export, "the key itself is answered".into());
    }
    if answered.event == Some("secret.rotate") {
        return match made(calls) {
            Ok(reason) => {
                Finding::Software(Cause::NewValue, format!("the caller's new key is taken out as a value: {reason}"))
            }
            Err(reason) => Finding::Software(Cause::Unlisted, reason),
        };
    }
    if answered.event == Some(PAIRING) {
        return match made(calls).and_then(|reason| encrypted(answered, calls).map(|then| format!("{reason}; {then}"))) {
            Ok(reason) => {
                let what = "the caller's new private key is taken out and encrypted under the caller's key";
                Finding::Software(Cause::DataKeyPair, format!("{what}: {reason}"))
            }
            Err(reason) => Finding::Software(Cause::Unlisted, reason),
        };
    }
    let mut reasons = Vec::new();
    if answered.event == Some(TAKING_IN) {
        match taken_in(calls) {
            Ok(reason) => reasons.push(reason),
            Err(reason) => return Finding::Software(Cause::Unlisted, reason),
        }
    }
    if answered.event == Some(AGREEING) {
        match agreed(calls) {
            Ok(reason) => reasons.push(reason),
            Err(reason) => return Finding::Software(Cause::Unlisted, reason),
        }
    }
    if let Some(finding) = leaked(answered, calls) {
        return finding;
    }
    let rekeyed = answered.event == Some("seal.rekey");
    if answered.id == "init" || rekeyed || answered.sent.contains("\"key\":") && answered.id == "unseal" {
        return Finding::Software(Cause::Seal, "shares and PIN pass through this software's memory".into());
    }
    if answered.event.is_some_and(|event| MAKING.contains(&event)) {
        match made(calls) {
            Ok(reason) => reasons.push(reason),
            Err(reason) => return Finding::Software(Cause::Unlisted, reason),
        }
    }
    if let Some((_, function)) = KEPT.iter().find(|(id, _)| *id == answered.id) {
        return match used(calls, function, "CKO_SECRET_KEY") {
            Some(reason) => Finding::Token(reason),
            None => Finding::Software(Cause::Unlisted, format!("kept or given back without {function}")),
        };
    }
    for field in fields(answered) {
        match product(answered, &field, calls) {
            Ok(reason) => reasons.extend(reason),
            Err(finding) => return finding,
        }
    }
    reasons.dedup();
    Finding::Token(if reasons.is_empty() { "nothing secret is made or answered".into() } else { reasons.join("; ") })
}

/// Names of what `data` holds, and of what the items of a batch hold.
fn fields(answered: &Answered<'_>) -> Vec<String> {
    let data = &answered.body["data"];
    let items = data["batch_results"].as_array().into_iter().flatten();
    let objects = [data].into_iter().chain(items).filter_map(Value::as_object);
    objects.flatten().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()).collect()
}

type Product = Result<Option<String>, Finding>;

/// What must have been called for a field of the answer.
fn product(answered: &Answered<'_>, field: &str, calls: &[Call]) -> Product {
    let rsa = answered.kind.starts_with("rsa-");
    let needs = |function: &str, class: &str| match used(calls, function, class) {
        Some(reason) => Ok(Some(reason)),
        None => {
            let reason = format!("`{field}` was answered without {function} by a {class} that stays inside");
            Err(Finding::Software(Cause::Unlisted, reason))
        }
    };
    let keys = !["sys/", "auth/", "clm/", "identity/"].iter().any(|mount| answered.path.starts_with(mount));
    let of = |word: &str| answered.id.contains(word);
    match field {
        "signature" if used(calls, "C_Sign", "CKO_PRIVATE_KEY").is_none() && of("hmac") => {
            needs("C_Sign", "CKO_SECRET_KEY")
        }
        // As somebody sent it.
        "csr" if !keys => Ok(None),
        "csr" | "signature" => needs("C_Sign", "CKO_PRIVATE_KEY"),
        "cmac" | "hmac" => needs("C_Sign", "CKO_SECRET_KEY"),
        "ciphertext" if rsa => Ok(Some("encrypting takes the public key alone".into())),
        "ciphertext" => needs("C_Encrypt", "CKO_SECRET_KEY"),
        "plaintext" if of("datakey") => {
            Err(Finding::Software(Cause::DataKey, "a new key for the caller is answered in the clear".into()))
        }
        "plaintext" => needs("C_Decrypt", if rsa { "CKO_PRIVATE_KEY" } else { "CKO_SECRET_KEY" }),
        "random_bytes" => {
            if calls.iter().any(|call| call.function == "C_GenerateRandom") {
                Ok(Some("C_GenerateRandom".into()))
            } else {
                Err(Finding::Software(Cause::Unlisted, "random bytes that are not the token's".into()))
            }
        }
        "backup" => Ok(Some("what C_WrapKey gave when the key was made, and a MAC".into())),
        _ if keys && !HARMLESS.contains(&field) => {
            let reason = format!("nobody has said in evidence/judge/lists.rs what `{field}` is made of");
            Err(Finding::Software(Cause::Unlisted, reason))
        }
        _ => Ok(None),
    }
}

/// A call of that function with a key of the caller's that cannot leave the token.
fn used(calls: &[Call], function: &str, class: &str) -> Option<String> {
    let inside = |object: &Object| object.sensitive == Some(true) && object.extractable == Some(false);
    let by_callers_key = |call: &&Call| {
        let own = |object: &Object| OWN.iter().any(|prefix| object.label.starts_with(prefix));
        call.function == function
            && call.object.as_ref().is_some_and(|object| object.class == class && inside(object) && !own(object))
    };
    let call = calls.iter().find(by_callers_key)?;
    Some(format!("{function} by a sensitive {class} that is not extractable"))
        .filter(|_| call.mechanism.as_deref() != Some("CKM_RSA_X_509"))
}

/// A new key is the token's: generated, or unwrapped, in it; an extractable one is wrapped and destroyed in the same request.
fn made(calls: &[Call]) -> Result<String, String> {
    let count = |function: &str| calls.iter().filter(|call| call.function == function).count();
    let generated: Vec<&Call> =
        calls.iter().filter(|call| ["C_GenerateKey", "C_GenerateKeyPair"].contains(&call.function.as_str())).collect();
    let Some(first) = generated.first() else {
        return if count("C_UnwrapKey") > 0 {
            Ok("C_UnwrapKey".into())
        } else {
            Err("a key that no PKCS#11 call made".into())
        };
    };
    let leaves = generated.iter().filter(|call| is(call, "CKA_EXTRACTABLE")).count();
    if leaves > count("C_WrapKey") || leaves > count("C_DestroyObject") {
        return Err("an extractable key was made and not wrapped and destroyed at once".into());
    }
    if generated.iter().any(|call| !is(call, "CKA_SENSITIVE")) {
        return Err("a key was made that is not sensitive".into());
    }
    let then = if leaves > 0 { ", wrapped by C_WrapKey and destroyed" } else { ", not extractable" };
    Ok(format!("{}{then}", first.function))
}

/// What a caller's new key was encrypted by: a key that stays inside, or a public one.
fn encrypted(answered: &Answered<'_>, calls: &[Call]) -> Result<String, String> {
    if answered.kind.starts_with("rsa-") {
        return Ok("encrypting takes the public key alone".into());
    }
    used(calls, "C_Encrypt", "CKO_SECRET_KEY").ok_or_else(|| "a new key was not encrypted in the token".into())
}

/// A key that comes in is extractable until the token has wrapped it anew, and then gone.
fn taken_in(calls: &[Call]) -> Result<String, String> {
    let count = |function: &str| calls.iter().filter(|call| call.function == function).count();
    let extractable: Vec<&Call> = calls.iter().filter(|call| is(call, "CKA_EXTRACTABLE")).collect();
    let came = extractable.iter().any(|call| call.function == "C_UnwrapKey");
    if !came || extractable.len() > count("C_WrapKey") || extractable.len() > count("C_DestroyObject") {
        return Err("a key was taken in that was not wrapped and destroyed at once".into());
    }
    Ok("C_UnwrapKey, wrapped by C_WrapKey and destroyed".into())
}

/// A key that two sides agree on comes of a pair that stays inside; it is extractable until the token has wrapped it, and then gone, and so is what it was
/// made of.
fn agreed(calls: &[Call]) -> Result<String, String> {
    let count = |function: &str| calls.iter().filter(|call| call.function == function).count();
    let by_pair = |call: &&Call| call.mechanism.as_deref() == Some("CKM_ECDH1_DERIVE");
    if calls.iter().filter(by_pair).count() != 1 || used(calls, "C_DeriveKey", "CKO_PRIVATE_KEY").is_none() {
        return Err("a key that no CKM_ECDH1_DERIVE by a pair that stays inside made".into());
    }
    let derived: Vec<&Call> = calls.iter().filter(|call| call.function == "C_DeriveKey").collect();
    if derived.iter().any(|call| !is(call, "CKA_SENSITIVE")) {
        return Err("a key was derived that is not sensitive".into());
    }
    let leaves = derived.iter().filter(|call| is(call, "CKA_EXTRACTABLE")).count();
    if leaves != 1 || count("C_WrapKey") < leaves || count("C_DestroyObject") < derived.len() {
        return Err("what was agreed on was not wrapped and destroyed at once".into());
    }
    Ok("C_DeriveKey (CKM_ECDH1_DERIVE) by a sensitive CKO_PRIVATE_KEY that is not extractable, wrapped by C_WrapKey and destroyed".into())
}

fn is(call: &Call, flag: &str) -> bool {
    call.template.get(flag).is_some_and(|value| value.as_deref() == Some("true"))
}

/// What no request may do, whatever it answers.
fn leaked(answered: &Answered<'_>, calls: &[Call]) -> Option<Finding> {
    let unlisted = |reason: String| Some(Finding::Software(Cause::Unlisted, reason));
    for call in calls {
        let public = call.object.as_ref().is_some_and(|object| object.class == "CKO_PUBLIC_KEY");
        if let Some(attribute) = call.asks.iter().find(|name| SECRET_ATTRIBUTES.contains(&name.as_str()))
            && !public
        {
            return unlisted(format!("{} asks for {attribute}", call.function));
        }
        if ["C_CreateObject", "C_CopyObject"].contains(&call.function.as_str()) {
            return unlisted(format!("{} gives the token a key", call.function));
        }
        let taken_in = answered.event == Some(TAKING_IN) && call.function == "C_UnwrapKey";
        let agreed = answered.event == Some(AGREEING) && call.function == "C_DeriveKey";
        if !taken_in
            && !agreed
            && ["C_UnwrapKey", "C_DeriveKey"].contains(&call.function.as_str())
            && call.template.get("CKA_EXTRACTABLE").is_none_or(|value| value.as_deref() != Some("false"))
        {
            return unlisted(format!("{} makes an extractable key", call.function));
        }
        if call.function == "C_Decrypt" && call.mechanism.as_deref() == Some("CKM_RSA_X_509") {
            return Some(Finding::Software(Cause::RawRsa, "CKM_RSA_X_509, unpadded in the worker".into()));
        }
    }
    None
}

//! The judge, held against what it must not let pass.

use super::*;
use serde_json::json;

fn call(function: &str, object: Object) -> Call {
    Call { function: function.into(), object: Some(object), ..Call::default() }
}

fn inside(class: &str, label: &str) -> Object {
    let (class, label) = (class.into(), label.into());
    Object { class, label, sensitive: Some(true), extractable: Some(false), ..Object::default() }
}

fn judged(data: &Value, event: Option<&str>, calls: &[Call]) -> Finding {
    let body = json!({ "data": data });
    judge(&Answered { id: "transit-x", event, kind: "", path: "transit/x", sent: "", body: &body }, calls)
}

fn unlisted(finding: &Finding) -> bool {
    matches!(finding, Finding::Software(Cause::Unlisted, _))
}

#[test]
fn a_signature_is_the_tokens_only_with_a_call_of_the_callers_key() {
    let data = json!({"signature": "vault:v1:x", "key_version": 1});
    let good = call("C_Sign", inside("CKO_PRIVATE_KEY", ""));
    assert!(matches!(judged(&data, None, std::slice::from_ref(&good)), Finding::Token(_)));
    assert!(unlisted(&judged(&data, None, &[])));
    assert!(unlisted(&judged(&data, None, &[call("C_Sign", inside("CKO_SECRET_KEY", "clm-mac-v1"))])));
    assert!(unlisted(&judged(&data, None, &[call("C_Decrypt", inside("CKO_PRIVATE_KEY", ""))])));
    let extractable = Object { extractable: Some(true), ..inside("CKO_PRIVATE_KEY", "") };
    assert!(unlisted(&judged(&data, None, &[call("C_Sign", extractable)])));
}

#[test]
fn reading_a_key_or_unwrapping_it_extractable_is_a_leak_whatever_is_answered() {
    let asks = vec!["CKA_VALUE".to_owned()];
    assert!(unlisted(&judged(
        &json!({}),
        None,
        &[Call { asks: asks.clone(), ..call("C_GetAttributeValue", inside("CKO_SECRET_KEY", "")) }]
    )));
    let extractable = [("CKA_EXTRACTABLE".to_owned(), Some("true".to_owned()))].into();
    assert!(unlisted(&judged(
        &json!({}),
        None,
        &[Call { template: extractable, ..call("C_UnwrapKey", inside("CKO_SECRET_KEY", "")) }]
    )));
    assert!(unlisted(&judged(&json!({}), None, &[call("C_CreateObject", Object::default())])));
}

#[test]
fn a_key_is_made_by_a_call_and_an_extractable_one_does_not_stay() {
    let flags = |extractable: &str| {
        [("CKA_EXTRACTABLE", extractable), ("CKA_SENSITIVE", "true")]
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .into()
    };
    let generate = |extractable| Call { template: flags(extractable), ..call("C_GenerateKey", Object::default()) };
    let wrapped = [generate("true"), call("C_WrapKey", Object::default()), call("C_DestroyObject", Object::default())];
    assert!(matches!(judged(&json!({}), Some("key.create"), &wrapped), Finding::Token(_)));
    assert!(matches!(judged(&json!({}), Some("key.create"), &[generate("false")]), Finding::Token(_)));
    assert!(unlisted(&judged(&json!({}), Some("key.create"), &wrapped[..2])));
    assert!(unlisted(&judged(&json!({}), Some("key.create"), &[])));
}

#[test]
fn a_pair_for_a_caller_is_made_in_the_token_and_its_private_half_encrypted_there() {
    let flags = [("CKA_EXTRACTABLE", "true"), ("CKA_SENSITIVE", "true")]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    let made = [
        Call { template: flags.into(), ..call("C_GenerateKeyPair", Object::default()) },
        call("C_WrapKey", Object::default()),
        call("C_DestroyObject", Object::default()),
        call("C_Encrypt", inside("CKO_SECRET_KEY", "")),
    ];
    let judged = |calls: &[Call]| judged(&json!({"ciphertext": "x", "plaintext": "x"}), Some(PAIRING), calls);
    assert!(matches!(judged(&made), Finding::Software(Cause::DataKeyPair, _)));
    // Not made there; not wrapped and destroyed; not encrypted there; encrypted by a key that can leave.
    assert!(unlisted(&judged(&made[1..])));
    assert!(unlisted(&judged(&[&made[..1], &made[3..]].concat())));
    assert!(unlisted(&judged(&made[..3])));
    let leaves = Object { extractable: Some(true), ..inside("CKO_SECRET_KEY", "") };
    assert!(unlisted(&judged(&[&made[..3], &[call("C_Encrypt", leaves)]].concat())));
}

#[test]
fn a_key_that_is_agreed_on_comes_of_one_pair_that_stays_inside_and_only_the_last_is_extractable() {
    let derive = |mechanism: &str, extractable: &str, by: Object| {
        let template = [("CKA_EXTRACTABLE", extractable), ("CKA_SENSITIVE", "true")]
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let mechanism = Some(mechanism.to_owned());
        Call { mechanism, template: template.into(), ..call("C_DeriveKey", by) }
    };
    let pair = || inside("CKO_PRIVATE_KEY", "");
    let rest = || [call("C_DestroyObject", Object::default()), call("C_WrapKey", Object::default())];
    let after = |derived: Vec<Call>| [derived, rest().into(), rest().into()].concat();
    let agreed = |calls: &[Call]| judged(&json!({}), Some(AGREEING), calls);
    let last = || derive("CKM_AES_ECB_ENCRYPT_DATA", "true", inside("CKO_SECRET_KEY", ""));
    let good = after(vec![derive("CKM_ECDH1_DERIVE", "false", pair()), last()]);
    assert!(matches!(agreed(&good), Finding::Token(_)));
    assert!(matches!(agreed(&after(vec![derive("CKM_ECDH1_DERIVE", "true", pair())])), Finding::Token(_)));
    // The secret itself could leave; nobody's pair; a pair that can leave; nothing wrapped or destroyed; another verb.
    assert!(unlisted(&agreed(&after(vec![derive("CKM_ECDH1_DERIVE", "true", pair()), last()]))));
    assert!(unlisted(&agreed(&after(vec![last()]))));
    let leaves = Object { extractable: Some(true), ..pair() };
    assert!(unlisted(&agreed(&after(vec![derive("CKM_ECDH1_DERIVE", "true", leaves)]))));
    assert!(unlisted(&agreed(&good[..2])));
    assert!(unlisted(&judged(&json!({}), None, &good)));
}

#[test]
fn a_key_that_comes_in_is_wrapped_and_destroyed_at_once() {
    let extractable = [("CKA_EXTRACTABLE".to_owned(), Some("true".to_owned()))].into();
    let unwrapped = Call { template: extractable, ..call("C_UnwrapKey", Object::default()) };
    let whole = [unwrapped, call("C_WrapKey", Object::default()), call("C_DestroyObject", Object::default())];
    assert!(matches!(judged(&json!({}), Some(TAKING_IN), &whole), Finding::Token(_)));
    assert!(unlisted(&judged(&json!({}), Some(TAKING_IN), &whole[..2])));
    assert!(unlisted(&judged(&json!({}), Some(TAKING_IN), &[])));
    assert!(unlisted(&judged(&json!({}), Some("key.sign"), &whole)));
}

#[test]
fn what_is_kept_for_a_caller_is_encrypted_by_the_token() {
    let body = json!({});
    let kept = Answered { id: "cubbyhole-write", event: None, kind: "", path: "cubbyhole/a", sent: "", body: &body };
    assert!(matches!(judge(&kept, &[call("C_Encrypt", inside("CKO_SECRET_KEY", ""))]), Finding::Token(_)));
    assert!(unlisted(&judge(&kept, &[])));
}

#[test]
fn a_field_that_nobody_judged_is_not_passed_over() {
    assert!(unlisted(&judged(&json!({"private_key": "x"}), None, &[])));
    assert!(unlisted(&judged(&json!({"batch_results": [{"plaintext": "x"}]}), None, &[])));
}

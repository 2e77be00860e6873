//! Permissions of roles: what they grant, when, and what they give way to.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

fn grounds() -> Grounds {
    Grounds {
        transit: vec!["transit/".into(), "a/b/".into()],
        first_secrets: Vec::new(),
        secrets: vec!["secret/".into()],
        people: vec!["auth/people/".into()],
    }
}

fn permissions(value: Value) -> Permissions {
    serde_json::from_value(value).expect("permissions")
}

fn role(code: &str, value: Value) -> Policy {
    of_role(code, &permissions(value), &grounds(), Validity::default())
}

fn policy(text: &str) -> Policy {
    Policy::parse("p", text).expect("a policy")
}

fn decided(policies: &[Policy], operation: Operation, path: &str) -> Decision {
    Acl::new(policies).decide(&AccessRequest::new(operation, path))
}

fn allowed(policies: &[Policy], operation: Operation, path: &str) -> bool {
    decided(policies, operation, path).allowed
}

#[test]
fn a_permission_is_what_its_verb_says_wherever_the_engine_is_mounted_and_nothing_else() {
    let signer = [role("SIGNER", json!({"keys": ["sign"], "secrets": ["read"]}))];
    for (operation, path, may) in [
        (Operation::Update, "transit/sign/k", true),
        (Operation::Update, "transit/sign/k/sha2-256", true),
        (Operation::Update, "a/b/sign/k", true),
        (Operation::Update, "other/sign/k", false),
        (Operation::Update, "transit/verify/k", false),
        (Operation::Read, "transit/keys/k", false),
        (Operation::Read, "secret/data/app/db", true),
        (Operation::Read, "clm/secrets/app.db", true),
        (Operation::List, "secret/metadata", true),
        (Operation::Update, "secret/data/app/db", false),
        (Operation::Read, "clm/certificates/x", false),
    ] {
        assert_eq!(allowed(&signer, operation, path), may, "{operation:?} {path}");
    }
    let decision = decided(&signer, Operation::Update, "transit/sign/k");
    let rule = decision.rule.expect("the rule that decided");
    assert_eq!((rule.path(), rule.policies()), ("transit/sign/+", &["role:SIGNER".into()][..]));
}

#[test]
fn every_verb_of_every_resource_is_everything_also_what_needs_sudo() {
    let all = [role("ADMIN", json!({"*": ["*"]}))];
    for path in ["sys/seal", "sys/auth/x", "transit/keys/k", "anything/at/all", "team/sys/mounts"] {
        assert!(allowed(&all, Operation::Update, path), "{path}");
    }
    // Reading everything is not that.
    let reader = [role("READER", json!({"*": ["read"]}))];
    assert!(allowed(&reader, Operation::Read, "clm/certificates/x") && allowed(&reader, Operation::Read, "sys/audit"));
    assert!(!allowed(&reader, Operation::Read, "sys/mounts") && !allowed(&reader, Operation::Update, "transit/sign/k"));
    // One resource's every verb is not another's.
    let workflows = [role("W", json!({"workflows": ["*"]}))];
    assert!(allowed(&workflows, Operation::Delete, "clm/workflows/w"));
    assert!(!allowed(&workflows, Operation::Delete, "clm/policies/w"));
}

#[test]
fn a_grant_without_sudo_is_none_where_the_path_needs_it_whatever_is_more_specific() {
    let lacking = Acl::new(&[without_sudo()]);
    let request = AccessRequest::new(Operation::Read, "sys/audit");
    assert_eq!((lacking.decide(&request).allowed, lacking.decide(&request).reason), (false, Reason::NeedsSudo));
    // The wider one has it.
    let both = [without_sudo(), role("ADMIN", json!({"*": ["*"]}))];
    assert!(allowed(&both, Operation::Read, "sys/audit"));
}

/// A role's rule on a path that needs sudo, without it: none of the table is so.
fn without_sudo() -> Policy {
    let narrow = policy("path \"sys/audit\" { capabilities = [\"read\"] }");
    Policy { effect: parse::Effect::Grants, ..narrow }
}

#[test]
fn a_role_gives_way_to_a_denial_and_to_nothing_else_that_a_policy_says() {
    let signer = role("SIGNER", json!({"keys": ["sign"]}));
    let less = policy("path \"transit/sign/k\" { capabilities = [\"read\"] }");
    assert!(allowed(&[signer.clone(), less], Operation::Update, "transit/sign/k"));
    let denies = policy("path \"transit/sign/k\" { capabilities = [\"deny\"] }");
    let both = [signer, denies];
    assert!(!allowed(&both, Operation::Update, "transit/sign/k"));
    assert!(allowed(&both, Operation::Update, "transit/sign/other"));
}

#[test]
fn a_role_counts_from_its_beginning_to_its_end_and_the_explanation_says_so() {
    let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(10_000);
    let hour = TimeDelta::hours(1);
    let validity = Validity { from: Some(now), until: Some(now + hour) };
    let signer = of_role("SIGNER", &permissions(json!({"keys": ["sign"]})), &grounds(), validity);
    let acl = Arc::new(Acl::new(&[signer]));
    let request = AccessRequest::new(Operation::Update, "transit/sign/k");
    let at = |now| Circumstances { now, source: None, token_made: DateTime::<Utc>::UNIX_EPOCH };
    let second = TimeDelta::seconds(1);
    for (time, may) in [(now - second, false), (now, true), (now + hour - second, true), (now + hour, false)] {
        assert_eq!(acl.at(&at(time)).decide(&request).allowed, may, "{time}");
    }
    let early = acl.explain(&request, &at(now - second));
    let late = acl.explain(&request, &at(now + hour));
    let why = |told: &Explanation| told.idle.iter().map(|idle| (idle.policy.to_string(), idle.why)).collect::<Vec<_>>();
    assert_eq!(why(&early), [("role:SIGNER".to_owned(), "valid_from: the role is not given yet")]);
    assert_eq!(why(&late), [("role:SIGNER".to_owned(), "valid_until: the role was given until then")]);
    let told = acl.explain(&request, &at(now));
    assert_eq!(
        told.because(),
        "\"transit/sign/+\" of role:SIGNER grants by itself, as each role does that somebody has"
    );
    assert!(!acl.decide(&request).allowed, "who asks when is not said");
}

#[test]
fn words_that_mean_nothing_are_refused_by_name_and_grant_nothing_where_they_are() {
    let refused = |value: Value| check_permissions(&permissions(value)).expect_err("refused");
    assert!(refused(json!({"rockets": ["read"]})).contains("\"rockets\" is no resource: access_policies, audit, "));
    assert!(refused(json!({"keys": ["launch"]})).contains("\"launch\" is no verb of keys: read, create, "));
    assert!(refused(json!({"*": ["launch"]})).contains("\"launch\" is no verb of *"));
    for good in [json!({}), json!({"*": ["*"]}), json!({"*": ["read"]}), json!({"keys": ["*", "sign"]})] {
        check_permissions(&permissions(good)).expect("permissions");
    }
    let odd = [role("ODD", json!({"rockets": ["*"], "keys": ["launch"]}))];
    assert!(!allowed(&odd, Operation::Read, "transit/keys/k") && !allowed(&odd, Operation::Read, "rockets/x"));
}

#[test]
fn the_permissions_that_every_organization_begins_with_mean_something() {
    for entry in crate::system_roles::of(uuid::Uuid::nil()) {
        check_permissions(&entry.fields.permissions).unwrap_or_else(|why| panic!("{}: {why}", entry.code));
    }
}

#[test]
fn a_mount_whose_path_would_be_a_wildcard_gives_no_rule() {
    let odd = Grounds { transit: vec!["+/".into(), "x*/".into(), "a+b/".into()], ..Grounds::default() };
    let signer = [of_role("S", &permissions(json!({"keys": ["sign"]})), &odd, Validity::default())];
    assert!(allowed(&signer, Operation::Update, "a+b/sign/k"));
    assert!(!allowed(&signer, Operation::Update, "any/sign/k") && !allowed(&signer, Operation::Update, "xy/sign/k"));
}

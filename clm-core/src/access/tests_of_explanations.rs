//! Explanations: they say what is decided, and what they say of each rule is so.

use super::*;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn circumstances(source: Option<&str>) -> Circumstances {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    Circumstances { now, source: source.map(|source| source.parse().expect("an address")), token_made: now }
}

fn rule(path: &str, words: &[&str]) -> String {
    format!("path \"{path}\" {{ capabilities = {} }}\n", json!(words))
}

fn policy(name: &str, rules: &[(&str, &[&str])]) -> Policy {
    let text: String = rules.iter().map(|(path, words)| rule(path, words)).collect();
    Policy::parse(name, &text).expect("a policy")
}

fn about_secrets(name: &str, document: serde_json::Value, denies: bool) -> Policy {
    SecretsPolicy::parse(&document.to_string()).expect("a document").compile(name, denies)
}

fn explained(policies: &[Policy], operation: Operation, path: &str) -> Explanation {
    let request = AccessRequest::new(operation, path);
    Arc::new(Acl::new(policies)).explain(&request, &circumstances(None))
}

#[test]
fn the_sentence_names_rule_and_policy_and_why_others_do_not_decide() {
    let policies = [
        policy("wide", &[("kv/*", &["read", "update"]), ("kv/+/b", &["read"])]),
        policy("narrow", &[("kv/a/b", &["read"])]),
    ];
    let told = explained(&policies, Operation::Update, "kv/a/b");
    assert_eq!(
        told.because(),
        "\"kv/a/b\" of narrow is the most specific of 3 rules that match, and decides alone: the rule does not grant the operation"
    );
    let rivals: Vec<_> = told.matching.iter().map(|candidate| (candidate.rule.path(), candidate.lag)).collect();
    let wildcard = Some("it has a wildcard, the other is exact");
    assert_eq!(rivals, [("kv/a/b", None), ("kv/+/b", wildcard), ("kv/*", wildcard)]);
    let told = explained(&policies, Operation::Update, "kv/x/b");
    assert_eq!(told.matching.last().and_then(|candidate| candidate.lag), Some("it ends in *"));
    assert_eq!(
        explained(&policies, Operation::Read, "x").because(),
        "no rule speaks of \"x\", and what nothing grants is denied"
    );
    let root = Arc::new(Acl::root()).explain(&AccessRequest::new(Operation::Read, "x"), &circumstances(None));
    assert_eq!(
        (root.because().as_str(), root.decision.allowed),
        ("a token with the policy root may do everything", true)
    );
}

#[test]
fn denials_of_policies_about_secrets_and_those_that_do_not_count_now_are_told() {
    let secrets = json!({"allowed_secrets": ["prod.*"], "allowed_operations": ["read"]});
    let mut from_home = secrets.clone();
    from_home["conditions"] = json!({"source_cidrs": ["10.0.0.0/8"]});
    let policies = [
        policy("paths", &[("secret/*", &["read"]), ("clm/secrets/prod.x", &["deny"])]),
        about_secrets("home", from_home, false),
        about_secrets("never", secrets, true),
    ];
    let told = explained(&policies, Operation::Read, "clm/secrets/prod.db");
    assert_eq!(told.path, "secret/data/prod/db");
    assert!(told.because().starts_with("\"secret/data/prod/*\" of never denies, and the denial"), "{}", told.because());
    let rivals: Vec<_> = told.matching.iter().map(|candidate| (candidate.rule.path(), candidate.stage)).collect();
    assert_eq!(rivals, [("secret/data/prod/*", Stage::Denials), ("secret/*", Stage::Ruled)]);
    assert_eq!(told.idle.len(), 1);
    assert_eq!((&*told.idle[0].policy, told.idle[0].denies), ("home", false));
    assert!(told.idle[0].why.starts_with("source_cidrs"));
    let told = explained(&policies[..2], Operation::Read, "clm/secrets/prod.x");
    assert_eq!(told.because(), "\"clm/secrets/prod.x\" of paths denies the secret by its name");
    let request = AccessRequest::new(Operation::Read, "secret/data/prod/db");
    let acl = Arc::new(Acl::new(&policies[1..2]));
    let told = acl.explain(&request, &circumstances(Some("10.1.1.1")));
    assert!(told.because().ends_with("grants by itself, as each policy about secrets does") && told.idle.is_empty());
}

fn any_rule() -> impl Strategy<Value = (String, Vec<&'static str>)> {
    let part = prop_oneof![3 => "[ab]{1,2}", 1 => Just("+".to_owned())];
    let words = prop::sample::subsequence(vec!["read", "update", "list", "deny"], 1..4);
    (prop::collection::vec(part, 1..4), prop::option::of("[ab]{0,1}"), any::<bool>(), words).prop_map(
        |(parts, end, below, words)| {
            let end = end.map(|beginning| format!("/{beginning}*")).unwrap_or_default();
            (format!("{}{}{end}", if below { "secret/data/" } else { "" }, parts.join("/")), words)
        },
    )
}

fn any_about_secrets() -> impl Strategy<Value = (String, bool, bool)> {
    let part = prop_oneof![2 => "[ab]{1,2}", 1 => Just("*".to_owned())];
    (prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(".")), any::<bool>(), any::<bool>())
}

proptest! {
    #[test]
    fn an_explanation_says_what_is_decided_and_what_it_says_of_each_rule_is_so(
        rules in prop::collection::vec(any_rule(), 0..8),
        secrets in prop::collection::vec(any_about_secrets(), 0..4),
        parts in prop::collection::vec("[ab]{1,2}", 1..5),
        (way, slash) in (0..3, any::<bool>()),
        operation in prop::sample::select(vec![Operation::Read, Operation::Update, Operation::List]),
    ) {
        let path = match way {
            0 => format!("{}{}", parts.join("/"), if slash { "/" } else { "" }),
            1 => format!("secret/data/{}", parts.join("/")),
            _ => format!("clm/secrets/{}", parts.join(".")),
        };
        let mut policies: Vec<Policy> = rules
            .iter()
            .enumerate()
            .map(|(number, (path, words))| policy(&format!("p{number}"), &[(path, words)]))
            .collect();
        for (number, (wildcard, denies, conditional)) in secrets.iter().enumerate() {
            let mut document = json!({"allowed_secrets": [wildcard], "allowed_operations": ["read", "update"]});
            if *conditional {
                document["conditions"] = json!({"source_cidrs": ["10.0.0.0/8"]});
            }
            policies.push(about_secrets(&format!("s{number}"), document, *denies));
        }
        let acl = Arc::new(Acl::new(&policies));
        let request = AccessRequest::new(operation, &path);
        for at in [circumstances(None), circumstances(Some("10.0.0.1")), circumstances(Some("192.0.2.1"))] {
            let (decision, told) = (acl.at(&at).decide(&request), acl.explain(&request, &at));
            prop_assert_eq!((decision.allowed, decision.reason), (told.decision.allowed, told.decision.reason));
            let which = |rule: &Option<Arc<Rule>>| rule.as_ref().map(|rule| rule.matched.clone());
            prop_assert_eq!(which(&decision.rule), which(&told.decision.rule));
            // Whichever rule decided is among those that match.
            if let Some(rule) = &decision.rule {
                prop_assert!(told.matching.iter().any(|candidate| candidate.rule.matched == rule.matched), "{:?}", told);
            }
            // The first of those of which one decides alone is that one; and the others, in their order, would be without those before them.
            let ruled: Vec<_> = told.matching.iter().filter(|candidate| candidate.stage == Stage::Ruled).collect();
            for (number, candidate) in ruled.iter().enumerate() {
                prop_assert_eq!(candidate.lag.is_none(), number == 0);
                let gone: Vec<&str> = ruled[..number].iter().map(|before| before.rule.path()).collect();
                let left = rules.iter().filter(|(path, _)| !gone.contains(&path.as_str()));
                let left: Vec<Policy> = left.map(|(path, words)| policy("p", &[(path, words)])).collect();
                let decides = Acl::new(&left);
                let decides = decides.rule_for(&told.path, operation == Operation::List).map(|rule| rule.path());
                prop_assert_eq!(decides, Some(candidate.rule.path()));
            }
        }
    }
}

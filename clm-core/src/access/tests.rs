//! The decision against the reference's answers, and against its own description read plainly.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn acl(text: &str) -> Acl {
    Acl::new([&Policy::parse("p", text).expect("a policy")])
}

fn rule(path: &str, capabilities: &str) -> String {
    let list = capabilities.split(',').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(",");
    format!("path \"{path}\" {{ capabilities = [{list}] }}\n")
}

fn may(acl: &Acl, verb: &str, path: &str) -> bool {
    may_with(acl, verb, path, json!({}))
}

fn may_with(acl: &Acl, verb: &str, path: &str, fields: Value) -> bool {
    let operation = match verb {
        "create" => Operation::Create,
        "read" => Operation::Read,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        "list" => Operation::List,
        other => panic!("no operation {other}"),
    };
    let fields = fields.as_object().expect("an object");
    acl.decide(&AccessRequest { parameters: Some(fields), ..AccessRequest::new(operation, path) }).allowed
}

/// Rows: policy, then requests that may and requests that may not. Observed on a real server.
#[test]
fn the_rule_that_decides_is_the_references() {
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (
            &[("kv/a", "read")],
            &["read kv/a"],
            &["update kv/a", "delete kv/a", "list kv/a", "read kv/ab", "read kv/a/b"],
        ),
        (
            &[("kv/a*", "read,list")],
            &["read kv/a", "read kv/ab", "read kv/a/b", "list kv/a"],
            &["read kv/b", "list kv"],
        ),
        (&[("kv/a/*", "read,list")], &["read kv/a/b", "list kv/a", "list kv/a/"], &["read kv/a", "list kv"]),
        (&[("kv/a", "list")], &["list kv/a", "list kv/a/"], &["read kv/a", "list kv/a/b"]),
        (&[("kv/a/", "list")], &["list kv/a", "list kv/a/"], &["read kv/a", "list kv/a/b"]),
        (
            &[("kv/team/+/secret", "read")],
            &["read kv/team/x/secret"],
            &["read kv/team/x/other", "read kv/team/x/y/secret", "read kv/team/secret"],
        ),
        (
            &[("kv/+/x/+", "read,list")],
            &["read kv/team/x/other", "list kv/team/x", "list kv/team/x/y"],
            &["read kv/team/x/y/secret"],
        ),
        (
            &[("kv/*", "create,read,update,delete,list"), ("kv/a", "list")],
            &["list kv/a", "read kv/a/b"],
            &["read kv/a"],
        ),
        (
            &[("kv/*", "create,read,update,list"), ("kv/team/*", "read")],
            &["read kv/team/x/secret"],
            &["create kv/team/new", "list kv/team"],
        ),
        (&[("kv/team/*", "read"), ("kv/+/x/*", "update")], &["read kv/team/x/secret"], &["update kv/team/x/secret"]),
        (
            &[("kv/team/*", "read"), ("kv/team/+/secret", "deny")],
            &["read kv/team/x/other", "read kv/team/x/y/secret"],
            &["read kv/team/x/secret"],
        ),
        (
            &[("kv/team/+/+", "read"), ("kv/team/+/secret", "update")],
            &["update kv/team/x/secret"],
            &["read kv/team/x/secret"],
        ),
        (
            &[("kv/team/+/s*", "read"), ("kv/team/+/se*", "update")],
            &["update kv/team/x/secret"],
            &["read kv/team/x/secret"],
        ),
        (&[("kv/*", "deny"), ("kv/a", "read")], &["read kv/a"], &["read kv/b"]),
        (&[("kv/a", "read"), ("kv/a", "deny")], &[], &["read kv/a"]),
        (&[("kv/a", "read,deny")], &[], &["read kv/a"]),
        (&[("*", "read,list")], &["read sys/mounts", "list kv"], &["update kv/a"]),
    ];
    for (policy, may_do, may_not) in rows {
        let acl = acl(&policy.iter().map(|(path, capabilities)| rule(path, capabilities)).collect::<String>());
        for (requests, expected) in [(may_do, true), (may_not, false)] {
            for request in *requests {
                let (verb, path) = request.split_once(' ').expect("verb and path");
                assert_eq!(may(&acl, verb, path), expected, "{policy:?}: {request}");
            }
        }
    }
}

#[test]
fn a_token_can_be_held_to_one_key_and_one_verb() {
    let acl = acl(&rule("transit/sign/orders", "update"));
    assert!(may(&acl, "update", "transit/sign/orders"));
    for (verb, path) in [
        ("update", "transit/sign/other"),
        ("update", "transit/sign/orders/sha2-512"),
        ("update", "transit/keys/orders"),
        ("read", "transit/keys/orders"),
        ("update", "transit/verify/orders"),
        ("delete", "transit/sign/orders"),
    ] {
        assert!(!may(&acl, verb, path), "{verb} {path}");
    }
}

#[test]
fn fields_are_allowed_denied_and_required_as_the_reference_does() {
    let with = |line: &str| acl(&format!("path \"kv/a\" {{\n capabilities = [\"update\"]\n {line}\n}}"));
    let allowed = with("allowed_parameters = { x = [], y = [\"1\", \"two\"] }");
    let may_do = |acl: &Acl, fields: Value| may_with(acl, "update", "kv/a", fields);
    assert!(
        may_do(&allowed, json!({"x": "q"}))
            && may_do(&allowed, json!({"y": "1"}))
            && may_do(&allowed, json!({"X": "1"}))
    );
    for refused in [json!({"y": "3"}), json!({"y": 1}), json!({"z": "1"}), json!({"x": "1", "z": "1"})] {
        assert!(!may_do(&allowed, refused.clone()), "{refused}");
    }
    let others = with("allowed_parameters = { y = [\"1\"], \"*\" = [] }");
    assert!(may_do(&others, json!({"z": "1"})) && !may_do(&others, json!({"y": "2"})));
    let globs = with("allowed_parameters = { y = [\"pre*\", \"*post\"] }");
    assert!(
        may_do(&globs, json!({"y": "prefix"}))
            && may_do(&globs, json!({"y": "my-post"}))
            && !may_do(&globs, json!({"y": "other"}))
    );
    let denied = with("denied_parameters = { x = [], y = [\"bad\", \"no*\"] }");
    assert!(may_do(&denied, json!({"y": "ok"})));
    for refused in [json!({"x": "1"}), json!({"X": "1"}), json!({"y": "nope"})] {
        assert!(!may_do(&denied, refused.clone()), "{refused}");
    }
    let required = with("required_parameters = [\"a\", \"b\"]");
    assert!(!may_do(&required, json!({"a": "1"})) && may_do(&required, json!({"a": "1", "b": "2", "c": "3"})));
    assert!(!may_do(&with("min_wrapping_ttl = \"10s\""), json!({})), "an unwrapped request is refused");
}

#[test]
fn the_deciding_rule_and_its_policies_are_named() {
    let one = Policy::parse("one", &rule("kv/*", "read")).expect("one");
    let two = Policy::parse("two", &rule("kv/*", "list")).expect("two");
    let acl = Acl::new([&one, &two]);
    let decision = acl.decide(&AccessRequest::new(Operation::Update, "kv/a"));
    let matched = decision.rule.expect("a rule");
    let policies: Vec<&str> = matched.policies().iter().map(|name| &**name).collect();
    assert_eq!((decision.reason, matched.path(), policies), (Reason::NotGranted, "kv/*", vec!["one", "two"]));
    assert_eq!(acl.capabilities("kv/a"), ["list", "read"]);
    assert_eq!(acl.capabilities("elsewhere"), ["deny"]);
    assert_eq!(Acl::root().capabilities("anything"), ["root"]);
}

/// The precedence once more, read off its description word by word, without indexes.
fn plainly<'a>(rules: &'a [String], path: &str) -> Option<&'a str> {
    let wild = |rule: &str| rule.ends_with('*') || rule.split('/').any(|segment| segment == "+");
    let candidates = |path: &str| -> Option<&'a str> {
        let matching = rules.iter().filter(|rule| {
            wild(rule) && {
                let prefix = rule.ends_with('*');
                let parts: Vec<&str> = rule.trim_end_matches('*').split('/').collect();
                let given: Vec<&str> = path.split('/').collect();
                let last = parts.len() - 1;
                given.len() >= parts.len()
                    && (prefix || given.len() == parts.len())
                    && parts[..last].iter().zip(&given).all(|(part, given)| *part == "+" || part == given)
                    && if prefix {
                        given[last..].join("/").starts_with(parts[last])
                    } else {
                        parts[last] == "+" || parts[last] == given[last]
                    }
            }
        });
        matching.map(String::as_str).max_by_key(|rule| {
            let plus = rule
                .split('/')
                .scan(0, |at, segment| {
                    let here = *at;
                    *at += segment.len() + 1;
                    Some((here, segment))
                })
                .find(|(_, segment)| *segment == "+")
                .map(|(at, _)| at);
            let star = rule.ends_with('*').then(|| rule.len() - 1);
            let first = plus.into_iter().chain(star).min();
            let pluses = rule.split('/').filter(|segment| *segment == "+").count();
            (first, !rule.ends_with('*'), std::cmp::Reverse(pluses), rule.len(), rule.to_owned())
        })
    };
    let exact = |path: &str| rules.iter().find(|rule| !wild(rule) && *rule == path).map(String::as_str);
    let bare = path.strip_suffix('/');
    exact(path).or_else(|| exact(bare?)).or_else(|| candidates(path)).or_else(|| candidates(bare?))
}

fn rule_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("+".to_owned()), Just("ab".to_owned())];
    (prop::collection::vec(segment, 1..4), any::<bool>(), prop_oneof![Just(""), Just("a"), Just("b")]).prop_map(
        |(segments, prefix, stem)| {
            if prefix { format!("{}/{stem}*", segments.join("/")) } else { segments.join("/") }
        },
    )
}

proptest! {
    #[test]
    fn the_compiled_rules_choose_as_their_description_does(
        mut rules in prop::collection::vec(rule_path(), 1..12),
        path in "(a|b|ab)(/(a|b|ab)){0,3}/?",
    ) {
        rules.sort();
        rules.dedup();
        let acl = acl(&rules.iter().map(|path| rule(path, "read")).collect::<String>());
        let chosen = acl.rule_for(&path, false).map(|rule| rule.path().to_owned());
        prop_assert_eq!(chosen.as_deref(), plainly(&rules, &path));
    }
}

#[test]
fn hcl_of_old_and_json_say_the_same() {
    let hcl = "# keys\npath \"transit/sign/app\" { capabilities = [\"update\"] min_wrapping_ttl = \"0s\" }\n/* all */ path \"kv/*\" {\n  \"policy\" = \"read\" // old form\n}\n";
    let json = r#"{"path": {"transit/sign/app": {"capabilities": ["update"]}, "kv/*": {"policy": "read"}}}"#;
    for text in [hcl, json] {
        let acl = acl(text);
        assert!(
            may(&acl, "update", "transit/sign/app") && may(&acl, "list", "kv/a") && !may(&acl, "update", "kv/a"),
            "{text}"
        );
    }
}

#[test]
fn faults_are_named() {
    let fault = |text: &str| Policy::parse("p", text).expect_err("must be refused").to_string();
    assert_eq!(
        fault("path \"a\" { capabilities = [\"reed\"] }"),
        "failed to parse policy: path \"a\": invalid capability \"reed\""
    );
    assert!(fault("path \"a/+*\" { capabilities = [\"read\"] }").contains("a/+*"));
    assert!(fault("path \"a\" { capabilities = [").starts_with("failed to parse policy: "));
}

#[test]
fn the_default_policy_lets_a_token_look_after_itself_and_nothing_else() {
    let acl = acl(DEFAULT_POLICY);
    for (verb, path) in
        [("read", "auth/token/lookup-self"), ("update", "auth/token/renew-self"), ("update", "sys/capabilities-self")]
    {
        assert!(may(&acl, verb, path), "{verb} {path}");
    }
    for (verb, path) in [
        ("update", "auth/token/lookup-self"),
        ("update", "auth/token/create"),
        ("read", "sys/mounts"),
        ("update", "transit/sign/k"),
    ] {
        assert!(!may(&acl, verb, path), "{verb} {path}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        drop(Policy::parse("p", &text));
    }
}

#[test]
fn policies_above_a_namespace_name_its_paths_with_the_namespace_in_front() {
    let policy = Policy::parse(
        "p",
        r#"path "team/kv/*" { capabilities = ["read"] }
           path "team/sys/seal" { capabilities = ["update"] }
           path "team/secret/data/prod/*" { capabilities = ["read"] }
           path "team/clm/secrets/prod.b" { capabilities = ["deny"] }
           path "kv/*" { capabilities = ["update"] }"#,
    )
    .expect("a policy");
    let acl = Acl::new(&[policy]);
    let may = |operation, path| acl.decide_below("team/", &AccessRequest::new(operation, path));
    assert!(may(Operation::Read, "kv/a").allowed && !may(Operation::Update, "kv/a").allowed);
    assert_eq!(may(Operation::Update, "sys/seal").reason, Reason::NeedsSudo, "by the path inside");
    // Names of secrets stand for paths there as well.
    assert!(may(Operation::Read, "clm/secrets/prod.a").allowed && !may(Operation::Read, "clm/secrets/prod.b").allowed);
    assert!(!acl.decide_below("other/", &AccessRequest::new(Operation::Read, "kv/a")).allowed);
    assert_eq!(acl.capabilities_below("team/", "kv/a"), ["read"]);
    assert_eq!((acl.capabilities("kv/a"), acl.capabilities_below("team/", "x")), (vec!["update"], vec!["deny"]));
}

//! Policies about secrets: their compilation against what they mean.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn compiled(wildcards: &[&str], operations: &[&str], denies: bool) -> Policy {
    let text = json!({"allowed_secrets": wildcards, "allowed_operations": operations}).to_string();
    SecretsPolicy::parse(&text).expect("a document").compile("p", denies)
}

fn may(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.decide(&AccessRequest::new(operation, path)).allowed
}

/// What a wildcard means, read off part by part.
fn fits(wildcard: &[&str], name: &[&str]) -> bool {
    match (wildcard.split_first(), name.split_first()) {
        (None, None) => true,
        // A final `*`: whatever follows, with what stands before it.
        (Some((last, [])), Some((part, _))) if last.ends_with('*') && *last != "*" => {
            part.starts_with(last.trim_end_matches('*'))
        }
        (Some((&"*", [])), Some(_)) => true,
        (Some((&"*", rest)), Some((_, left))) => fits(rest, left),
        (Some((part, rest)), Some((own, left))) => part == own && fits(rest, left),
        _ => false,
    }
}

fn wildcard() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => "[ab]{1,2}", 2 => Just("*".to_owned())];
    (prop::collection::vec(part, 1..4), prop::option::of("[ab]{0,2}")).prop_map(|(mut parts, end)| {
        parts.extend(end.map(|beginning| format!("{beginning}*")));
        parts.join(".")
    })
}

proptest! {
    #[test]
    fn a_wildcard_over_names_and_its_rules_over_paths_fit_the_same_secrets(
        wildcards in prop::collection::vec(wildcard(), 1..4), name in "[ab]{1,2}(\\.[ab]{1,2}){0,4}",
    ) {
        let wildcards: Vec<&str> = wildcards.iter().map(String::as_str).collect();
        let parts: Vec<&str> = name.split('.').collect();
        let expected = wildcards.iter().any(|wildcard| fits(&wildcard.split('.').collect::<Vec<_>>(), &parts));
        let path = format!("secret/data/{}", path_of_name(&name).expect("a name"));
        let grants = Acl::new([&compiled(&wildcards, &["read"], false)]);
        let everything = Policy::parse("all", "path \"*\" { capabilities = [\"read\", \"update\"] }").expect("a policy");
        let denies = Acl::new([&everything, &compiled(&wildcards, &["read"], true)]);
        for asked in [path.clone(), format!("clm/secrets/{name}")] {
            prop_assert_eq!(may(&grants, Operation::Read, &asked), expected, "{:?} {}", wildcards, asked);
            prop_assert_eq!(may(&denies, Operation::Read, &asked), !expected, "{:?} {}", wildcards, asked);
            prop_assert!(!may(&grants, Operation::Update, &asked) && may(&denies, Operation::Update, &asked));
            prop_assert_eq!(grants.capabilities(&asked), [if expected { "read" } else { "deny" }]);
        }
    }
}

#[test]
fn each_grants_by_itself_and_a_denial_beats_however_narrow_a_grant() {
    let wide = compiled(&["prod.*"], &["read"], false);
    let narrow = compiled(&["prod.db.password"], &["rotate", "update"], false);
    let acl = Acl::new([&wide, &narrow]);
    let path = "secret/data/prod/db/password";
    assert!(may(&acl, Operation::Read, path) && may(&acl, Operation::Update, path));
    assert!(may(&acl, Operation::Update, "clm/secrets/prod.db.password/rotate"));
    assert!(!may(&acl, Operation::Update, "clm/secrets/prod.db.other/rotate"));
    let denial = compiled(&["prod.db.*"], &["read"], true);
    let acl = Acl::new([&wide, &narrow, &denial]);
    let decision = acl.decide(&AccessRequest::new(Operation::Read, path));
    assert_eq!((decision.allowed, decision.reason), (false, Reason::Denied));
    assert_eq!(decision.rule.expect("a rule").path(), "secret/data/prod/db/*");
    assert!(may(&acl, Operation::Update, path) && may(&acl, Operation::Read, "secret/data/prod/web/key"));
    assert_eq!(acl.capabilities(path), ["patch", "update"]);
}

#[test]
fn rules_of_both_kinds_go_together() {
    let of_paths = |text: &str| Policy::parse("paths", text).expect("a policy");
    let granting = compiled(&["prod.db.x"], &["read"], false);
    let forbidding = of_paths("path \"secret/data/prod/*\" { capabilities = [\"deny\"] }");
    assert!(!may(&Acl::new([&granting, &forbidding]), Operation::Read, "secret/data/prod/db/x"));
    let by_name = of_paths("path \"clm/*\" { capabilities = [\"deny\"] }");
    let acl = Acl::new([&granting, &by_name]);
    assert!(
        may(&acl, Operation::Read, "secret/data/prod/db/x") && !may(&acl, Operation::Read, "clm/secrets/prod.db.x")
    );
    // A rule on paths decides about names as well, and one on the name's own path grants nothing.
    let acl = Acl::new([&of_paths("path \"secret/data/prod/*\" { capabilities = [\"read\"] }")]);
    assert!(may(&acl, Operation::Read, "clm/secrets/prod.db.x") && !may(&acl, Operation::Read, "clm/secrets/test.x"));
    let acl = Acl::new([&of_paths("path \"clm/secrets/*\" { capabilities = [\"read\"] }")]);
    assert!(!may(&acl, Operation::Read, "clm/secrets/prod.db.x"));
}

#[test]
fn operations_are_what_the_engine_needs_for_them() {
    use Operation::{Create, Delete, List, Patch, Read, Update};
    let everything = [
        (Read, "secret/data/a/b"),
        (Read, "secret/subkeys/a/b"),
        (Read, "secret/metadata/a/b"),
        (List, "secret/metadata/a"),
        (Create, "secret/data/a/b"),
        (Update, "secret/data/a/b"),
        (Patch, "secret/data/a/b"),
        (Update, "secret/metadata/a/b"),
        (Delete, "secret/data/a/b"),
        (Delete, "secret/metadata/a/b"),
        (Update, "secret/destroy/a/b"),
        (Update, "secret/undelete/a/b"),
        (Update, "clm/secrets/a.b/rotate"),
        (Read, "clm/secrets"),
        (Read, "secret/config"),
        (Delete, "secret/data/b"),
    ];
    for (operation, allowed) in [
        ("read", &[0, 1, 2, 13][..]),
        ("list", &[3, 13]),
        ("create", &[4]),
        ("update", &[5, 6, 7]),
        ("write", &[4, 5, 6, 7]),
        ("delete", &[8, 9, 10, 11]),
        ("rotate", &[12]),
    ] {
        let acl = Acl::new([&compiled(&["a.*"], &[operation], false)]);
        let may_do: Vec<usize> =
            (0..everything.len()).filter(|at| may(&acl, everything[*at].0, everything[*at].1)).collect();
        assert_eq!(may_do, allowed, "{operation}");
    }
}

#[test]
fn documents_that_say_what_cannot_be_are_refused() {
    for bad in [
        json!({}),
        json!({"allowed_secrets": [], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a"], "allowed_operations": []}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["reed"]}),
        json!({"allowed_secrets": ["a/b"], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a*b"], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a.b*.c"], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a..b"], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a.**"], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": [""], "allowed_operations": ["read"]}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "more": 1}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": {"when": 1}}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": {"source_cidrs": ["x"]}}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": {"max_ttl_seconds": 0}}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": {"time_window": {"start": "9"}}}),
        json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": {"time_window": {"start": "09:00", "end": "17:00", "days": ["noday"]}}}),
    ] {
        assert!(SecretsPolicy::parse(&bad.to_string()).is_err(), "{bad}");
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[test]
fn a_policy_whose_conditions_do_not_hold_is_not_there() {
    let made = at("2026-11-27T12:00:00Z");
    let with = |conditions: serde_json::Value, denies: bool| {
        let text = json!({"allowed_secrets": ["a"], "allowed_operations": ["read"], "conditions": conditions});
        SecretsPolicy::parse(&text.to_string()).expect("a document").compile("p", denies)
    };
    let asked = |policies: Vec<Policy>, now: &str, source: Option<&str>| {
        let source = source.map(|source| source.parse().expect("an address"));
        let acl = Arc::new(Acl::new(&policies)).at(&Circumstances { now: at(now), source, token_made: made });
        may(&acl, Operation::Read, "secret/data/a")
    };
    let weekdays =
        json!({"time_window": {"start": "09:00", "end": "17:00", "days": ["mon", "tue", "wed", "thu", "fri"]}});
    let night = json!({"time_window": {"start": "22:00", "end": "06:00", "days": ["fri"]}});
    let office = json!({"source_cidrs": ["10.0.0.0/8", "192.0.2.7"]});
    let hour = json!({"max_ttl_seconds": 3600});
    // 27 November 2026 is a Friday.
    for (conditions, now, source, holds) in [
        (&weekdays, "2026-11-27T09:00:00Z", None, true),
        (&weekdays, "2026-11-27T08:59:59Z", None, false),
        (&weekdays, "2026-11-27T17:00:00Z", None, false),
        (&weekdays, "2026-11-28T12:00:00Z", None, false),
        (&night, "2026-11-27T23:00:00Z", None, true),
        (&night, "2026-11-28T05:59:00Z", None, true),
        (&night, "2026-11-27T05:59:00Z", None, false),
        (&night, "2026-11-28T23:00:00Z", None, false),
        (&office, "2026-11-27T12:00:00Z", Some("10.1.2.3"), true),
        (&office, "2026-11-27T12:00:00Z", Some("::ffff:192.0.2.7"), true),
        (&office, "2026-11-27T12:00:00Z", Some("192.0.2.8"), false),
        (&office, "2026-11-27T12:00:00Z", None, false),
        (&hour, "2026-11-27T12:59:59Z", None, true),
        (&hour, "2026-11-27T13:00:00Z", None, false),
    ] {
        assert_eq!(asked(vec![with(conditions.clone(), false)], now, source), holds, "{conditions} {now} {source:?}");
        // A denial from an address that is not known counts.
        let unknown = source.is_none() && conditions.get("source_cidrs").is_some();
        let both = vec![with(json!({}), false), with(conditions.clone(), true)];
        assert_eq!(asked(both, now, source), !(holds || unknown), "{conditions} {now} {source:?}");
    }
    let always = Arc::new(Acl::new(&[with(hour, false)]));
    let moment = |seconds| Circumstances { now: made + TimeDelta::seconds(seconds), source: None, token_made: made };
    assert!(may(&always.at(&moment(0)), Operation::Read, "secret/data/a"));
    assert!(!may(&always.at(&moment(3600)), Operation::Read, "secret/data/a"));
    assert!(may(&always.at(&moment(1)), Operation::Read, "secret/data/a"));
}

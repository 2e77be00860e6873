//! All policies of a token, compiled to one decision.

use super::capability::{Capabilities, Capability};
use super::parameters::Parameters;
use super::pattern::Pattern;
use super::policy::Policy;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'a> {
    /// Path without `/v1/`; of a list, with a slash at its end.
    pub path: &'a str,
    /// What is to be done.
    pub capability: Capability,
    /// The path is one of those that also need `sudo`.
    pub needs_sudo: bool,
    /// Fields of the request.
    pub fields: &'a Map<String, Value>,
    /// The answer is to be wrapped.
    pub wrapped: bool,
}

/// What was decided, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// May, by this rule; a root token needs none.
    Allowed(Option<Matched>),
    /// May not.
    Refused(Refusal, Option<Matched>),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The rule denies.
    Denied,
    /// The rule that decides does not grant it, or there is none.
    NotGranted,
    /// The rule speaks against a field, or asks for one that is missing.
    Parameters,
    /// The path needs `sudo` as well.
    Sudo,
    /// The rule asks for a wrapped answer.
    Wrapping,
}

/// A rule that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Its path.
    pub path: Arc<str>,
    /// Policies that have it.
    pub policies: Arc<[String]>,
}

/// Compiled policies.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    root: bool,
    exact: HashMap<String, Entry>,
    /// Wildcard rules by their first segment, strongest first; those whose first segment is not literal under the empty name.
    wild: HashMap<String, Vec<(Pattern, Entry)>>,
}

#[derive(Clone, Debug)]
struct Entry {
    capabilities: Capabilities,
    /// Of each rule with this path that says something of fields: all must permit.
    parameters: Vec<Parameters>,
    must_wrap: bool,
    matched: Matched,
}

impl Acl {
    /// The root policy: everything.
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// Rules of the same path text, in one policy or several, are one rule; `deny` beats all in it.
    pub fn compile<'a>(policies: impl IntoIterator<Item = (&'a str, &'a Policy)>) -> Self {
        let mut rules: HashMap<Pattern, (Capabilities, Vec<Parameters>, bool, Vec<String>)> = HashMap::new();
        for (name, policy) in policies {
            for rule in &policy.rules {
                let (capabilities, parameters, must_wrap, names) = rules.entry(rule.pattern.clone()).or_default();
                *capabilities = capabilities.union(rule.capabilities);
                if rule.parameters != Parameters::default() {
                    parameters.push(rule.parameters.clone());
                }
                *must_wrap |= rule.must_wrap;
                if names.last().is_none_or(|last| last != name) {
                    names.push(name.to_owned());
                }
            }
        }
        let mut acl = Self::default();
        for (pattern, (capabilities, parameters, must_wrap, names)) in rules {
            let matched = Matched { path: pattern.as_str().into(), policies: names.into() };
            let entry = Entry { capabilities, parameters, must_wrap, matched };
            if pattern.is_exact() {
                acl.exact.insert(pattern.as_str().to_owned(), entry);
            } else {
                let bucket = pattern.literal().split_once('/').map_or("", |(segment, _)| segment).to_owned();
                acl.wild.entry(bucket).or_default().push((pattern, entry));
            }
        }
        for bucket in acl.wild.values_mut() {
            bucket.sort_by(|(one, _), (other, _)| other.strength(one));
        }
        acl
    }

    /// Is this the root policy?
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Decides; only one rule counts.
    pub fn decide(&self, request: AccessRequest<'_>) -> Decision {
        if self.root {
            return Decision::Allowed(None);
        }
        let Some(entry) = self.rule(request.path) else { return Decision::Refused(Refusal::NotGranted, None) };
        let refuse = |why| Decision::Refused(why, Some(entry.matched.clone()));
        let has = |capability| entry.capabilities.contains(capability);
        if has(Capability::Deny) {
            return refuse(Refusal::Denied);
        }
        if !has(request.capability) {
            return refuse(Refusal::NotGranted);
        }
        if request.needs_sudo && !has(Capability::Sudo) {
            return refuse(Refusal::Sudo);
        }
        if entry.must_wrap && !request.wrapped {
            return refuse(Refusal::Wrapping);
        }
        let writes = matches!(request.capability, Capability::Create | Capability::Update | Capability::Patch);
        if writes && !entry.parameters.iter().all(|parameters| parameters.permit(request.fields)) {
            return refuse(Refusal::Parameters);
        }
        Decision::Allowed(Some(entry.matched.clone()))
    }

    /// As `sys/capabilities` answers: sorted names, `root`, or `deny`.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        match self.rule(path).map(|entry| entry.capabilities) {
            Some(set) if set != Capabilities::default() && !set.contains(Capability::Deny) => {
                set.iter().map(Capability::name).collect()
            }
            _ => vec!["deny"],
        }
    }

    /// The rule that decides. A path with a slash at its end is looked for with it first.
    fn rule(&self, path: &str) -> Option<&Entry> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let bare = path.strip_suffix('/');
        self.exact
            .get(path)
            .or_else(|| self.exact.get(bare?))
            .or_else(|| self.strongest(path))
            .or_else(|| self.strongest(bare?))
    }

    fn strongest(&self, path: &str) -> Option<&Entry> {
        let first = |bucket: &str| self.wild.get(bucket)?.iter().find(|(pattern, _)| pattern.matches(path));
        let segment = path.split_once('/').map_or(path, |(segment, _)| segment);
        let (named, any) = (if segment.is_empty() { None } else { first(segment) }, first(""));
        let stronger = match (named, any) {
            (Some(named), Some(any)) if any.0.strength(&named.0).is_gt() => Some(any),
            (named, any) => named.or(any),
        };
        stronger.map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn acl(text: &str) -> Acl {
        let policy = Policy::parse(text).expect("a policy");
        Acl::compile([("p", &policy)])
    }

    fn rule(path: &str, capabilities: &str) -> String {
        let list = capabilities.split(',').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(",");
        format!("path \"{path}\" {{ capabilities = [{list}] }}\n")
    }

    fn may(acl: &Acl, verb: &str, path: &str) -> bool {
        may_with(acl, verb, path, json!({}))
    }

    fn may_with(acl: &Acl, verb: &str, path: &str, fields: Value) -> bool {
        let capability = Capability::parse(verb).expect("a capability");
        let path = if verb == "list" && !path.ends_with('/') { format!("{path}/") } else { path.to_owned() };
        let fields = fields.as_object().expect("an object").clone();
        let request = AccessRequest { path: &path, capability, needs_sudo: false, fields: &fields, wrapped: false };
        matches!(acl.decide(request), Decision::Allowed(_))
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
            (
                &[("kv/team/*", "read"), ("kv/+/x/*", "update")],
                &["read kv/team/x/secret"],
                &["update kv/team/x/secret"],
            ),
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
        let (one, two) =
            (Policy::parse(&rule("kv/*", "read")).expect("one"), Policy::parse(&rule("kv/*", "list")).expect("two"));
        let acl = Acl::compile([("one", &one), ("two", &two)]);
        let request = AccessRequest {
            path: "kv/a",
            capability: Capability::Update,
            needs_sudo: false,
            fields: &Map::new(),
            wrapped: false,
        };
        let Decision::Refused(Refusal::NotGranted, Some(matched)) = acl.decide(request) else {
            panic!("must be refused")
        };
        assert_eq!((&*matched.path, &*matched.policies), ("kv/*", &["one".to_owned(), "two".to_owned()][..]));
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
        let segment =
            prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("+".to_owned()), Just("ab".to_owned())];
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
            let chosen = acl.rule(&path).map(|entry| entry.matched.path.to_string());
            prop_assert_eq!(chosen.as_deref(), plainly(&rules, &path));
        }
    }
}

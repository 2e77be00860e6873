//! What strangers send as policies: texts that are nearly right, and texts that are not. `make test` tries some hundred, `make fuzz` as many as
//! there is time for; what failed once is tried again first (`proptest-regressions/`).

use super::*;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use std::fmt::Write;
use std::sync::Arc;

/// Pieces of the languages of policies.
const PIECES: &[&str] = &[
    "path",
    "\"kv/*\"",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    ":",
    "capabilities",
    "[\"read\"]",
    "\"read\"",
    "\"deny\"",
    "policy",
    "\"sudo\"",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "\"1h\"",
    "<<EOF\n",
    "<<-X\n",
    "EOF\n",
    "X\n",
    "${",
    "$",
    "\\",
    "\\x4",
    "\\u00e9",
    "\\U0010ffff",
    "#",
    "//",
    "/*",
    "*/",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\u{feff}",
    "\u{0}",
    "ä",
    "-",
    "+",
    "*",
    "+*",
    "0x",
    "1e999",
    "-1",
    "9223372036854775808",
    "true",
    "null",
    "{{identity.entity.id}}",
    "{{",
    "}}",
    "name",
    "a",
    "/",
    "length",
    "rule",
    "\"charset\"",
    "min-chars",
    "allowed_secrets",
    "allowed_operations",
    "conditions",
    "time_window",
    "source_cidrs",
    "\"prod.*\"",
];

fn soup() -> impl Strategy<Value = String> {
    let piece = (prop::sample::select(PIECES), prop_oneof![20 => Just(1_usize), 1 => 1..20_000_usize]);
    prop::collection::vec(piece, 0..40)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, times)| piece.repeat(times)).collect())
}

/// The same again and again inside itself: whoever reads or forgets it step by step needs a bound.
fn nested() -> impl Strategy<Value = String> {
    let kinds = vec![
        ("a ", "= 1", ""),
        ("\"a\"", "{}", ""),
        ("a {", "", "}"),
        ("a = [", "1", "]"),
        ("a = {", "", "}"),
        ("path \"a\" {", "", "}"),
        ("{\"a\":", "1", "}"),
        ("[", "", "]"),
        ("{\"path\":[", "", "]}"),
    ];
    let times = prop_oneof![1..40_usize, 1..50_000_usize];
    (prop::sample::select(kinds), times, any::<bool>()).prop_map(|((open, inside, close), times, closed)| {
        format!("{}{inside}{}", open.repeat(times), close.repeat(if closed { times } else { 0 }))
    })
}

/// Rules as somebody could have meant them.
#[derive(Clone, Debug)]
struct Meant {
    path: String,
    words: Vec<&'static str>,
    required: Vec<String>,
    wrapping: Option<(u64, u64)>,
}

fn meant() -> impl Strategy<Value = Vec<Meant>> {
    let part = prop_oneof![4 => "[ab]{1,2}", 1 => Just("+".to_owned()), 1 => "[ -~äπ]{1,3}"];
    let path = (prop::collection::vec(part, 1..4), any::<bool>()).prop_map(|(parts, open)| {
        let path = parts.join("/").replace("+*", "+").replace("{{", "{").replace("}}", "}");
        if open { format!("{path}/*") } else { path }
    });
    let path = path.prop_filter("what no policy may write", |path| !path.contains("+*") && !path.contains("${"));
    let words = prop::sample::subsequence(vec!["create", "deny", "list", "read", "sudo", "update"], 0..4);
    let wrapping = prop::option::of((0..50_u64, 50..100_u64));
    let rule = (path, words, prop::collection::vec("[abc]", 0..2), wrapping)
        .prop_map(|(path, words, required, wrapping)| Meant { path, words, required, wrapping });
    prop::collection::vec(rule, 0..5)
}

/// In the one language, with blanks, comments and commas where `style` says.
fn hcl(rules: &[Meant], style: u64) -> String {
    let mut turn = style;
    let mut pick = |choices: &[&'static str]| {
        turn = turn.rotate_right(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        choices[usize::try_from(turn >> 40).unwrap_or(0) % choices.len()]
    };
    let mut text = String::new();
    for rule in rules {
        let Meant { path, words, required, wrapping } = rule;
        let blank = |pick: &mut dyn FnMut(&[&'static str]) -> &'static str| {
            pick(&["", " ", "\n", "\r\n\t", " # c } \"\n", "/* \" } */", "// [\n"])
        };
        // Writing to a String does not fail; JSON's escapes are HCL's, too.
        let _ = write!(text, "path{}{} {{{}", pick(&[" ", "\t"]), serde_json::json!(path), blank(&mut pick));
        let quotes = pick(&["", "\""]);
        let _ = write!(text, "{quotes}capabilities{quotes} = {}{}", serde_json::json!(words), pick(&["\n", ",", " "]));
        if !required.is_empty() {
            let _ = writeln!(text, "required_parameters = {}", serde_json::json!(required));
        }
        if let Some((least, most)) = wrapping {
            let _ = write!(text, "min_wrapping_ttl = {least} max_wrapping_ttl = \"{most}s\"{}", blank(&mut pick));
        }
        let _ = write!(text, "}}{}", pick(&["\n", " ", "\n\n# end\n"]));
    }
    text
}

/// In the other.
fn json(rules: &[Meant]) -> String {
    let blocks: Vec<String> = rules
        .iter()
        .map(|Meant { path, words, required, wrapping }| {
            let mut body = serde_json::json!({ "capabilities": words, "required_parameters": required });
            if let Some((least, most)) = wrapping {
                body["min_wrapping_ttl"] = format!("{least}s").into();
                body["max_wrapping_ttl"] = (*most).into();
            }
            format!("{}: {body}", serde_json::json!(path))
        })
        .collect();
    format!("{{\"path\": {{{}}}}}", blocks.join(", "))
}

/// A text with some of its characters gone, doubled, replaced or moved.
fn damaged(text: &str, blows: &[(usize, u8, usize)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, kind, other) in blows {
        if characters.is_empty() {
            break;
        }
        let (at, other) = (at % characters.len(), other % characters.len());
        match kind % 4 {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, characters[other]),
            2 => characters.swap(at, other),
            _ => {
                let piece: Vec<char> = PIECES[other % PIECES.len()].chars().collect();
                characters.splice(at..at, piece);
            }
        }
    }
    characters.into_iter().collect()
}

fn blows() -> impl Strategy<Value = Vec<(usize, u8, usize)>> {
    prop::collection::vec(any::<(usize, u8, usize)>(), 0..6)
}

/// Reads a text as everything that it could be, and uses what comes of it.
fn bear(text: &str) {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let at = Circumstances { now, source: None, token_made: now };
    let read = Policy::parse("p", text).ok().into_iter().chain(
        SecretsPolicy::parse(text)
            .ok()
            .into_iter()
            .flat_map(|document| [document.compile("s", false), document.compile("d", true)]),
    );
    drop(PasswordPolicy::parse(text).map(|policy| policy.generate()));
    let subject = Subject { id: "a".into(), name: "b".into(), ..Subject::default() };
    for policy in read {
        drop(policy.broken_template().map(str::to_owned));
        let acl = Arc::new(CompiledPolicies::new([&policy]).acl(Some(&subject)));
        for path in ["", "/", "a", "a/b/", "kv/a", "secret/data/prod/x", "clm/secrets/prod.x", "sys/seal"] {
            for operation in Operation::ALL {
                let request = AccessRequest::new(operation, path);
                let told = acl.explain(&request, &at);
                assert_eq!(acl.at(&at).decide(&request).allowed, told.decision.allowed);
                assert!(!told.because().is_empty());
            }
            assert!(!acl.capabilities(path).is_empty());
        }
        drop((acl.rules(), acl.touches("kv/")));
    }
}

proptest! {
    #[test]
    fn fuzz_policies_that_are_none(text in soup()) {
        bear(&text);
    }

    #[test]
    fn fuzz_policies_that_are_nested(text in nested()) {
        bear(&text);
    }

    #[test]
    fn fuzz_policies_that_were_damaged(rules in meant(), style in any::<u64>(), blows in blows(), as_json in any::<bool>()) {
        let text = if as_json { json(&rules) } else { hcl(&rules, style) };
        bear(&damaged(&text, &blows));
    }

    #[test]
    fn fuzz_documents_about_secrets_that_were_damaged(
        names in prop::collection::vec("[a-z*]{1,3}(\\.[a-z*]{1,3}){0,3}", 0..4), blows in blows(), days in "[a-z]{0,3}",
    ) {
        let document = serde_json::json!({
            "allowed_secrets": names, "allowed_operations": ["read", "write"],
            "conditions": {"time_window": {"start": "22:00", "end": "06:00", "days": [days]}, "source_cidrs": ["10.0.0.0/8", "::1"], "max_ttl_seconds": 5},
        });
        bear(&damaged(&document.to_string(), &blows));
    }

    #[test]
    fn fuzz_policies_that_say_the_same_in_both_languages(
        rules in meant(), style in any::<u64>(), path in "[ab]{1,2}(/[ab]{1,2}){0,3}/?", ttl in prop::option::of(0..120_u64),
        fields in prop::collection::vec("[abc]", 0..3),
    ) {
        let (one, other) = (hcl(&rules, style), json(&rules));
        let parsed = |text: &str| Policy::parse("p", text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")));
        let (one, other) = (Acl::new([&parsed(&one)?]), Acl::new([&parsed(&other)?]));
        let fields = fields.into_iter().map(|name| (name, "x".into())).collect();
        for operation in Operation::ALL {
            for path in rules.iter().map(|rule| rule.path.as_str()).chain([path.as_str()]) {
                let request = AccessRequest { path, operation, parameters: Some(&fields), wrap_ttl: ttl };
                let (one, other) = (one.decide(&request), other.decide(&request));
                prop_assert_eq!((one.allowed, one.reason), (other.allowed, other.reason), "{} {:?}", path, operation);
            }
        }
    }
}

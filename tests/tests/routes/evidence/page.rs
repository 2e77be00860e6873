//! docs/EVIDENCE.md.

use super::exceptions::EXCEPTIONS;
use super::judge::Finding;
use softhsm_fault::log::{Call, Object};
use std::fmt::Write;

/// One request of one verb.
pub(super) struct Line {
    /// Type of key; empty: none, or the one of the table of routes.
    pub(super) kind: &'static str,
    pub(super) id: &'static str,
    pub(super) finding: Finding,
    pub(super) calls: Vec<Call>,
}

const HEAD: &str = "# Evidence that keys stay inside

`make evidence` calls every route of the API, and those of keys for every type of key, on SoftHSM2 behind a PKCS#11 module that tells of each call, and
writes this page. `software` says whether this software had a secret of its own. It is judged from the answer and the calls, not declared: a
signature needs C_Sign, a plaintext C_Decrypt, an HMAC C_Sign, a ciphertext C_Encrypt, by a key of the caller's which the token itself calls
sensitive and not extractable; no request may ask for CKA_VALUE or a private component, unwrap a key as extractable or create one from bytes; a new
key is generated in the token, and an extractable one wrapped and destroyed in the same request; so is one that an import unwraps. A field of an
answer that nobody has judged is a yes. A yes that is not on the list below ends `make evidence`, and `make test`, with an error, and so does a route that is not called.

Calls are shown once each, without those of finding objects, logging in and signing checkpoints. `init` and `unseal` start workers, whose probes of
the token are among their calls.
";

/// The whole page.
pub(super) fn page(lines: &[Line], missing: &[&str]) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n## The closed list\n\n| exception | why |\n|---|---|");
    for exception in EXCEPTIONS {
        let _ = writeln!(text, "| {} | {} |", exception.what, exception.why);
    }
    let _ = writeln!(text, "\n## Keys\n\n| key | verb | software | why | PKCS#11 calls |\n|---|---|---|---|---|");
    for line in lines.iter().filter(|line| !line.kind.is_empty()) {
        let _ = writeln!(text, "| {} {} |", line.kind, row(line));
    }
    let _ = writeln!(text, "\nThis token makes no keys of the types {}.", missing.join(", "));
    let _ = writeln!(text, "\n## All routes\n\n| verb | software | why | PKCS#11 calls |\n|---|---|---|---|");
    for line in lines.iter().filter(|line| line.kind.is_empty()) {
        let _ = writeln!(text, "{} |", row(line));
    }
    text
}

fn row(line: &Line) -> String {
    let (software, why) = match &line.finding {
        Finding::Token(why) => ("no", why),
        Finding::Software(_, why) => ("**yes**", why),
    };
    let mut calls: Vec<String> = Vec::new();
    for call in line.calls.iter().map(shown) {
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    format!("| {} | {software} | {why} | {}", line.id, calls.join(", "))
}

fn shown(call: &Call) -> String {
    let extractable = match call.template.get("CKA_EXTRACTABLE").and_then(Option::as_deref) {
        Some("true") => Some("extractable".to_owned()),
        Some(_) => Some("not extractable".to_owned()),
        None => None,
    };
    let own = call.object.as_ref().and_then(named);
    let details: Vec<String> = [call.mechanism.clone(), own, extractable].into_iter().flatten().collect();
    if details.is_empty() { call.function.clone() } else { format!("{}({})", call.function, details.join(", ")) }
}

/// Keys of the service by their names.
fn named(object: &Object) -> Option<String> {
    let own = ["clm-root-", "clm-mac-"].iter().any(|prefix| object.label.starts_with(prefix));
    own.then(|| object.label.clone())
}

impl Line {
    /// For a failure's message.
    pub(super) fn told(&self) -> String {
        format!("{} {}: {:?}", self.kind, self.id, self.finding)
    }
}

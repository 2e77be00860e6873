//! What was found, as people and as machines read it.

use serde::Serialize;
use std::io::Write;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What: a dotted name that stays the same from version to version.
    pub(super) check: String,
    pub(super) state: State,
    /// A sentence; where something is wrong, also how to mend it.
    pub(super) says: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    /// The service works, but not as well or as safely as it could.
    Warning,
    /// The service does not work, or not safely.
    Failed,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, says: says.into() }
    }

    pub(super) fn warning(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Warning, says: says.into() }
    }

    pub(super) fn failed(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Failed, says: says.into() }
    }
}

/// All of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    pub(super) fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.state != State::Failed)
    }

    /// One line each, the failed ones last, where they are seen.
    pub(super) fn print(&self, json: bool) {
        let mut text = String::new();
        if json {
            let value = serde_json::json!({ "ok": self.is_good(), "findings": self.findings });
            text = format!("{value:#}\n");
        } else {
            for (state, word) in [(State::Ok, "ok"), (State::Warning, "WARNING"), (State::Failed, "FAILED")] {
                for finding in self.findings.iter().filter(|finding| finding.state == state) {
                    text.push_str(&format!("{word:8} {:27} {}\n", finding.check, finding.says));
                }
            }
        }
        // Standard output may be closed; the exit code says the essential.
        drop(std::io::stdout().write_all(text.as_bytes()));
    }
}

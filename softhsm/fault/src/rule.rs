//! What is to go wrong: the lines of the control file.

use std::collections::HashMap;
use std::io::Write;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One line of the control file: `FUNCTION ACTION [after N] [times M] [pid P]`, for example `C_Sign error CKR_DEVICE_ERROR after 3 times 2`.
/// Calls are counted in each process for itself; calls that only ask for a length do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// PKCS#11 function, `C_Sign`.
    pub function: String,
    /// What happens instead.
    pub action: Action,
    /// So many calls go well first.
    pub after: u64,
    /// So many calls go wrong then; `None`: all.
    pub times: Option<u64>,
    /// In this process only.
    pub pid: Option<u64>,
}

/// What a faulty call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `delay MILLISECONDS`: late, but right.
    Delay(u64),
    /// `die`: the process ends inside the call, as by a crash in the vendor's library.
    Die,
    /// `error CKR_NAME` or `error 0x30`: that return value.
    Error(u64),
    /// `hang`: never returns.
    Hang,
    /// `overestimate BYTES`, for `C_WrapKey(length)` and its like: a length query answers so much more than is needed (NSS does so when wrapping).
    Overestimate(u64),
}

/// Return values by name: those that workers tell apart.
const NAMES: &[(&str, u64)] = &[
    ("CKR_GENERAL_ERROR", 0x05),
    ("CKR_FUNCTION_FAILED", 0x06),
    ("CKR_DATA_LEN_RANGE", 0x21),
    ("CKR_DEVICE_ERROR", 0x30),
    ("CKR_DEVICE_MEMORY", 0x31),
    ("CKR_DEVICE_REMOVED", 0x32),
    ("CKR_KEY_HANDLE_INVALID", 0x60),
    ("CKR_OBJECT_HANDLE_INVALID", 0x82),
    ("CKR_SESSION_HANDLE_INVALID", 0xB3),
    ("CKR_TOKEN_NOT_PRESENT", 0xE0),
    ("CKR_USER_NOT_LOGGED_IN", 0x101),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", 0x190),
];

impl FromStr for Rule {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut word = |what: &str| words.next().ok_or_else(|| format!("`{line}`: {what} is missing"));
        let function = word("the function")?.to_owned();
        let action = match word("the action")? {
            "delay" => Action::Delay(number(word("how long")?)?),
            "die" => Action::Die,
            "error" => Action::Error(return_value(word("the error")?)?),
            "hang" => Action::Hang,
            "overestimate" => Action::Overestimate(number(word("by how much")?)?),
            other => return Err(format!("`{line}`: no action `{other}`")),
        };
        let (mut after, mut times, mut pid) = (0, None, None);
        while let Some(word) = words.next() {
            let value = number(words.next().ok_or_else(|| format!("`{line}`: `{word}` of what?"))?)?;
            match word {
                "after" => after = value,
                "times" => times = Some(value),
                "pid" => pid = Some(value),
                other => return Err(format!("`{line}`: no `{other}`")),
            }
        }
        Ok(Self { function, action, after, times, pid })
    }
}

fn return_value(text: &str) -> Result<u64, String> {
    match NAMES.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(*value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    parsed.map_err(|_| format!("`{text}` is no number"))
}

/// What this call of `function` does; counts it.
pub(crate) fn decide(function: &str) -> Option<Action> {
    static CALLS: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);
    let path = std::env::var_os("CLM_FAULT_CONTROL")?;
    let text = std::fs::read_to_string(path).ok()?;
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let calls = calls.get_or_insert_default();
    for line in text.lines().filter(|line| line.split_whitespace().next() == Some(function)) {
        let rule: Rule = match line.parse() {
            Ok(rule) => rule,
            Err(error) => {
                // A rule that is not understood must not pass for one that did nothing.
                drop(writeln!(std::io::stderr(), "CLM_FAULT_CONTROL: {error}"));
                std::process::abort();
            }
        };
        if rule.pid.is_some_and(|pid| pid != u64::from(std::process::id())) {
            continue;
        }
        let count = calls.entry(line.to_owned()).or_default();
        let number = *count;
        *count += 1;
        if number >= rule.after && rule.times.is_none_or(|times| number < rule.after + times) {
            return Some(rule.action);
        }
    }
    None
}

/// Does what can be done before the real call; `Some` is the answer instead of it.
pub(crate) fn suffer(action: Option<Action>) -> Option<u64> {
    match action? {
        Action::Delay(milliseconds) => {
            std::thread::sleep(Duration::from_millis(milliseconds));
            None
        }
        Action::Die => std::process::abort(),
        Action::Error(value) => Some(value),
        Action::Hang => loop {
            std::thread::park();
        },
        Action::Overestimate(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_fails_when_and_how_often() {
        let rule: Rule = "C_Sign error CKR_DEVICE_ERROR after 3 times 2".parse().expect("valid");
        let expected =
            Rule { function: "C_Sign".into(), action: Action::Error(0x30), after: 3, times: Some(2), pid: None };
        assert_eq!(rule, expected);
        assert_eq!("C_Sign die pid 17".parse::<Rule>().expect("valid").pid, Some(17));
        assert_eq!("C_Login error 0xa0".parse::<Rule>().expect("valid").action, Action::Error(0xA0));
        assert_eq!("C_Sign hang".parse::<Rule>().expect("valid").action, Action::Hang);
    }

    #[test]
    fn a_line_that_says_nothing_known_is_refused() {
        for line in
            ["C_Sign", "C_Sign explode", "C_Sign error CKR_UNHEARD_OF", "C_Sign hang after", "C_Sign hang until 3"]
        {
            assert!(line.parse::<Rule>().is_err(), "{line}");
        }
    }
}

//! What generated passwords look like: their length, and which characters they hold, in HCL or JSON.

use super::document::Node;
use super::hcl;
use crate::error::{Error, Result};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// Shorter ones are guessed, longer ones nobody takes.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=1024;
/// Passwords that are drawn before the rules count as too hard to satisfy.
const ATTEMPTS: usize = 10_000;

/// A policy, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    length: usize,
    /// All characters, each once.
    charset: Vec<char>,
    /// Characters of which there are so many at least.
    rules: Vec<(Vec<char>, usize)>,
}

impl PasswordPolicy {
    /// Reads `length = N` and blocks `rule "charset" { charset = "…", min-chars = N }`.
    pub fn parse(text: &str) -> Result<Self> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| refused(&format!("it is no valid JSON: {error}")))?
        } else {
            hcl::parse(text).map_err(|error| refused(&format!("line {}: {}", error.line, error.fault)))?
        };
        let Node::Object(members) = document else { return Err(refused("it should be an object")) };
        let (mut length, mut rules) = (0, Vec::new());
        for (key, value) in &members {
            match key.as_str() {
                "length" => length = number(value).ok_or_else(|| refused("length is a whole number"))?,
                "rule" => {
                    for (kind, body) in value.objects().into_iter().flatten().flatten() {
                        if kind != "charset" {
                            return Err(refused(&format!("unknown rule {kind:?}: there is \"charset\"")));
                        }
                        for body in body.objects().ok_or_else(|| refused("a rule is a block { … }"))? {
                            rules.push(rule(body)?);
                        }
                    }
                }
                other => return Err(refused(&format!("unknown key {other:?}: there are `length` and `rule`"))),
            }
        }
        if !LENGTHS.contains(&length) {
            return Err(refused("length must be between 4 and 1024"));
        }
        if rules.is_empty() {
            return Err(refused("there must be at least one rule \"charset\""));
        }
        if rules.iter().map(|(_, least)| least).sum::<usize>() > length {
            return Err(refused("its rules ask for more characters than its length"));
        }
        let mut charset: Vec<char> = rules.iter().flat_map(|(charset, _)| charset.iter().copied()).collect();
        charset.sort_unstable();
        charset.dedup();
        Ok(Self { length, charset, rules })
    }

    /// A password: each of those that the rules allow is as likely as any other.
    pub fn generate(&self) -> Result<Zeroizing<String>> {
        for _ in 0..ATTEMPTS {
            let password =
                self.draw().map_err(|_| Error::Internal("the operating system gave no random bytes".into()))?;
            if self.accepts(&password) {
                return Ok(password);
            }
        }
        Err(Error::invalid("unable to generate a password: its rules are too hard to satisfy by chance"))
    }

    fn accepts(&self, password: &str) -> bool {
        self.rules
            .iter()
            .all(|(charset, least)| password.chars().filter(|character| charset.contains(character)).count() >= *least)
    }

    fn draw(&self) -> Result<Zeroizing<String>, <SysRng as TryRng>::Error> {
        let size = u32::try_from(self.charset.len()).unwrap_or(u32::MAX);
        // Numbers from here on would make the first characters likelier.
        let fair = u32::MAX - u32::MAX % size;
        let mut password = Zeroizing::new(String::with_capacity(self.length * 4));
        let mut bytes = Zeroizing::new([0_u8; 4]);
        let mut count = 0;
        while count < self.length {
            SysRng.try_fill_bytes(bytes.as_mut_slice())?;
            let number = u32::from_le_bytes(*bytes);
            if number < fair
                && let Some(character) = self.charset.get((number % size) as usize)
            {
                password.push(*character);
                count += 1;
            }
        }
        Ok(password)
    }
}

fn rule(body: &[(String, Node)]) -> Result<(Vec<char>, usize)> {
    let (mut charset, mut least) = (Vec::new(), 0);
    for (key, value) in body {
        match (key.as_str(), value) {
            ("charset", Node::Text(text)) => charset = text.chars().collect(),
            ("min-chars" | "min_chars", value) => {
                least = number(value).ok_or_else(|| refused("min-chars is a whole number"))?;
            }
            (other, _) => return Err(refused(&format!("a rule has `charset` and `min-chars`, not {other:?}"))),
        }
    }
    charset.sort_unstable();
    charset.dedup();
    if charset.is_empty() {
        return Err(refused("a charset has at least one character"));
    }
    Ok((charset, least))
}

fn number(node: &Node) -> Option<usize> {
    match node {
        Node::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Node::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn refused(why: &str) -> Error {
    Error::invalid(format!("invalid password policy: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        length = 20
        rule "charset" { charset = "abcdefghij" min-chars = 1 }
        rule "charset" { charset = "0123456789" min-chars = 3 }
        rule "charset" { charset = "!-" }
    "#;

    #[test]
    fn passwords_are_what_the_rules_say_and_no_two_are_alike() {
        let policy = PasswordPolicy::parse(POLICY).expect("a policy");
        let (one, other) = (policy.generate().expect("one"), policy.generate().expect("another"));
        assert_ne!(*one, *other);
        for _ in 0..200 {
            let password = policy.generate().expect("a password");
            assert_eq!(password.chars().count(), 20);
            assert!(password.chars().filter(char::is_ascii_digit).count() >= 3, "{}", *password);
            assert!(password.chars().all(|character| "abcdefghij0123456789!-".contains(character)), "{}", *password);
        }
        let json = r#"{"length": 8, "rule": [{"charset": [{"charset": "xy", "min-chars": 8}]}]}"#;
        assert_eq!(PasswordPolicy::parse(json).expect("JSON").generate().expect("one").len(), 8);
    }

    #[test]
    fn what_gives_no_passwords_is_refused() {
        for (text, why) in [
            ("length = 20", "at least one rule"),
            ("length = 3\nrule \"charset\" { charset = \"a\" }", "between 4 and 1024"),
            ("length = 4\nrule \"charset\" { charset = \"a\" min-chars = 5 }", "more characters than its length"),
            ("length = 4\nrule \"words\" { charset = \"a\" }", "unknown rule"),
            ("length = 4\nrule \"charset\" { charset = \"\" }", "at least one character"),
            ("length = 4\nrules = 1", "unknown key"),
            ("length =", "line 1"),
        ] {
            let refused = PasswordPolicy::parse(text).expect_err(text).to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}

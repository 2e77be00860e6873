//! Names of keys.

use std::fmt;

/// `\w(([\w-.]+)?\w)?` in ASCII: letters, digits and `_`, with `-` and `.` inside; case counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// `None`: no such key can exist.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(word) && bytes.last().is_some_and(word);
        let inside = bytes.iter().all(|byte| word(byte) || matches!(byte, b'-' | b'.'));
        (ends && inside && bytes.len() <= 256).then(|| Self(text.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_with_dots_and_dashes_inside() {
        for good in ["a", "app", "a.b-c_d", "_x_", "9"] {
            assert!(KeyName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-k", "k-", ".a", "a/b", "ä", "a b", "a\0"] {
            assert!(KeyName::parse(bad).is_none(), "{bad}");
        }
    }
}

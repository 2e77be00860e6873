//! Paths in rules: `*` as the last character is a prefix, `+` is one whole segment.

use std::cmp::Ordering;

/// A path as a rule writes it, without its leading slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// `None`: `+*`, which no rule may have.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        (!text.ends_with("+*")).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.is_prefix() && self.pluses() == 0
    }

    /// Text before the first wildcard.
    pub(crate) fn literal(&self) -> &str {
        &self.0[..self.first_wildcard()]
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let pattern = self.0.strip_suffix('*').unwrap_or(&self.0);
        let mut rest = Some(path);
        let mut segments = pattern.split('/').peekable();
        while let Some(segment) = segments.next() {
            let Some(remaining) = rest else { return false };
            if segments.peek().is_none() && self.is_prefix() {
                return remaining.starts_with(segment);
            }
            let (head, tail) = match remaining.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (remaining, None),
            };
            if segment != "+" && segment != head {
                return false;
            }
            rest = tail;
        }
        rest.is_none()
    }

    /// Which of two rules that match decides: greater is stronger.
    pub(crate) fn strength(&self, other: &Self) -> Ordering {
        self.first_wildcard()
            .cmp(&other.first_wildcard())
            .then_with(|| other.is_prefix().cmp(&self.is_prefix()))
            .then_with(|| other.pluses().cmp(&self.pluses()))
            .then_with(|| self.0.len().cmp(&other.0.len()))
            .then_with(|| self.0.cmp(&other.0))
    }

    fn is_prefix(&self) -> bool {
        self.0.ends_with('*')
    }

    fn pluses(&self) -> usize {
        self.0.split('/').filter(|segment| *segment == "+").count()
    }

    fn first_wildcard(&self) -> usize {
        let mut at = 0;
        for segment in self.0.split('/') {
            if segment == "+" {
                return at;
            }
            at += segment.len() + 1;
        }
        if self.is_prefix() { self.0.len() - 1 } else { self.0.len() }
    }
}

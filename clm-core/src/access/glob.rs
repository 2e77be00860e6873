//! Names with `*`: pure.

/// Whether `pattern`, in which each `*` stands for any text, matches the whole of `text`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // What follows the last `*` must end the text; the others are found in order, each as early as it can be.
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By definition: slow, and plainly right.
    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| defined(rest, &text[skip..])),
            Some((first, rest)) => text.split_first().is_some_and(|(own, left)| own == first && defined(rest, left)),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_its_definition_matches(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(glob(&pattern, &text), defined(pattern.as_bytes(), text.as_bytes()));
        }
    }
}

//! What no record tells, wherever a client wrote it.

use std::borrow::Cow;

/// What tokens begin with: of service, batch and recovery.
const TOKENS: [&str; 3] = ["hvs.", "hvb.", "hvr."];
/// No token is shorter.
const SHORTEST: usize = 24;

/// A text with `hvs.(token)` in the place of tokens: clients write them into paths, which old ones took, and answers repeat paths. Who reads a record
/// must not be able to use it.
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    let mut told = String::new();
    let mut rest = text;
    while let Some((at, length)) = first_token(rest) {
        told.push_str(&rest[..at + TOKENS[0].len()]);
        told.push_str("(token)");
        rest = &rest[at + length..];
    }
    if told.is_empty() {
        return Cow::Borrowed(text);
    }
    told.push_str(rest);
    Cow::Owned(told)
}

/// Where it begins, and how long it is, in bytes.
fn first_token(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("hv").map(|at| from + at) {
        let found = &text[at..];
        let in_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+=".contains(byte);
        let length = found.bytes().take_while(in_it).count();
        if length >= SHORTEST && TOKENS.iter().any(|prefix| found.starts_with(prefix)) {
            return Some((at, length));
        }
        from = at + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_in_a_text_is_not_told() {
        let token = "hvs.0123456789abcdefghijABCD";
        for (text, told) in [
            (format!("auth/token/lookup/{token}"), "auth/token/lookup/hvs.(token)"),
            (format!("{token}/x/hvb.{}", "A-_".repeat(90)), "hvs.(token)/x/hvb.(token)"),
            (format!("no handler for route \"{token}\". é"), "no handler for route \"hvs.(token)\". é"),
            ("kv/hvs.notes".to_owned(), "kv/hvs.notes"),
            ("transit/sign/hv".to_owned(), "transit/sign/hv"),
            (String::new(), ""),
        ] {
            assert_eq!(without_tokens(&text), told);
        }
    }

    proptest! {
        #[test]
        fn what_was_told_once_is_told_so_again(text in "(hv|hvs\\.[A-Za-z0-9]{0,30}|[a-zä/\" ]){0,12}") {
            let once = without_tokens(&text).into_owned();
            prop_assert_eq!(without_tokens(&once), once.as_str());
        }
    }
}

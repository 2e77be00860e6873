//! Paths: cleaned, decoded, and refused where two readers could understand them differently.

use percent_encoding::percent_decode_str;

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// A `..` came in disguise.
    Relative,
    /// No UTF-8, or a control character.
    Unprintable,
}

/// The path as policies and engines see it: without `//`, `/./` and `/../`, percent-decoded. The reference redirects to the
/// cleaned path; clients understand an answer there and then as well.
pub(super) fn clean(raw: &str) -> Result<String, BadPath> {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut joined = segments.join("/");
    if !joined.is_empty() && (raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/..")) {
        joined.push('/');
    }
    if !joined.contains('%') {
        return checked(joined);
    }
    let decoded = percent_decode_str(&joined).decode_utf8().map_err(|_| BadPath::Unprintable)?;
    checked(decoded.into_owned())
}

fn checked(path: String) -> Result<String, BadPath> {
    if path.split('/').any(|segment| segment == "..") {
        return Err(BadPath::Relative);
    }
    if path.chars().any(char::is_control) {
        return Err(BadPath::Unprintable);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_cleaned_and_decoded() {
        for (raw, path) in [
            ("/v1/transit/keys/a", "v1/transit/keys/a"),
            ("/v1/transit/verify/k//sha2-256", "v1/transit/verify/k/sha2-256"),
            ("/v1/kv/z/../a", "v1/kv/a"),
            ("/v1/kv/./a/", "v1/kv/a/"),
            ("/v1/a%2Fb%20c", "v1/a/b c"),
            ("/v1/x..y", "v1/x..y"),
            ("/../../v1", "v1"),
            ("/", ""),
        ] {
            assert_eq!(clean(raw).as_deref(), Ok(path), "{raw}");
        }
    }

    #[test]
    fn disguised_paths_are_refused() {
        for raw in ["/v1/kv/%2e%2e/a", "/v1/a%2F..%2Fb", "/v1/%2E./b"] {
            assert_eq!(clean(raw), Err(BadPath::Relative), "{raw}");
        }
        for raw in ["/v1/a%00", "/v1/a%07", "/v1/a%0a", "/v1/%ff", "/v1/%09b"] {
            assert_eq!(clean(raw), Err(BadPath::Unprintable), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_cleaned_path_climbs(raw in "[/.%a2efEF ]{0,24}") {
            if let Ok(path) = clean(&raw) {
                prop_assert!(path.split('/').all(|segment| segment != ".."));
                prop_assert!(!path.starts_with('/') || raw.contains('%'));
            }
        }
    }
}

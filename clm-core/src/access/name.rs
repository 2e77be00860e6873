//! Names of secrets in reverse-domain notation, and the paths that they stand for: `prod.db.postgres.billing-db.password` is
//! `prod/db/postgres/billing-db/password` in the mount `secret/`. Pure.
//!
//! Policies speak of paths alone. A request for `clm/secrets/NAME` is decided as one for the path of the KV engine at which the same secret
//! stands, so that there is one set of rules for both; a rule on the name's own path can forbid, and grants nothing.

use std::borrow::Cow;

/// Characters of a name.
pub const LONGEST_NAME: usize = 500;
/// The mount whose secrets have names.
pub const NAMED_MOUNT: &str = "secret/";
/// Paths that have a name, as a regular expression of PostgreSQL's.
pub const PATHS_WITH_NAMES: &str =
    "^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$";
/// Where they are asked for.
pub(super) const NAMES: &str = "clm/secrets/";

/// The path that a name stands for, below its mount; or why it is no name.
pub fn path_of_name(name: &str) -> Result<String, &'static str> {
    if name.chars().count() > LONGEST_NAME {
        return Err("the name of a secret has at most 500 characters");
    }
    if !name.split('.').all(is_part) {
        return Err(
            "the name of a secret is parts of letters, digits, `-` and `_` with dots between them, each beginning and ending with a letter or a digit: prod.db.postgres.billing-db.password",
        );
    }
    Ok(name.replace('.', "/"))
}

/// The name of a path below the mount, if it has one.
pub fn name_of_path(path: &str) -> Option<String> {
    (path.len() <= LONGEST_NAME && path.split('/').all(is_part)).then(|| path.replace('/', "."))
}

pub(super) fn is_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The path that decides about a request for `path`.
pub(super) fn deciding_path(path: &str) -> Cow<'_, str> {
    let Some(below) = path.strip_prefix(NAMES) else { return Cow::Borrowed(path) };
    let (name, view) = match below.split_once('/') {
        None => (below, "data"),
        Some((name, "metadata")) => (name, "metadata"),
        Some((name, "rotate")) => (name, "rotate"),
        Some(_) => return Cow::Borrowed(path),
    };
    path_of_name(name).map_or(Cow::Borrowed(path), |inner| Cow::Owned(format!("{NAMED_MOUNT}{view}/{inner}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stand_for_paths() {
        for (name, path) in [
            ("prod.db.postgres.billing-db.password", "prod/db/postgres/billing-db/password"),
            ("a", "a"),
            ("A1.b_2", "A1/b_2"),
        ] {
            assert_eq!(path_of_name(name).as_deref(), Ok(path));
            assert_eq!(name_of_path(path).as_deref(), Some(name));
        }
        assert!(path_of_name(&"a".repeat(500)).is_ok());
        for bad in ["", ".", "a.", ".a", "a..b", "a/b", "a b", "-a", "a.b-", "_a", "ä", "a*", &"a".repeat(501)] {
            assert!(path_of_name(bad).is_err(), "{bad:?}");
        }
        for nameless in ["", "a.b", "a//b", "/a", "a/", "a b", "a/_b"] {
            assert_eq!(name_of_path(nameless), None, "{nameless:?}");
        }
    }

    #[test]
    fn requests_by_name_are_decided_by_the_path() {
        for (path, deciding) in [
            ("clm/secrets/prod.db.x", "secret/data/prod/db/x"),
            ("clm/secrets/prod.db.x/metadata", "secret/metadata/prod/db/x"),
            ("clm/secrets/prod.db.x/rotate", "secret/rotate/prod/db/x"),
            ("clm/secrets/prod.db.x/", "clm/secrets/prod.db.x/"),
            ("clm/secrets/prod.db.x/data", "clm/secrets/prod.db.x/data"),
            ("clm/secrets/..", "clm/secrets/.."),
            ("clm/secrets", "clm/secrets"),
            ("secret/data/a", "secret/data/a"),
        ] {
            assert_eq!(deciding_path(path), deciding, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_and_its_path_give_each_other(name in "[a-z0-9]([a-z0-9_-]{0,5}[a-z0-9])?(\\.[a-z0-9]([a-z0-9_-]{0,5}[a-z0-9])?){0,5}") {
            let path = path_of_name(&name).expect("a name");
            prop_assert!(!path.contains('.'));
            prop_assert_eq!(name_of_path(&path), Some(name));
        }
    }
}

//! Paths that need `sudo` beside the operation's own capability. Data; engines may add theirs.

use super::Operation;

enum Shape {
    Exact(&'static str),
    /// The text and whatever follows it.
    Prefix(&'static str),
}

use Shape::{Exact, Prefix};

/// `None`: whatever the operation.
const SUDO_PATHS: &[(Option<Operation>, Shape)] = &[
    (Some(Operation::List), Exact("auth/token/accessors")),
    (None, Prefix("clm/organization-tokens/")),
    (None, Prefix("sys/auth/")),
    (None, Exact("sys/audit")),
    (None, Prefix("sys/audit/")),
    (None, Exact("sys/remount")),
    (None, Exact("sys/rotate")),
    (None, Prefix("sys/rotate/")),
    (None, Exact("sys/raw")),
    (None, Prefix("sys/raw/")),
    (None, Exact("sys/seal")),
    (None, Prefix("sys/generate-root-token/")),
    (None, Exact("sys/config/cors")),
    (None, Prefix("sys/config/auditing/")),
    (None, Prefix("sys/config/ui/headers")),
    (Some(Operation::List), Exact("sys/leases/lookup")),
    (Some(Operation::List), Prefix("sys/leases/lookup/")),
    (None, Prefix("sys/leases/revoke-prefix/")),
    (None, Prefix("sys/leases/revoke-force/")),
    (None, Prefix("sys/revoke-prefix/")),
    (None, Prefix("sys/revoke-force/")),
    (None, Prefix("sys/plugins/catalog/")),
];

/// Whether `operation` on `path` (without `/v1/`) needs `sudo`.
pub fn needs_sudo(operation: Operation, path: &str) -> bool {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    SUDO_PATHS.iter().any(|(only, shape)| {
        only.is_none_or(|only| only == operation)
            && match shape {
                Exact(text) => trimmed == *text,
                Prefix(text) => path.starts_with(text),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_needs_sudo_with_its_final_slash_or_without() {
        for path in ["sys/leases/lookup", "sys/leases/lookup/", "sys/leases/lookup/auth", "auth/token/accessors/"] {
            assert!(needs_sudo(Operation::List, path), "{path}");
            assert!(!needs_sudo(Operation::Update, path), "{path}");
        }
        assert!(!needs_sudo(Operation::List, "sys/leases"));
    }
}

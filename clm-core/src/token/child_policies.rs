//! Which policies a child may have: pure.

use super::new::NewToken;
use super::role::TokenRole;
use super::{DEFAULT_POLICY_NAME, ROOT_POLICY, WRAPPING_POLICY};
use crate::error::{Error, Result};

/// The child's policies: those asked for, or the parent's; within the parent's, unless it has sudo; `default` added. A role that
/// names policies decides in the parent's place.
pub(super) fn policies_of_child(new: &NewToken, parent: &[String], role: Option<&TokenRole>) -> Result<Vec<String>> {
    let parent_is_root = parent.iter().any(|policy| policy == ROOT_POLICY);
    let mut policies = match role.filter(|role| role.names_policies()) {
        Some(role) => policies_by_role(new, parent, role)?,
        None => policies_by_parent(new, parent, role.is_some_and(|role| role.token_no_default_policy))?,
    };
    if new.no_default_policy {
        policies.retain(|policy| policy != DEFAULT_POLICY_NAME);
    }
    if policies.iter().any(|policy| policy == WRAPPING_POLICY) {
        return Err(Error::invalid(format!("cannot assign policy {WRAPPING_POLICY:?}")));
    }
    if policies.iter().any(|policy| policy == ROOT_POLICY) {
        if !parent_is_root {
            return Err(Error::invalid("root tokens may not be created without parent token being root"));
        }
        return Ok(vec![ROOT_POLICY.to_owned()]);
    }
    Ok(policies)
}

fn policies_by_parent(new: &NewToken, parent: &[String], without_default: bool) -> Result<Vec<String>> {
    let sudo = new.sudo || parent.iter().any(|policy| policy == ROOT_POLICY);
    let parent_has_default = parent.iter().any(|policy| policy == DEFAULT_POLICY_NAME);
    let mut policies = if new.policies.is_empty() { parent.to_vec() } else { sanitized(&new.policies) };
    let inherited = new.policies.is_empty();
    if !inherited && !sudo && !policies.iter().all(|policy| parent.contains(policy)) {
        return Err(Error::invalid("child policies must be subset of parent"));
    }
    if (new.no_default_policy || without_default) && inherited {
        policies.retain(|policy| policy != DEFAULT_POLICY_NAME);
    }
    let add_default = !new.no_default_policy && !without_default && !inherited && (sudo || parent_has_default);
    if add_default {
        policies = with_default(policies);
    }
    Ok(policies)
}

fn policies_by_role(new: &NewToken, parent: &[String], role: &TokenRole) -> Result<Vec<String>> {
    let add_default = !new.no_default_policy && !role.token_no_default_policy && !role.disallows(DEFAULT_POLICY_NAME);
    let mut policies = match (new.policies.is_empty(), role.allowed_policies.is_empty()) {
        (false, _) => sanitized(&new.policies),
        (true, false) => sanitized(&role.allowed_policies),
        // A role that only allows patterns gives nothing that was not asked for.
        (true, true) if !role.allowed_policies_glob.is_empty() => Vec::new(),
        (true, true) => parent.to_vec(),
    };
    if add_default {
        policies = with_default(policies);
    }
    let is_allowed = |policy: &String| (add_default && policy == DEFAULT_POLICY_NAME) || role.allows(policy);
    if role.is_restrictive() && !policies.iter().all(is_allowed) {
        let allowed = role.allowed_policies.clone();
        let allowed = if add_default { with_default(allowed) } else { allowed };
        return Err(Error::invalid(format!(
            "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
            listed(&policies),
            listed(&allowed),
            listed(&role.allowed_policies_glob)
        )));
    }
    if let Some(policy) = policies.iter().find(|policy| role.disallows(policy)) {
        return Err(Error::invalid(format!("token policy {policy:?} is disallowed by this role")));
    }
    Ok(policies)
}

/// Trimmed, lower case, sorted, each once.
pub(crate) fn sanitized(policies: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        policies.iter().map(|policy| policy.trim().to_lowercase()).filter(|policy| !policy.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// With `default`, sorted.
pub(crate) fn with_default(mut policies: Vec<String>) -> Vec<String> {
    if !policies.iter().any(|policy| policy == DEFAULT_POLICY_NAME) {
        policies.push(DEFAULT_POLICY_NAME.to_owned());
    }
    policies.sort_unstable();
    policies
}

/// `["a" "b"]`, as clients know it.
fn listed(policies: &[String]) -> String {
    let quoted: Vec<String> = policies.iter().map(|policy| format!("{policy:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn asked(policies: &[&str]) -> NewToken {
        NewToken { policies: names(policies), ..NewToken::at("auth/token/create") }
    }

    fn child(new: &NewToken, parent: &[String]) -> Result<Vec<String>> {
        policies_of_child(new, parent, None)
    }

    #[test]
    fn a_child_has_no_more_than_its_parent() {
        let parent = names(&["default", "p1", "p2"]);
        assert_eq!(child(&asked(&[]), &parent).expect("inherits"), parent);
        assert_eq!(child(&asked(&["p2"]), &parent).expect("a subset"), names(&["default", "p2"]));
        let refused = child(&asked(&["su"]), &parent).expect_err("not a subset");
        assert_eq!(refused.to_string(), "child policies must be subset of parent");
        assert!(child(&asked(&["root"]), &parent).is_err());
        let sudo = NewToken { sudo: true, ..asked(&["su"]) };
        assert_eq!(child(&sudo, &parent).expect("sudo may"), names(&["default", "su"]));
        let root_by_sudo = NewToken { sudo: true, ..asked(&["root"]) };
        assert!(child(&root_by_sudo, &parent).is_err());
        assert_eq!(child(&asked(&["p1"]), &names(&["p1"])).expect("a subset"), names(&["p1"]));
    }

    #[test]
    fn roots_children() {
        let root = names(&["root"]);
        assert_eq!(child(&asked(&[]), &root).expect("inherits"), root);
        assert_eq!(child(&asked(&["root", "p1"]), &root).expect("root"), root);
        assert_eq!(child(&asked(&["P1", " p2 "]), &root).expect("any"), names(&["default", "p1", "p2"]));
        let bare = NewToken { no_default_policy: true, ..asked(&["p1"]) };
        assert_eq!(child(&bare, &root).expect("any"), names(&["p1"]));
        let said_both = NewToken { no_default_policy: true, ..asked(&["default", "p1"]) };
        assert_eq!(
            child(&said_both, &root).expect("any"),
            names(&["p1"]),
            "no_default_policy takes it away in any case"
        );
        assert!(child(&asked(&["response-wrapping"]), &root).is_err(), "wrapping tokens are made by wrapping alone");
    }

    #[test]
    fn a_role_decides_in_the_parents_place() {
        let role = TokenRole { allowed_policies: names(&["p1", "p2"]), ..TokenRole::default() };
        let by = |new: &NewToken, role: &TokenRole| policies_of_child(new, &names(&["p9"]), Some(role));
        assert_eq!(by(&asked(&[]), &role).expect("the role's"), names(&["default", "p1", "p2"]));
        assert_eq!(by(&asked(&["p2"]), &role).expect("one of them"), names(&["default", "p2"]));
        let refused = by(&asked(&["p3"]), &role).expect_err("not allowed").to_string();
        let told = r#"token policies (["default" "p3"]) must be subset of the role's allowed policies (["default" "p1" "p2"]) or glob policies ([])"#;
        assert_eq!(refused, told);
        let globs = TokenRole { allowed_policies_glob: names(&["team-*"]), ..TokenRole::default() };
        assert_eq!(by(&asked(&["team-a"]), &globs).expect("matches"), names(&["default", "team-a"]));
        assert!(by(&asked(&["other"]), &globs).is_err());
        assert_eq!(by(&asked(&[]), &globs).expect("nothing asked"), names(&["default"]));
        let denying = TokenRole { disallowed_policies: names(&["p2"]), ..TokenRole::default() };
        let refused = by(&asked(&["p2"]), &denying).expect_err("disallowed").to_string();
        assert_eq!(refused, "token policy \"p2\" is disallowed by this role");
        let no_default = TokenRole { disallowed_policies_glob: names(&["def*"]), ..TokenRole::default() };
        assert_eq!(by(&asked(&["p1"]), &no_default).expect("allowed"), names(&["p1"]));
        assert!(by(&asked(&["root"]), &denying).is_err(), "no role makes root of nothing");
    }
}

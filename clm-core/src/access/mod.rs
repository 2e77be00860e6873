//! Who may do what to which path: policies as Vault writes them, and the decision. Pure: no IO, no clock.
//!
//! [`Policy::parse`] reads one policy's text, [`Acl::new`] compiles a token's policies, [`Acl::decide`] answers. Only one rule
//! decides: the exact one, else the most specific wildcard one. Policies about secrets ([`SecretsPolicy`]) and the permissions of roles ([`of_role`])
//! become rules on paths as well, each of which denies or grants by itself; they may have conditions ([`Acl::at`]). [`Acl::explain`] decides the
//! same way and tells how.

mod acl;
mod capability;
mod decide;
mod document;
mod duration;
mod explain;
#[cfg(test)]
mod fuzz;
mod glob;
mod hcl;
mod matcher;
mod name;
mod named;
mod parameters;
mod parse;
mod password;
mod permissions;
mod secrets;
mod sudo;
mod template;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_explanations;
#[cfg(test)]
mod tests_of_roles;
#[cfg(test)]
mod tests_of_secrets;

// The public interface is:
pub use acl::{Acl, CompiledPolicies, Rule};
pub use capability::{Capabilities, Capability, Operation};
pub use decide::{AccessRequest, Decision, Reason, Stage};
pub use duration::{format_seconds, parse_seconds};
pub use explain::{Candidate, Explanation, Idle, Step};
pub(crate) use glob::glob;
pub use name::{LONGEST_NAME, NAMED_MOUNT, PATHS_WITH_NAMES, name_of_path, path_of_name};
pub use parse::{Policy, PolicyError};
pub use password::PasswordPolicy;
pub use permissions::{
    Grounds, Permissions, ROLE_PREFIX, Validity, check_permissions, of_role, reached_by_permissions,
};
pub use secrets::{Circumstances, Conditions, SecretOperation, SecretsPolicy, TimeWindow};
pub use sudo::needs_sudo;
pub use template::{Subject, SubjectAlias, SubjectGroup};

/// Text of the policy `default`, as a fresh server has it. It may be changed, not deleted.
pub const DEFAULT_POLICY: &str = include_str!("default_policy.hcl");

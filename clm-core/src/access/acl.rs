//! A token's policies, compiled.

use super::capability::{Capabilities, Capability};
use super::matcher::{Matcher, first_wildcard};
use super::parameters::ParameterRules;
use super::parse::{Policy, Statement};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Everything that policies say about one path text.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The path as policies write it.
    pub path: String,
    /// Policies that speak of it.
    pub policies: Vec<Arc<str>>,
    /// What they grant together; a denial beats all.
    pub capabilities: Capabilities,
    pub(super) parameters: ParameterRules,
    min_wrapping_ttl: u64,
    max_wrapping_ttl: u64,
}

/// Decides; made once for a set of policies.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    root: bool,
    exact: HashMap<String, Arc<Rule>>,
    wildcard: Matcher,
}

impl Acl {
    /// May do everything.
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// Compiles policies. Rules on templated paths (`{{identity…}}`) are left out: a token without an entity has none of them.
    pub fn new<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        let mut rules: HashMap<&str, Rule> = HashMap::new();
        for policy in policies {
            for statement in policy.statements.iter().filter(|statement| !statement.path.contains("{{")) {
                rules
                    .entry(&statement.path)
                    .and_modify(|rule| rule.merge(&policy.name, statement))
                    .or_insert_with(|| Rule::new(&policy.name, statement));
            }
        }
        let mut acl = Self::default();
        for rule in rules.into_values() {
            if first_wildcard(&rule.path).is_some() {
                acl.wildcard.insert(Arc::new(rule));
            } else {
                acl.exact.insert(rule.path.clone(), Arc::new(rule));
            }
        }
        acl
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Whether any rule grants something on `mount` (which ends in `/`) or below.
    pub fn touches(&self, mount: &str) -> bool {
        let grants = |rule: &Arc<Rule>| {
            let capable = rule.capabilities != Capabilities::NONE && !rule.capabilities.contains(Capability::Deny);
            capable && reaches(&rule.path, mount)
        };
        self.root || self.exact.values().any(grants) || self.wildcard.rules().any(grants)
    }

    /// Every rule with what it grants: exact ones, and those with wildcards, by path (a final `*` left out).
    pub fn rules(&self) -> (BTreeMap<String, Capabilities>, BTreeMap<String, Capabilities>) {
        let exact = self.exact.values().map(|rule| (rule.path.clone(), rule.capabilities));
        let wildcard = self
            .wildcard
            .rules()
            .map(|rule| (rule.path.strip_suffix('*').unwrap_or(&rule.path).to_owned(), rule.capabilities));
        (exact.collect(), wildcard.collect())
    }

    /// The one rule that applies: exact, first with, then without the final `/`; else the most specific wildcard rule, likewise.
    pub(super) fn rule_for(&self, path: &str, list: bool) -> Option<&Arc<Rule>> {
        let slashed: String;
        let path = if list && !path.ends_with('/') {
            slashed = format!("{path}/");
            &slashed
        } else {
            path
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let trimmed = path.strip_suffix('/');
        self.exact
            .get(path)
            .or_else(|| self.exact.get(trimmed?))
            .or_else(|| self.wildcard.find(path))
            .or_else(|| self.wildcard.find(trimmed?))
    }
}

impl Rule {
    fn new(policy: &Arc<str>, statement: &Statement) -> Self {
        Self {
            path: statement.path.clone(),
            policies: vec![Arc::clone(policy)],
            capabilities: statement.capabilities,
            parameters: statement.parameters.clone(),
            min_wrapping_ttl: statement.min_wrapping_ttl,
            max_wrapping_ttl: statement.max_wrapping_ttl,
        }
    }

    fn merge(&mut self, policy: &Arc<str>, statement: &Statement) {
        if !self.policies.contains(policy) {
            self.policies.push(Arc::clone(policy));
        }
        if self.capabilities.contains(Capability::Deny) {
            return;
        }
        if statement.capabilities.contains(Capability::Deny) {
            let policies = std::mem::take(&mut self.policies);
            *self = Self { policies, ..Self::new(policy, statement) };
            return;
        }
        self.capabilities = self.capabilities.union(statement.capabilities);
        self.parameters.merge(&statement.parameters);
        self.min_wrapping_ttl = smaller_bound(self.min_wrapping_ttl, statement.min_wrapping_ttl);
        self.max_wrapping_ttl = smaller_bound(self.max_wrapping_ttl, statement.max_wrapping_ttl);
    }

    pub(super) fn permits_wrapping(&self, wrap_ttl: Option<u64>) -> bool {
        let (min, max) = (self.min_wrapping_ttl, self.max_wrapping_ttl);
        if min == 0 && max == 0 {
            return true;
        }
        wrap_ttl.is_some_and(|ttl| ttl >= min && (max == 0 || ttl <= max))
    }
}

/// Whether a rule's path can match something that begins with `mount`.
fn reaches(rule: &str, mount: &str) -> bool {
    let mut segments = rule.split('/');
    for wanted in mount.trim_end_matches('/').split('/') {
        match segments.next() {
            Some("+") => {}
            Some(segment) if segment == wanted => {}
            // A final `*` matches all that follows it.
            Some(segment) => {
                return segments.next().is_none()
                    && segment.strip_suffix('*').is_some_and(|start| wanted.starts_with(start));
            }
            None => return false,
        }
    }
    true
}

/// Of two bounds the smaller, 0 being none.
fn smaller_bound(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, bound) | (bound, 0) => bound,
        (one, other) => one.min(other),
    }
}

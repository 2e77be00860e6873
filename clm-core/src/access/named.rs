//! Policies about secrets and roles, compiled: each of their rules denies or grants by itself, whatever others match, and some count only at times.

use super::acl::{Rule, Spelled};
use super::capability::Capability;
use super::matcher::Matcher;
use super::parse::{Effect, Policy};
use super::secrets::Circumstances;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Compilations that are kept: as many as conditions hold and do not hold together.
const KEPT: usize = 64;

/// Those of one token, compiled once, or as often as it makes a difference who asks when.
#[derive(Debug, Default)]
pub(super) struct NamedPolicies {
    policies: Vec<Policy>,
    /// Where no policy has conditions.
    always: Option<Arc<NamedRules>>,
    /// By which of the policies count.
    compiled: Mutex<HashMap<Vec<bool>, Arc<NamedRules>>>,
}

/// Rules by what they deny or grant.
#[derive(Debug, Default)]
pub(super) struct NamedRules {
    denials: HashMap<Capability, Matcher>,
    grants: HashMap<Capability, Matcher>,
    /// Those of `grants` that grant `sudo` as well.
    sudo_grants: HashMap<Capability, Matcher>,
}

impl NamedPolicies {
    pub(super) fn new(policies: Vec<Policy>) -> Self {
        let always = policies.iter().all(|policy| policy.conditions.are_none());
        let always = always.then(|| Arc::new(NamedRules::new(&policies)));
        Self { policies: if always.is_some() { Vec::new() } else { policies }, always, compiled: Mutex::default() }
    }

    /// What counts for a request; `None`: what always does. Of a request whose source is not known conditions on it do not hold, those of
    /// denials do.
    pub(super) fn counting(&self, at: &Circumstances) -> Option<Arc<NamedRules>> {
        if self.policies.is_empty() {
            return None;
        }
        Some(self.chosen(|policy| policy.conditions.hold(at, policy.effect == Effect::Denies)))
    }

    /// What counts whoever asks when; where that is not said, every denial and no grant.
    pub(super) fn whoever(&self) -> Arc<NamedRules> {
        let counts = |policy: &Policy| policy.conditions.are_none() || policy.effect == Effect::Denies;
        self.always.as_ref().map_or_else(|| self.chosen(counts), Arc::clone)
    }

    /// Policies that would speak of a request and do not count now: which, whether they deny, and why they do not.
    pub(super) fn idle(
        &self,
        capability: Capability,
        path: &str,
        at: &Circumstances,
    ) -> impl Iterator<Item = (Arc<str>, bool, &'static str)> {
        self.policies.iter().filter_map(move |policy| {
            let denies = policy.effect == Effect::Denies;
            let why = policy.conditions.failing(at, denies)?;
            let alone = NamedRules::new([policy]);
            let speaks = alone.denial(capability, path).or_else(|| alone.grant(capability, path, false)).is_some();
            speaks.then(|| (Arc::clone(&policy.name), denies, why))
        })
    }

    fn chosen(&self, counts: impl Fn(&Policy) -> bool) -> Arc<NamedRules> {
        let counting: Vec<bool> = self.policies.iter().map(counts).collect();
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = compiled.get(&counting) {
            return Arc::clone(rules);
        }
        let chosen = self.policies.iter().zip(&counting).filter(|(_, counts)| **counts).map(|(policy, _)| policy);
        let rules = Arc::new(NamedRules::new(chosen));
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(counting, Arc::clone(&rules));
        rules
    }
}

impl NamedRules {
    fn new<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        let mut rules: HashMap<(Effect, Capability, &str), Rule> = HashMap::new();
        for policy in policies {
            for statement in &policy.statements {
                for capability in statement.capabilities.iter() {
                    rules
                        .entry((policy.effect, capability, &statement.path))
                        .and_modify(|rule| rule.merge(&policy.name, statement))
                        .or_insert_with(|| Rule::new(&policy.name, statement));
                }
            }
        }
        let mut made = Self::default();
        for ((effect, capability, _), rule) in rules {
            let rule = Arc::new(rule);
            if effect != Effect::Denies && rule.capabilities.contains(Capability::Sudo) {
                made.sudo_grants.entry(capability).or_default().insert(Arc::clone(&rule));
            }
            let matchers = if effect == Effect::Denies { &mut made.denials } else { &mut made.grants };
            matchers.entry(capability).or_default().insert(rule);
        }
        made
    }

    pub(super) fn denial(&self, capability: Capability, path: &str) -> Option<&Arc<Rule>> {
        find(&self.denials, capability, path)
    }

    /// `with_sudo`: one that grants that, too.
    pub(super) fn grant(&self, capability: Capability, path: &str, with_sudo: bool) -> Option<&Arc<Rule>> {
        find(if with_sudo { &self.sudo_grants } else { &self.grants }, capability, path)
    }

    /// All of a capability that match, those that deny and those that grant.
    pub(super) fn matching(&self, capability: Capability, path: &str) -> [Vec<Arc<Rule>>; 2] {
        [&self.denials, &self.grants].map(|matchers| {
            let rules = matchers.get(&capability).into_iter().flat_map(Matcher::rules);
            rules.filter(|rule| matches(rule, capability, path)).map(Arc::clone).collect()
        })
    }

    /// All that grant, in no order.
    pub(super) fn grants(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.grants.values().flat_map(Matcher::rules)
    }
}

fn matches(rule: &Arc<Rule>, capability: Capability, path: &str) -> bool {
    let path = Spelled::new(path, capability == Capability::List);
    Matcher::matches(rule, path.whole()) || path.trimmed().is_some_and(|path| Matcher::matches(rule, path))
}

fn find<'m>(matchers: &'m HashMap<Capability, Matcher>, capability: Capability, path: &str) -> Option<&'m Arc<Rule>> {
    let matcher = matchers.get(&capability)?;
    let path = Spelled::new(path, capability == Capability::List);
    matcher.find(path.whole()).or_else(|| matcher.find(path.trimmed()?))
}

//! A token's policies, compiled.

use super::capability::{Capabilities, Capability};
use super::matcher::{Matcher, first_wildcard};
use super::named::{NamedPolicies, NamedRules};
use super::parameters::ParameterRules;
use super::parse::{Effect, Policy, Statement};
use super::secrets::Circumstances;
use super::template::{self, Subject};
use audit_chain::MatchedRule;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Everything that policies say about one path text.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The path as policies write it, and those that speak of it.
    pub matched: Arc<MatchedRule>,
    /// What they grant together; a denial beats all.
    pub capabilities: Capabilities,
    pub(super) parameters: ParameterRules,
    min_wrapping_ttl: u64,
    max_wrapping_ttl: u64,
}

/// Decides; made once for a set of policies, or for these and one bearer of tokens.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    root: bool,
    shared: Arc<Rules>,
    /// What templates gave, merged with the shared rule of the same path, in whose place it stands.
    own: Option<Box<Rules>>,
    /// Policies about secrets and roles, and those of their rules that count now.
    named: Arc<NamedPolicies>,
    counting: Arc<NamedRules>,
}

/// Policies, compiled as far as they say the same for everybody.
#[derive(Clone, Debug, Default)]
pub struct CompiledPolicies {
    shared: Arc<Rules>,
    templated: Vec<(Arc<str>, Statement)>,
    named: Arc<NamedPolicies>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    exact: HashMap<String, Arc<Rule>>,
    wildcard: Matcher,
}

impl Rules {
    fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut made = Self::default();
        for rule in rules {
            if first_wildcard(rule.path()).is_some() {
                made.wildcard.insert(Arc::new(rule));
            } else {
                made.exact.insert(rule.path().to_owned(), Arc::new(rule));
            }
        }
        made
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.exact.values().chain(self.wildcard.rules())
    }
}

impl CompiledPolicies {
    /// Compiles policies; rules on templated paths (`{{identity…}}`) wait for a bearer.
    pub fn new<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        let mut rules: HashMap<&str, Rule> = HashMap::new();
        let (mut templated, mut named) = (Vec::new(), Vec::new());
        for policy in policies {
            if policy.effect != Effect::Ruled {
                named.push(policy.clone());
                continue;
            }
            for statement in &policy.statements {
                if template::is_templated(&statement.path) {
                    templated.push((Arc::clone(&policy.name), statement.clone()));
                    continue;
                }
                rules
                    .entry(&statement.path)
                    .and_modify(|rule| rule.merge(&policy.name, statement))
                    .or_insert_with(|| Rule::new(&policy.name, statement));
            }
        }
        let named = Arc::new(NamedPolicies::new(named));
        Self { shared: Arc::new(Rules::new(rules.into_values())), templated, named }
    }

    /// Whether they say something else for each bearer.
    pub fn is_templated(&self) -> bool {
        !self.templated.is_empty()
    }

    /// What they say for one bearer of tokens. Rules whose template cannot be filled are left out; without a bearer that is all of them.
    pub fn acl(&self, subject: Option<&Subject>) -> Acl {
        let mut rules: HashMap<String, Rule> = HashMap::new();
        for (policy, statement) in subject.iter().flat_map(|_| &self.templated) {
            let filled = subject.and_then(|subject| template::fill(&statement.path, subject));
            // What a template gave could be what no policy may write.
            let Some(path) = filled.filter(|path| !path.contains("+*")) else { continue };
            let statement = Statement { path: path.clone(), ..statement.clone() };
            match rules.get_mut(&path) {
                Some(rule) => rule.merge(policy, &statement),
                None => {
                    let shared = self.shared.all().find(|rule| rule.path() == path);
                    let rule = match shared {
                        Some(rule) => {
                            let mut rule = (**rule).clone();
                            rule.merge(policy, &statement);
                            rule
                        }
                        None => Rule::new(policy, &statement),
                    };
                    rules.insert(path, rule);
                }
            }
        }
        let own = (!rules.is_empty()).then(|| Box::new(Rules::new(rules.into_values())));
        let (named, counting) = (Arc::clone(&self.named), self.named.whoever());
        Acl { root: false, shared: Arc::clone(&self.shared), own, named, counting }
    }
}

impl Acl {
    /// May do everything.
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// Compiles policies for a token without an entity: rules on templated paths (`{{identity…}}`) are left out.
    pub fn new<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        CompiledPolicies::new(policies).acl(None)
    }

    /// What it is for a request: where conditions make no difference, the same.
    pub fn at(self: &Arc<Self>, circumstances: &Circumstances) -> Arc<Self> {
        match self.named.counting(circumstances) {
            None => Arc::clone(self),
            Some(counting) => Arc::new(Self { counting, ..(**self).clone() }),
        }
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Whether any rule grants something on `mount` (which ends in `/`) or below.
    pub fn touches(&self, mount: &str) -> bool {
        let grants = |rule: &Arc<Rule>| {
            let capable = rule.capabilities != Capabilities::NONE && !rule.capabilities.contains(Capability::Deny);
            capable && reaches(rule.path(), mount)
        };
        self.root || self.all().any(grants) || self.counting.grants().any(|rule| reaches(rule.path(), mount))
    }

    /// Every rule with what it grants: exact ones, and those with wildcards, by path (a final `*` left out). Those that grant or deny by
    /// themselves are not shown: what another rule says of the same path would not be the whole.
    pub fn rules(&self) -> (BTreeMap<String, Capabilities>, BTreeMap<String, Capabilities>) {
        let (mut exact, mut wildcard) = (BTreeMap::new(), BTreeMap::new());
        for rule in self.all() {
            let path = rule.path();
            match first_wildcard(path) {
                None => exact.insert(path.to_owned(), rule.capabilities),
                Some(_) => wildcard.insert(path.strip_suffix('*').unwrap_or(path).to_owned(), rule.capabilities),
            };
        }
        (exact, wildcard)
    }

    /// All rules of which one decides alone, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let own = self.own.as_deref();
        let is_own = move |path: &str| own.is_some_and(|own| own.all().any(|rule| rule.path() == path));
        own.into_iter().flat_map(Rules::all).chain(self.shared.all().filter(move |rule| !is_own(rule.path())))
    }

    /// The one rule that applies: exact, first with, then without the final `/`; else the most specific wildcard rule, likewise.
    pub(super) fn rule_for(&self, path: &str, list: bool) -> Option<&Arc<Rule>> {
        let spelled = Spelled::new(path, list);
        let (path, trimmed) = (spelled.whole(), spelled.trimmed());
        self.exact(path)
            .or_else(|| self.exact(trimmed?))
            .or_else(|| self.wildcard(path))
            .or_else(|| self.wildcard(trimmed?))
    }

    fn exact(&self, path: &str) -> Option<&Arc<Rule>> {
        let own = self.own.as_deref().and_then(|own| own.exact.get(path));
        own.or_else(|| self.shared.exact.get(path))
    }

    /// A rule that forbids by itself.
    pub(super) fn denial(&self, capability: Capability, path: &str) -> Option<&Arc<Rule>> {
        self.counting.denial(capability, path)
    }

    /// A rule that grants by itself; `with_sudo`: that, too.
    pub(super) fn grant(&self, capability: Capability, path: &str, with_sudo: bool) -> Option<&Arc<Rule>> {
        self.counting.grant(capability, path, with_sudo)
    }

    /// Policies about secrets, and roles.
    pub(super) fn named(&self) -> (&NamedPolicies, &NamedRules) {
        (&self.named, &self.counting)
    }

    fn wildcard(&self, path: &str) -> Option<&Arc<Rule>> {
        match &self.own {
            None => self.shared.wildcard.find(path),
            Some(own) => Matcher::find_in([&own.wildcard, &self.shared.wildcard], path),
        }
    }
}

/// A path as rules spell it.
pub(super) struct Spelled<'p>(Cow<'p, str>);

impl<'p> Spelled<'p> {
    pub(super) fn new(path: &'p str, list: bool) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        Self(if list && !path.ends_with('/') { Cow::Owned(format!("{path}/")) } else { Cow::Borrowed(path) })
    }

    /// Of a LIST with its final `/`.
    pub(super) fn whole(&self) -> &str {
        &self.0
    }

    /// Without a final `/`, where there is one.
    pub(super) fn trimmed(&self) -> Option<&str> {
        self.0.strip_suffix('/')
    }
}

impl Rule {
    /// The path as policies write it.
    pub fn path(&self) -> &str {
        &self.matched.path
    }

    /// Policies that speak of it.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.matched.policies
    }

    pub(super) fn new(policy: &Arc<str>, statement: &Statement) -> Self {
        Self {
            matched: Arc::new(MatchedRule { path: statement.path.clone(), policies: vec![Arc::clone(policy)] }),
            capabilities: statement.capabilities,
            parameters: statement.parameters.clone(),
            min_wrapping_ttl: statement.min_wrapping_ttl,
            max_wrapping_ttl: statement.max_wrapping_ttl,
        }
    }

    pub(super) fn merge(&mut self, policy: &Arc<str>, statement: &Statement) {
        if !self.policies().contains(policy) {
            Arc::make_mut(&mut self.matched).policies.push(Arc::clone(policy));
        }
        if self.capabilities.contains(Capability::Deny) {
            return;
        }
        if statement.capabilities.contains(Capability::Deny) {
            let matched = Arc::clone(&self.matched);
            *self = Self { matched, ..Self::new(policy, statement) };
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

//! May this request pass?

use super::acl::{Acl, Rule};
use super::capability::{Capabilities, Capability, Operation};
use super::name::deciding_path;
use super::needs_sudo;
use audit_chain::{Decided, Verdict};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'r> {
    /// Path without `/v1/`; of a LIST with or without its final `/`.
    pub path: &'r str,
    /// What it wants to do.
    pub operation: Operation,
    /// Fields of the body (of the query for reads), if the engine reads any.
    pub parameters: Option<&'r Map<String, Value>>,
    /// Wanted wrapping of the answer, seconds.
    pub wrap_ttl: Option<u64>,
}

impl<'r> AccessRequest<'r> {
    /// Without fields and wrapping.
    pub fn new(operation: Operation, path: &'r str) -> Self {
        Self { path, operation, parameters: None, wrap_ttl: None }
    }
}

/// The answer, and what it rests on.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// Whether the rule also grants `sudo` (root: yes), for verbs that ask inside.
    pub sudo: bool,
    /// The one rule that decided; none for root and where no rule matches.
    pub rule: Option<Arc<Rule>>,
    /// Why.
    pub reason: Reason,
}

/// Why a request may or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The policy `root`.
    Root,
    /// The rule grants it.
    Granted,
    /// No rule speaks of the path.
    NoRule,
    /// The rule says `deny`.
    Denied,
    /// The rule does not grant the operation.
    NotGranted,
    /// The path needs `sudo`, which the rule does not grant.
    NeedsSudo,
    /// The answer is not wrapped, or for a time outside the rule's bounds.
    Wrapping,
    /// A field is missing, or not allowed.
    Parameters,
    /// The token is another namespace's.
    Namespace,
}

impl Reason {
    /// For records and `explain`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Root => "policy root",
            Self::Granted => "granted",
            Self::NoRule => "no rule matches the path",
            Self::Denied => "the rule denies",
            Self::NotGranted => "the rule does not grant the operation",
            Self::NeedsSudo => "the path needs sudo",
            Self::Wrapping => "the answer must be wrapped within the rule's bounds",
            Self::Parameters => "a parameter is missing or not allowed",
            Self::Namespace => "the token is of another namespace",
        }
    }
}

impl Decision {
    /// As records tell it.
    pub fn verdict(&self) -> Verdict {
        let decided = match (self.allowed, self.reason) {
            (true, Reason::Root) => Decided::Root,
            (true, _) => Decided::Granted,
            (false, _) => Decided::Denied,
        };
        Verdict { decided, rule: self.rule.as_ref().map(|rule| Arc::clone(&rule.matched)) }
    }
}

/// The steps of a decision, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The policy `root`.
    Root,
    /// Policies about secrets that deny.
    Denials,
    /// Rules on a secret's name, where it was asked for by that.
    Name,
    /// Of the rules that match the path, the one that applies.
    Ruled,
    /// Policies about secrets and roles that grant.
    Grants,
}

/// Who wants to know how a decision came about.
pub(super) trait Steps {
    /// A step, and the rule that it found.
    fn add(&mut self, stage: Stage, found: Option<(&Arc<Rule>, Reason)>);
}

/// Nobody.
impl Steps for () {
    fn add(&mut self, _: Stage, _: Option<(&Arc<Rule>, Reason)>) {}
}

impl Acl {
    /// Decides one request. A rule that denies by itself comes first; then the one rule that applies; and what that does not grant, a rule
    /// that grants by itself may.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.decide_below("", request)
    }

    /// The same about a path of a namespace below that of the policies: they name it with `namespace` (which ends in `/`, or is empty) in front.
    pub fn decide_below(&self, namespace: &str, request: &AccessRequest<'_>) -> Decision {
        self.weigh(namespace, request, &mut ())
    }

    /// The same, telling of each step.
    pub(super) fn weigh(&self, namespace: &str, request: &AccessRequest<'_>, steps: &mut impl Steps) -> Decision {
        if self.is_root() {
            steps.add(Stage::Root, None);
            return Decision { allowed: true, sudo: true, rule: None, reason: Reason::Root };
        }
        let capability = request.operation.capability();
        let relative = deciding_path(request.path);
        let path = below(namespace, &relative);
        let refused = |rule: &Arc<Rule>| Decision {
            allowed: false,
            sudo: false,
            rule: Some(Arc::clone(rule)),
            reason: Reason::Denied,
        };
        let denial = self.denial(capability, &path);
        steps.add(Stage::Denials, denial.map(|rule| (rule, Reason::Denied)));
        if let Some(rule) = denial {
            return refused(rule);
        }
        let is_list = request.operation == Operation::List;
        // By its name a secret can be forbidden, too.
        if let Cow::Owned(_) = &relative {
            let denies = |rule: &&Arc<Rule>| rule.capabilities.contains(Capability::Deny);
            let denial = self.rule_for(&below(namespace, request.path), is_list).filter(denies);
            steps.add(Stage::Name, denial.map(|rule| (rule, Reason::Denied)));
            if let Some(rule) = denial {
                return refused(rule);
            }
        }
        let decided = self.rule_for(&path, is_list).map(|rule| (rule, judge(rule, request)));
        steps.add(Stage::Ruled, decided);
        let decided = match decided {
            Some((_, Reason::Granted | Reason::Denied)) => decided,
            _ => {
                let sudo = needs_sudo(request.operation, request.path);
                let granted = self.grant(capability, &path, sudo).map(|rule| (rule, Reason::Granted));
                let granted = granted.or_else(|| {
                    let lacking = if sudo { self.grant(capability, &path, false) } else { None };
                    lacking.map(|rule| (rule, Reason::NeedsSudo))
                });
                steps.add(Stage::Grants, granted);
                match granted {
                    Some((_, Reason::Granted)) => granted,
                    lacking => decided.or(lacking),
                }
            }
        };
        let Some((rule, reason)) = decided else {
            return Decision { allowed: false, sudo: false, rule: None, reason: Reason::NoRule };
        };
        let sudo = rule.capabilities.contains(Capability::Sudo);
        Decision { allowed: reason == Reason::Granted, sudo, rule: Some(Arc::clone(rule)), reason }
    }

    /// What the token may do to `path`, sorted; `["root"]` or `["deny"]` for all and nothing.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        self.capabilities_below("", path)
    }

    /// The same about a path of a namespace, as [`Self::decide_below`].
    pub fn capabilities_below(&self, namespace: &str, path: &str) -> Vec<&'static str> {
        if self.is_root() {
            return vec!["root"];
        }
        let relative = deciding_path(path);
        let is_owned = matches!(relative, Cow::Owned(_));
        let deciding = below(namespace, &relative);
        let denies =
            |path: &str| self.rule_for(path, false).is_some_and(|rule| rule.capabilities.contains(Capability::Deny));
        if denies(&deciding) || is_owned && denies(&below(namespace, path)) {
            return vec!["deny"];
        }
        let ruled = self.rule_for(&deciding, false).map_or(Capabilities::NONE, |rule| rule.capabilities);
        let granted = |capability| ruled.contains(capability) || self.grant(capability, &deciding, false).is_some();
        let names: Vec<&'static str> = Capability::ALL
            .into_iter()
            .filter(|capability| granted(*capability) && self.denial(*capability, &deciding).is_none())
            .map(Capability::name)
            .collect();
        if names.is_empty() { vec!["deny"] } else { names }
    }
}

/// A path of a namespace as policies above it write it.
fn below<'p>(namespace: &str, path: &'p str) -> Cow<'p, str> {
    if namespace.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{namespace}{path}")) }
}

fn judge(rule: &Rule, request: &AccessRequest<'_>) -> Reason {
    if rule.capabilities.contains(Capability::Deny) {
        return Reason::Denied;
    }
    if !rule.capabilities.contains(request.operation.capability()) {
        return Reason::NotGranted;
    }
    if needs_sudo(request.operation, request.path) && !rule.capabilities.contains(Capability::Sudo) {
        return Reason::NeedsSudo;
    }
    if !rule.permits_wrapping(request.wrap_ttl) {
        return Reason::Wrapping;
    }
    let with_fields =
        matches!(request.operation, Operation::Create | Operation::Read | Operation::Update | Operation::Patch);
    if with_fields && !rule.parameters.is_empty() {
        let none = Map::new();
        if !rule.parameters.permit(request.parameters.unwrap_or(&none)) {
            return Reason::Parameters;
        }
    }
    Reason::Granted
}

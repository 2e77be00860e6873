//! How a decision came about, for people who wonder. It is the decision itself that tells ([`Acl::decide`]); beside it stands what else
//! matches, and what does not count now.

use super::acl::{Acl, Rule, Spelled};
use super::capability::Operation;
use super::decide::{AccessRequest, Decision, Reason, Stage, Steps};
use super::matcher::{Matcher, first_wildcard};
use super::name::deciding_path;
use super::permissions::ROLE_PREFIX;
use super::secrets::Circumstances;
use std::sync::Arc;

/// A decision with its steps.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What [`Acl::decide`] says.
    pub decision: Decision,
    /// The path that the rules were asked about: of a secret's name, the secret's.
    pub path: String,
    /// In their order.
    pub steps: Vec<Step>,
    /// Rules that match: those that deny by themselves, those of which the first decides, those that grant by themselves.
    pub matching: Vec<Candidate>,
    /// Policies that would speak of it, but not now.
    pub idle: Vec<Idle>,
}

/// What one step found.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// The rule, and what it says.
    pub found: Option<(Arc<Rule>, Reason)>,
}

/// A rule that matches.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub rule: Arc<Rule>,
    /// The step that looks at it.
    pub stage: Stage,
    /// Why another goes before it; `None`: none does.
    pub lag: Option<&'static str>,
}

/// A policy whose conditions do not hold.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Its name.
    pub policy: Arc<str>,
    /// Whether it would deny.
    pub denies: bool,
    /// Which condition.
    pub why: &'static str,
}

impl Steps for Vec<Step> {
    fn add(&mut self, stage: Stage, found: Option<(&Arc<Rule>, Reason)>) {
        self.push(Step { stage, found: found.map(|(rule, reason)| (Arc::clone(rule), reason)) });
    }
}

impl Acl {
    /// Decides a request as [`Acl::decide`] would then, and tells how.
    pub fn explain(self: &Arc<Self>, request: &AccessRequest<'_>, at: &Circumstances) -> Explanation {
        let acl = self.at(at);
        let mut steps = Vec::new();
        let decision = acl.weigh("", request, &mut steps);
        let path = deciding_path(request.path).into_owned();
        let (mut matching, mut idle) = (Vec::new(), Vec::new());
        if !acl.is_root() {
            let (capability, (policies, counting)) = (request.operation.capability(), acl.named());
            let by_themselves =
                |stage, rules: Vec<Arc<Rule>>| rules.into_iter().map(move |rule| Candidate { rule, stage, lag: None });
            let [denials, grants] = counting.matching(capability, &path);
            matching.extend(by_themselves(Stage::Denials, denials));
            if path != request.path {
                let on_name = acl.candidates(request.path, request.operation, Stage::Name);
                matching.extend(on_name);
            }
            matching.extend(acl.candidates(&path, request.operation, Stage::Ruled));
            matching.extend(by_themselves(Stage::Grants, grants));
            let resting = policies.idle(capability, &path, at);
            idle.extend(resting.map(|(policy, denies, why)| Idle { policy, denies, why }));
        }
        Explanation { decision, path, steps, matching, idle }
    }

    /// Rules of which one decides alone, that one first.
    fn candidates(&self, path: &str, operation: Operation, stage: Stage) -> Vec<Candidate> {
        let spelled = Spelled::new(path, operation == Operation::List);
        let (whole, trimmed) = (spelled.whole(), spelled.trimmed());
        // As `Acl::rule_for` goes: the smaller is looked for first.
        let class = |rule: &Arc<Rule>| {
            let is_wild = first_wildcard(rule.path()).is_some();
            let fits = |path: &str| if is_wild { Matcher::matches(rule, path) } else { rule.path() == path };
            match (fits(whole), trimmed.is_some_and(fits)) {
                (true, _) => Some((is_wild, false)),
                (false, true) => Some((is_wild, true)),
                (false, false) => None,
            }
        };
        let mut found: Vec<_> = self.all().filter_map(|rule| class(rule).map(|class| (class, rule))).collect();
        found.sort_by(|(class, rule), (other_class, other)| {
            class.cmp(other_class).then_with(|| Matcher::order(other, rule))
        });
        let best = found.first().copied();
        let candidate = |(class, rule): ((bool, bool), &Arc<Rule>)| {
            let lag = match best {
                Some((_, best)) if Arc::ptr_eq(best, rule) => None,
                Some(((false, _), _)) if class.0 => Some("it has a wildcard, the other is exact"),
                Some((best_class, _)) if class != best_class => Some("it matches only without the final /"),
                Some((_, best)) => Some(Matcher::lag(rule, best)),
                None => None,
            };
            Candidate { rule: Arc::clone(rule), stage, lag }
        };
        found.into_iter().map(candidate).collect()
    }
}

impl Stage {
    /// What the step is about, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Root => "the policy root may do everything",
            Self::Denials => "policies about secrets that deny: one is enough, whatever others grant",
            Self::Name => "rules on the secret's name itself: they can deny and grant nothing",
            Self::Ruled => "of the rules that match the path the most specific one decides alone",
            Self::Grants => {
                "policies about secrets, and roles, that grant: one is enough where that rule neither grants nor denies"
            }
        }
    }
}

impl Explanation {
    /// The whole in one sentence.
    pub fn because(&self) -> String {
        let Decision { rule, reason, .. } = &self.decision;
        let Some(rule) = rule else {
            return match reason {
                Reason::Root => "a token with the policy root may do everything".to_owned(),
                _ => format!("no rule speaks of {:?}, and what nothing grants is denied", self.path),
            };
        };
        let decided = |step: &&Step| step.found.as_ref().is_some_and(|(found, _)| Arc::ptr_eq(found, rule));
        let stage = self.steps.iter().rev().find(decided).map_or(Stage::Ruled, |step| step.stage);
        let which = format!("{:?} of {}", rule.path(), rule.policies().join(", "));
        match stage {
            Stage::Denials => {
                format!("{which} denies, and the denial of a policy about secrets beats whatever others grant")
            }
            Stage::Name => format!("{which} denies the secret by its name"),
            Stage::Grants if *reason != Reason::Granted => {
                format!("{which} grants it by itself, but {}", reason.text())
            }
            Stage::Grants if rule.policies().iter().any(|policy| policy.starts_with(ROLE_PREFIX)) => {
                format!("{which} grants by itself, as each role does that somebody has")
            }
            Stage::Grants => format!("{which} grants by itself, as each policy about secrets does"),
            Stage::Root | Stage::Ruled => {
                let rivals = self.matching.iter().filter(|candidate| candidate.stage == Stage::Ruled).count();
                let alone = if rivals > 1 {
                    format!("is the most specific of {rivals} rules that match, and decides alone")
                } else {
                    "is the only rule that matches".to_owned()
                };
                format!("{which} {alone}: {}", reason.text())
            }
        }
    }
}

//! Rules with wildcards: a tree over path segments, so that a decision looks at the rules that can match and at no other.

use super::acl::Rule;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// Where the first wildcard of a rule's path stands: a segment that is `+`, or the final `*`. `None`: the path is literal.
pub(super) fn first_wildcard(path: &str) -> Option<usize> {
    let mut offset = 0;
    for segment in path.split('/') {
        if segment == "+" {
            return Some(offset);
        }
        offset += segment.len() + 1;
    }
    path.ends_with('*').then(|| path.len() - 1)
}

#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, Node>,
    plus: Option<Box<Node>>,
    /// A rule that ends here, not in `*`.
    end: Option<Arc<Ranked>>,
    /// Rules `…/text*` whose last segment's text is the key.
    prefixes: HashMap<Box<str>, Arc<Ranked>>,
    /// Lengths of the keys of `prefixes`, longest first.
    prefix_lengths: Vec<usize>,
}

/// A rule and what decides between it and others that match: the greater wins.
#[derive(Debug)]
struct Ranked {
    rank: (usize, bool, std::cmp::Reverse<usize>, usize),
    rule: Arc<Rule>,
}

impl Ranked {
    fn new(rule: Arc<Rule>) -> Self {
        let path = rule.path();
        let pluses = path.split('/').filter(|segment| *segment == "+").count();
        let rank =
            (first_wildcard(path).unwrap_or(path.len()), !path.ends_with('*'), std::cmp::Reverse(pluses), path.len());
        Self { rank, rule }
    }

    fn beats(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Greater
    }

    fn order(&self, other: &Self) -> Ordering {
        (&self.rank, self.rule.path()).cmp(&(&other.rank, other.rule.path()))
    }
}

impl Matcher {
    /// Adds a rule; its path has a wildcard, and no other rule has the same path.
    pub(super) fn insert(&mut self, rule: Arc<Rule>) {
        let ranked = Arc::new(Ranked::new(rule));
        let path = ranked.rule.path();
        let (body, is_prefix) = path.strip_suffix('*').map_or((path, false), |body| (body, true));
        let mut segments: Vec<&str> = body.split('/').collect();
        let partial = if is_prefix { segments.pop() } else { None };
        let mut node = &mut self.root;
        for segment in segments {
            node = if segment == "+" {
                node.plus.get_or_insert_default()
            } else {
                node.literal.entry(segment.into()).or_default()
            };
        }
        match partial {
            None => node.end = Some(ranked),
            Some(partial) => {
                if !node.prefix_lengths.contains(&partial.len()) {
                    node.prefix_lengths.push(partial.len());
                    node.prefix_lengths.sort_unstable_by(|a, b| b.cmp(a));
                }
                node.prefixes.insert(partial.into(), ranked);
            }
        }
    }

    /// All rules, in no order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let mut nodes = vec![&self.root];
        std::iter::from_fn(move || {
            let node = nodes.pop()?;
            nodes.extend(node.literal.values().chain(node.plus.as_deref()));
            Some(node.end.iter().chain(node.prefixes.values()).map(|ranked| &ranked.rule))
        })
        .flatten()
    }

    /// Whether a rule matches `path`.
    pub(super) fn matches(rule: &Arc<Rule>, path: &str) -> bool {
        let mut alone = Self::default();
        alone.insert(Arc::clone(rule));
        alone.find(path).is_some()
    }

    /// Which of two rules that match is to decide: the greater.
    pub(super) fn order(one: &Arc<Rule>, other: &Arc<Rule>) -> Ordering {
        Ranked::new(Arc::clone(one)).order(&Ranked::new(Arc::clone(other)))
    }

    /// Why `loser` is not the one to decide beside `winner`.
    pub(super) fn lag(loser: &Arc<Rule>, winner: &Arc<Rule>) -> &'static str {
        let (loser, winner) = (Ranked::new(Arc::clone(loser)), Ranked::new(Arc::clone(winner)));
        let ((first, open, pluses, length), (best_first, best_open, best_pluses, best_length)) =
            (loser.rank, winner.rank);
        if first != best_first {
            "its first wildcard comes earlier"
        } else if open != best_open {
            "it ends in *"
        } else if pluses != best_pluses {
            "it has more +"
        } else if length != best_length {
            "it is shorter"
        } else {
            "its text comes earlier in the alphabet"
        }
    }

    /// The rule that wins among those matching `path`.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<Rule>> {
        Self::find_in([self], path)
    }

    /// The rule that wins among those matching `path` in any of these; of one path that is in two, the first one's.
    pub(super) fn find_in<'m>(matchers: impl IntoIterator<Item = &'m Self>, path: &str) -> Option<&'m Arc<Rule>> {
        let mut best = None;
        matchers.into_iter().for_each(|matcher| matcher.root.search(path, &mut best));
        best.map(|ranked| &ranked.rule)
    }
}

impl Node {
    fn search<'m>(&'m self, rest: &str, best: &mut Option<&'m Ranked>) {
        let (segment, after) = rest.split_once('/').map_or((rest, None), |(segment, after)| (segment, Some(after)));
        // Of the prefixes at one place only the longest can win: they differ in nothing that counts before it.
        let longest = self
            .prefix_lengths
            .iter()
            .filter_map(|length| segment.get(..*length))
            .find_map(|start| self.prefixes.get(start));
        if let Some(ranked) = longest {
            offer(best, ranked);
        }
        for child in [self.literal.get(segment), self.plus.as_deref()].into_iter().flatten() {
            match after {
                Some(after) => child.search(after, best),
                None => {
                    if let Some(ranked) = &child.end {
                        offer(best, ranked);
                    }
                }
            }
        }
    }
}

fn offer<'m>(best: &mut Option<&'m Ranked>, ranked: &'m Ranked) {
    if best.is_none_or(|known| ranked.beats(known)) {
        *best = Some(ranked);
    }
}

//! What the API offers, as data: dispatch, OpenAPI, help and the coverage tests all read these tables.

use super::answer::Answer;
use super::call::{AnyStateCall, Call, OpenCall};
use super::page::Page;
use super::parameters::Parameters;
use crate::app::{self, Context};
use clm_core::Mount;
use clm_core::access::Operation;
use futures_util::future::BoxFuture;

/// One path of an engine, below its mount.
pub struct Route {
    /// Segments; `{name}` takes one word, `{+path}` one or more segments with their slashes.
    pub pattern: &'static str,
    /// What can be done with it.
    pub endpoints: &'static [Endpoint],
}

/// One thing that can be done with a path.
pub struct Endpoint {
    /// How.
    pub verb: Verb,
    /// Names it in OpenAPI, metrics and logs.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Fields it knows; others are ignored with a warning.
    pub parameters: &'static [Parameter],
    /// What its answer looks like.
    pub shape: Shape,
    /// Leaves a record of a kind of its own before it answers; of others with a good token there is `request.answered`.
    pub audited: bool,
    /// Whether what is written is there already; `None`: it makes no difference.
    pub(super) exists: Option<Exists>,
    pub(super) handler: Handler,
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the API's")]
pub enum Verb {
    Delete,
    List,
    /// A merge patch (RFC 7396).
    Patch,
    Read,
    /// POST and PUT.
    Write,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No envelope.
    Bare,
    /// `data` in the envelope.
    Envelope,
    /// In the envelope twice: in `data` and at the top.
    Injected,
}

/// A field of a request.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means.
    pub description: &'static str,
    /// Whether nothing works without.
    pub required: bool,
}

/// What a field holds. Input is read leniently; see `parameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are JSON's")]
pub enum Kind {
    Boolean,
    /// Seconds, or text like `1h30m`.
    Duration,
    Integer,
    /// An array, or text with commas.
    List,
    /// An object.
    Object,
    /// An array of objects.
    Objects,
    /// An object with texts.
    Texts,
    Text,
}

pub(super) type Guarded = fn(Call) -> BoxFuture<'static, app::Result<Answer>>;
/// Whether what a path names is there.
pub(super) type Exists = for<'c> fn(&'c Context, &'c Mount, &'c Captures) -> BoxFuture<'c, app::Result<bool>>;
pub(super) type Open = fn(OpenCall) -> BoxFuture<'static, app::Result<Answer>>;
pub(super) type AnyState = fn(AnyStateCall) -> BoxFuture<'static, app::Result<Answer>>;

#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Answers whoever asks, in every state of the service: what tells of it, and what opens it.
    AnyState(AnyState),
    /// Answers whoever asks, while the service is unsealed.
    Open(Open),
    /// The token's policies must allow it.
    Permitted(Guarded),
    /// A valid token is enough; the handler looks further.
    AnyToken(Guarded),
}

impl Endpoint {
    pub(super) const fn new(verb: Verb, id: &'static str, summary: &'static str, handler: Guarded) -> Self {
        Self {
            verb,
            id,
            summary,
            parameters: &[],
            shape: Shape::Envelope,
            // What changes something is recorded; a table says so where a read is, too.
            audited: matches!(verb, Verb::Write | Verb::Patch | Verb::Delete),
            exists: None,
            handler: Handler::Permitted(handler),
        }
    }

    pub(super) const fn open(verb: Verb, id: &'static str, summary: &'static str, handler: Open) -> Self {
        Self::without_token(verb, id, summary, Handler::Open(handler))
    }

    /// Also while the service is sealed, or not yet initialised.
    pub(super) const fn in_any_state(verb: Verb, id: &'static str, summary: &'static str, handler: AnyState) -> Self {
        Self::without_token(verb, id, summary, Handler::AnyState(handler))
    }

    const fn without_token(verb: Verb, id: &'static str, summary: &'static str, handler: Handler) -> Self {
        Self { verb, id, summary, parameters: &[], shape: Shape::Bare, audited: false, exists: None, handler }
    }

    /// A write that gives a token to whoever can show that it is his.
    pub(super) const fn login(id: &'static str, summary: &'static str, handler: Open) -> Self {
        Self { shape: Shape::Envelope, audited: true, ..Self::open(Verb::Write, id, summary, handler) }
    }

    pub(super) const fn any_token(self) -> Self {
        let handler = match self.handler {
            Handler::Permitted(handler) => Handler::AnyToken(handler),
            other => other,
        };
        Self { handler, ..self }
    }

    pub(super) const fn with(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    pub(super) const fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    pub(super) const fn audited(self, audited: bool) -> Self {
        Self { audited, ..self }
    }

    /// A write that makes what is not there: whether it is decides between the capabilities `create` and `update`.
    pub(super) const fn creating(self, exists: Exists) -> Self {
        Self { exists: Some(exists), ..self }
    }

    /// Whether it answers without a token.
    pub fn is_open(&self) -> bool {
        matches!(self.handler, Handler::Open(_) | Handler::AnyState(_))
    }

    /// Whether it answers while the service is sealed.
    pub fn is_answered_while_sealed(&self) -> bool {
        matches!(self.handler, Handler::AnyState(_))
    }

    /// Whether it says where the service stands, by its status, too: to probes, and to whoever looks what is wrong.
    pub(super) fn tells_state(&self) -> bool {
        self.verb == Verb::Read && self.is_answered_while_sealed()
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.takes_any_field()
            || self.parameters.iter().any(|parameter| parameter.name == name)
            || (self.is_cut_in_pages() && Page::FIELDS.iter().any(|(field, _)| *field == name))
    }

    /// Whether it is a list that does not make its pages by itself.
    pub(super) fn is_cut_in_pages(&self) -> bool {
        self.verb == Verb::List && self.parameters.iter().all(|parameter| parameter.name != "limit")
    }

    /// Whether the body is the caller's own, whatever its fields.
    pub(super) fn takes_any_field(&self) -> bool {
        matches!(self.parameters, [only] if only.name == Parameter::ANY.name)
    }
}

impl Route {
    /// Whether its paths end in whatever follows.
    pub(super) fn takes_rest(&self) -> bool {
        self.pattern.rsplit('/').next().is_some_and(|part| part.starts_with("{+"))
    }
}

impl Parameter {
    /// Stands for all fields that there may be.
    pub(super) const ANY: Self = Self::new("*", Kind::Text, "Any field");

    pub(super) const fn new(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, description, required: false }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

impl Verb {
    /// Whether its fields are in the body.
    pub(super) fn has_body(self) -> bool {
        matches!(self, Self::Patch | Self::Write)
    }

    /// The method that OpenAPI and tests show.
    pub fn method(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::List => "LIST",
            Self::Patch => "PATCH",
            Self::Read => "GET",
            Self::Write => "POST",
        }
    }

    /// What the policy engine calls it. A write is an update, unless the endpoint can tell whether its thing exists.
    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Delete => Operation::Delete,
            Self::List => Operation::List,
            Self::Patch => Operation::Patch,
            Self::Read => Operation::Read,
            Self::Write => Operation::Update,
        }
    }
}

/// What a pattern took from a path.
pub(super) type Captures = Vec<(&'static str, String)>;

/// What it took under `name`; empty where it took nothing.
pub(super) fn captured<'c>(captures: &'c [(&'static str, String)], name: &str) -> &'c str {
    captures.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// An engine's tables, ready to be searched.
#[derive(Default)]
pub(super) struct Router(Vec<(Vec<Part>, &'static Route)>);

enum Part {
    Literal(&'static str),
    Word(&'static str),
    Rest(&'static str),
}

impl Router {
    /// Adds a table; what it shares with those before is theirs.
    pub(super) fn add(&mut self, routes: &'static [Route]) {
        let parts = |route: &'static Route| route.pattern.split('/').map(part).collect();
        self.0.extend(routes.iter().map(|route| (parts(route), route)));
    }

    /// The first route that matches; tables name the narrower one first.
    pub(super) fn find(&self, path: &str) -> Option<(&'static Route, Captures)> {
        self.0.iter().find_map(|(parts, route)| {
            let mut captures = Vec::new();
            matches(parts, path, &mut captures).then_some((*route, captures))
        })
    }
}

fn part(text: &'static str) -> Part {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        None => Part::Literal(text),
        Some(name) => name.strip_prefix('+').map_or(Part::Word(name), Part::Rest),
    }
}

fn matches(parts: &[Part], path: &str, captures: &mut Captures) -> bool {
    let Some((first, others)) = parts.split_first() else { return false };
    if let Part::Rest(name) = first {
        // What follows the rest is literal: `{+path}/tune`.
        let tail: String = others.iter().map(|part| format!("/{}", part.literal())).collect();
        let taken = path.strip_suffix(tail.as_str()).filter(|taken| !taken.trim_matches('/').is_empty());
        captures.extend(taken.map(|taken| (*name, taken.to_owned())));
        return taken.is_some();
    }
    let (segment, rest) = match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    };
    let fits = match first {
        Part::Literal(text) => *text == segment,
        Part::Word(_) => is_word(segment),
        Part::Rest(_) => false,
    };
    if !fits {
        return false;
    }
    if let Part::Word(name) = first {
        captures.push((*name, segment.to_owned()));
    }
    match rest {
        None => others.is_empty(),
        Some(rest) => matches(others, rest, captures),
    }
}

impl Part {
    fn literal(&self) -> &'static str {
        match self {
            Self::Literal(text) => text,
            Self::Word(_) | Self::Rest(_) => "",
        }
    }
}

/// `\w(([\w-.]+)?\w)?` in ASCII.
fn is_word(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || matches!(byte, b'-' | b'.'))
}

impl Parameters {
    /// Names that `endpoint` does not know, sorted.
    pub(super) fn unknown_to(&self, endpoint: &Endpoint) -> Vec<String> {
        let mut names: Vec<String> = self.names().filter(|name| !endpoint.knows(name)).map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROUTES: &[Route] = &[
        Route { pattern: "keys", endpoints: &[] },
        Route { pattern: "keys/{name}", endpoints: &[] },
        Route { pattern: "mounts/{+path}/tune", endpoints: &[] },
        Route { pattern: "mounts/{+path}", endpoints: &[] },
        Route { pattern: "sign/{name}/{hash}", endpoints: &[] },
    ];

    fn found(path: &str) -> Option<(&'static str, Vec<String>)> {
        let mut router = Router::default();
        router.add(ROUTES);
        let (route, captures) = router.find(path)?;
        Some((route.pattern, captures.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn paths_find_their_route() {
        for (path, pattern, captures) in [
            ("keys", "keys", vec![]),
            ("keys/a.b-c", "keys/{name}", vec!["a.b-c"]),
            ("mounts/a/b/tune", "mounts/{+path}/tune", vec!["a/b"]),
            ("mounts/a/b/", "mounts/{+path}", vec!["a/b/"]),
            ("mounts/tune", "mounts/{+path}", vec!["tune"]),
            ("sign/k/sha2-256", "sign/{name}/{hash}", vec!["k", "sha2-256"]),
        ] {
            assert_eq!(found(path), Some((pattern, captures.into_iter().map(str::to_owned).collect())), "{path}");
        }
    }

    #[test]
    fn other_paths_find_none() {
        for path in ["", "key", "keys/", "keys/-k", "keys/a/b", "mounts", "mounts/", "sign/k/", "sign/k", "keys/ä"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}

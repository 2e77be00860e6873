//! Paths with templates, `kv/{{identity.entity.name}}/*`, filled with what is known of the token's bearer. Pure.
//!
//! A template that cannot be filled leaves its rule out. What it is filled with stays one piece of a segment: a value with `/` or `*`, or
//! one that is `+` or empty, fills nothing, so that nobody widens a rule by the name that was given to him.

use std::collections::BTreeMap;

/// The bearer of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the templates'")]
pub struct Subject {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    /// By the accessor of their login method.
    pub aliases: BTreeMap<String, SubjectAlias>,
    /// All groups, those that are held through others too.
    pub groups: Vec<SubjectGroup>,
}

/// By which name a login method knows him.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the templates'")]
pub struct SubjectAlias {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    pub custom_metadata: BTreeMap<String, String>,
}

/// A group that he is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the templates'")]
pub struct SubjectGroup {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
}

/// Whether there is a template in it, or half of one.
pub(super) fn is_templated(path: &str) -> bool {
    path.contains("{{") || path.contains("}}")
}

/// Whether each template has its end, and a name that can mean something.
pub(super) fn is_well_formed(path: &str) -> bool {
    pieces(path).is_some_and(|pieces| {
        pieces.iter().all(|piece| match piece {
            Piece::Text(_) => true,
            Piece::Template(name) => {
                ["identity.entity.", "identity.groups."].iter().any(|start| name.starts_with(start))
            }
        })
    })
}

/// The path for this bearer; `None`: it cannot be filled.
pub(super) fn fill(path: &str, subject: &Subject) -> Option<String> {
    let mut filled = String::with_capacity(path.len() + 32);
    for piece in pieces(path)? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Template(name) => {
                let value = subject.value(name)?;
                let is_piece = !value.is_empty() && value != "+" && !value.contains(['/', '*']);
                filled.push_str(is_piece.then_some(value)?);
            }
        }
    }
    Some(filled)
}

enum Piece<'p> {
    Text(&'p str),
    Template(&'p str),
}

/// `None`: braces without their other half.
fn pieces(path: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}")?;
        if text.contains("}}") || name.contains("{{") {
            return None;
        }
        pieces.extend([Piece::Text(text), Piece::Template(name.trim())]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    (!rest.contains("}}")).then_some(pieces)
}

impl Subject {
    fn value(&self, name: &str) -> Option<&str> {
        let name = name.strip_prefix("identity.")?;
        if let Some(name) = name.strip_prefix("entity.") {
            return match name {
                "id" => Some(&self.id),
                "name" => Some(&self.name),
                _ => match name.strip_prefix("aliases.") {
                    Some(name) => {
                        let (accessor, name) = name.split_once('.')?;
                        self.aliases.get(accessor)?.value(name)
                    }
                    None => self.metadata.get(name.strip_prefix("metadata.")?).map(String::as_str),
                },
            };
        }
        let (by, name) = name.strip_prefix("groups.")?.split_once('.')?;
        match by {
            "ids" => {
                let (id, name) = name.split_once('.')?;
                self.groups.iter().find(|group| group.id == id)?.value(name)
            }
            // A group's name may have dots.
            "names" => {
                self.groups.iter().find_map(|group| group.value(name.strip_prefix(&*group.name)?.strip_prefix('.')?))
            }
            _ => None,
        }
    }
}

impl SubjectAlias {
    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "id" => Some(&self.id),
            "name" => Some(&self.name),
            _ => match name.strip_prefix("custom_metadata.") {
                Some(key) => self.custom_metadata.get(key),
                None => self.metadata.get(name.strip_prefix("metadata.")?),
            }
            .map(String::as_str),
        }
    }
}

impl SubjectGroup {
    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "id" => Some(&self.id),
            "name" => Some(&self.name),
            _ => self.metadata.get(name.strip_prefix("metadata.")?).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alice() -> Subject {
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let alias = SubjectAlias {
            id: "al".into(),
            name: "u1".into(),
            metadata: map("m", "am"),
            custom_metadata: map("c", "ac"),
        };
        Subject {
            id: "e1".into(),
            name: "alice".into(),
            metadata: map("team.of", "blue"),
            aliases: BTreeMap::from([("auth_userpass_1".to_owned(), alias)]),
            groups: vec![SubjectGroup { id: "g1".into(), name: "crew.a".into(), metadata: map("k", "v") }],
        }
    }

    #[test]
    fn what_is_known_is_filled_in() {
        for (path, filled) in [
            ("kv/{{identity.entity.id}}/*", "kv/e1/*"),
            ("kv/{{ identity.entity.name }}-x/+", "kv/alice-x/+"),
            ("{{identity.entity.metadata.team.of}}/{{identity.entity.id}}", "blue/e1"),
            ("kv/{{identity.entity.aliases.auth_userpass_1.name}}", "kv/u1"),
            ("kv/{{identity.entity.aliases.auth_userpass_1.id}}", "kv/al"),
            ("kv/{{identity.entity.aliases.auth_userpass_1.metadata.m}}", "kv/am"),
            ("kv/{{identity.entity.aliases.auth_userpass_1.custom_metadata.c}}", "kv/ac"),
            ("kv/{{identity.groups.ids.g1.name}}", "kv/crew.a"),
            ("kv/{{identity.groups.names.crew.a.id}}", "kv/g1"),
            ("kv/{{identity.groups.names.crew.a.metadata.k}}", "kv/v"),
            ("plain/*", "plain/*"),
        ] {
            assert_eq!(fill(path, &alice()).as_deref(), Some(filled), "{path}");
            assert!(is_well_formed(path), "{path}");
        }
    }

    #[test]
    fn what_is_not_known_fills_nothing() {
        for path in [
            "kv/{{identity.entity.metadata.absent}}",
            "kv/{{identity.entity.metadata}}",
            "kv/{{identity.entity.aliases.auth_userpass_2.name}}",
            "kv/{{identity.groups.ids.g2.name}}",
            "kv/{{identity.groups.names.crew.id}}",
            "kv/{{identity.entity}}",
            "kv/{{time.now}}",
            "kv/{{}}",
            "kv/{{identity.entity.id",
            "kv/identity.entity.id}}",
            "kv/{{a{{identity.entity.id}}}}",
        ] {
            assert_eq!(fill(path, &alice()), None, "{path}");
        }
        for path in ["kv/{{time.now}}", "kv/{{identity.entity.id", "kv/}}", "kv/{{{{identity.entity.id}}}}"] {
            assert!(!is_well_formed(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_stays_one_piece_of_a_segment(name in "[a-z/*+{}. ]{0,6}") {
            let subject = Subject { name: name.clone(), ..alice() };
            for path in ["kv/{{identity.entity.name}}/data", "{{identity.entity.name}}", "kv/x{{identity.entity.name}}"] {
                if let Some(filled) = fill(path, &subject) {
                    prop_assert_eq!(filled.matches('/').count(), path.matches('/').count());
                    prop_assert!(!filled.contains('*') && !filled.split('/').any(|segment| segment == "+"));
                    prop_assert_eq!(filled, path.replace("{{identity.entity.name}}", &name));
                }
            }
        }
    }
}

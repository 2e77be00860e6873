//! One policy's text → its rules.

use super::capability::{Capabilities, Capability};
use super::document::Node;
use super::parameters::{ParameterRules, ValueRule};
use super::secrets::Conditions;
use super::{duration, hcl};
use std::sync::Arc;

/// A policy, read once.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) name: Arc<str>,
    pub(super) statements: Vec<Statement>,
    pub(super) effect: Effect,
    /// Without them it is not there.
    pub(super) conditions: Conditions,
}

/// How a policy's rules go together with those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Whatever others grant, it is forbidden.
    Denies,
    /// Each grants by itself.
    Grants,
    /// As Vault's do: of all that match, the one rule that is most specific decides.
    Ruled,
}

/// One `path` block.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// As written, without a leading `/`.
    pub(super) path: String,
    pub(super) capabilities: Capabilities,
    pub(super) parameters: ParameterRules,
    /// Seconds; 0: no bound.
    pub(super) min_wrapping_ttl: u64,
    pub(super) max_wrapping_ttl: u64,
}

/// Why a text is no policy; shown to its writer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse policy: {0}")]
pub struct PolicyError(String);

impl Policy {
    /// Reads `text`, HCL or JSON.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| PolicyError(format!("it is no valid JSON: {error}")))?
        } else {
            hcl::parse(text).map_err(|error| PolicyError(format!("line {}: {}", error.line, error.fault)))?
        };
        let Node::Object(members) = document else { return refuse("it should be an object") };
        let mut statements = Vec::new();
        for (key, value) in &members {
            match key.as_str() {
                "path" => {
                    let Some(blocks) = value.objects() else {
                        return refuse("`path` should be a block: path \"…\" { … }");
                    };
                    for (path, body) in blocks.into_iter().flatten() {
                        let bodies = body.objects().ok_or_else(|| at(path, "should be followed by a block { … }"))?;
                        for body in bodies {
                            statements.push(statement(path, body)?);
                        }
                    }
                }
                "name" => {}
                other => return refuse(&format!("invalid key {other:?}; a policy has blocks: path \"…\" {{ … }}")),
            }
        }
        Ok(Self { name: name.into(), statements, effect: Effect::Ruled, conditions: Conditions::default() })
    }

    /// A path whose template no bearer could fill; such a rule would never apply.
    pub fn broken_template(&self) -> Option<&str> {
        self.statements
            .iter()
            .map(|statement| &*statement.path)
            .find(|path| super::template::is_templated(path) && !super::template::is_well_formed(path))
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Statement {
    /// Grants, or forbids, where its policy does.
    pub(super) fn granting(path: String, capabilities: Capabilities) -> Self {
        let parameters = ParameterRules::default();
        Self { path, capabilities, parameters, min_wrapping_ttl: 0, max_wrapping_ttl: 0 }
    }
}

impl PolicyError {
    pub(super) fn new(fault: String) -> Self {
        Self(fault)
    }
}

fn statement(path: &str, members: &[(String, Node)]) -> Result<Statement, PolicyError> {
    let mut capabilities = Capabilities::NONE;
    let mut parameters = ParameterRules::default();
    let (mut min_wrapping_ttl, mut max_wrapping_ttl) = (0, 0);
    for (key, value) in members {
        match key.as_str() {
            "capabilities" => {
                for word in words(value).ok_or_else(|| at(path, "`capabilities` should be a list of words"))? {
                    let capability =
                        Capability::from_name(word).ok_or_else(|| at(path, &format!("invalid capability {word:?}")))?;
                    capabilities.insert(capability);
                }
            }
            "policy" => {
                let Node::Text(word) = value else { return Err(at(path, "`policy` should be a word")) };
                let old = old_form(word).ok_or_else(|| at(path, &format!("invalid policy {word:?}")))?;
                capabilities = capabilities.union(old.iter().copied().collect());
            }
            "allowed_parameters" => parameters.allowed = Some(value_rules(path, key, value)?),
            "denied_parameters" => parameters.denied = Some(value_rules(path, key, value)?),
            "required_parameters" => {
                let names = words(value).ok_or_else(|| at(path, "`required_parameters` should be a list of names"))?;
                parameters.required = names.into_iter().map(str::to_lowercase).collect();
            }
            "min_wrapping_ttl" => min_wrapping_ttl = seconds(path, key, value)?,
            "max_wrapping_ttl" => max_wrapping_ttl = seconds(path, key, value)?,
            "comment" => {}
            "mfa_methods" | "control_group" => {
                return Err(at(
                    path,
                    &format!("`{key}` is not supported; without it the rule would grant more than it says"),
                ));
            }
            other => return Err(at(path, &format!("invalid key {other:?}"))),
        }
    }
    if max_wrapping_ttl != 0 && min_wrapping_ttl > max_wrapping_ttl {
        return Err(at(path, "max_wrapping_ttl cannot be less than min_wrapping_ttl"));
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.contains("+*") {
        return Err(at(path, "invalid use of wildcards ('+*' is forbidden)"));
    }
    if capabilities.contains(Capability::Deny) {
        // A denial leaves nothing else to say.
        capabilities = [Capability::Deny].into_iter().collect();
        parameters = ParameterRules::default();
        (min_wrapping_ttl, max_wrapping_ttl) = (0, 0);
    }
    Ok(Statement { path: path.to_owned(), capabilities, parameters, min_wrapping_ttl, max_wrapping_ttl })
}

/// The form before there were capabilities.
fn old_form(word: &str) -> Option<&'static [Capability]> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    Some(match word {
        "deny" => &[Deny],
        "read" => &[Read, List],
        "write" => &[Create, Read, Update, Delete, List],
        "sudo" => &[Create, Read, Update, Delete, List, Sudo],
        _ => return None,
    })
}

fn words(value: &Node) -> Option<Vec<&str>> {
    let Node::List(items) = value else { return None };
    items
        .iter()
        .map(|item| match item {
            Node::Text(word) => Some(word.as_str()),
            _ => None,
        })
        .collect()
}

fn value_rules(path: &str, key: &str, value: &Node) -> Result<Vec<ValueRule>, PolicyError> {
    let blocks = value.objects().ok_or_else(|| at(path, &format!("`{key}` should be a block of name = [values]")))?;
    blocks
        .into_iter()
        .flatten()
        .map(|(name, values)| {
            let Node::List(values) = values else {
                return Err(at(path, &format!("`{key}`: {name:?} should be a list of values")));
            };
            Ok(ValueRule { name: name.to_lowercase(), values: values.iter().map(Node::to_json).collect() })
        })
        .collect()
}

fn seconds(path: &str, key: &str, value: &Node) -> Result<u64, PolicyError> {
    match value {
        Node::Number(number) => number.as_u64(),
        Node::Text(text) => duration::parse_seconds(text),
        _ => None,
    }
    .ok_or_else(|| at(path, &format!("`{key}` should be a duration such as \"90s\"")))
}

fn at(path: &str, fault: &str) -> PolicyError {
    PolicyError(format!("path {path:?}: {fault}"))
}

fn refuse<T>(fault: &str) -> Result<T, PolicyError> {
    Err(PolicyError(fault.to_owned()))
}

//! Policies as they are written: HCL or JSON.

use super::capability::{Capabilities, Capability};
use super::parameters::Parameters;
use super::pattern::Pattern;
use hcl::{BlockLabel, Expression, Structure};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("failed to parse policy: {0}")]
pub struct ParseError(String);

/// A policy: rules by path.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Rules, in the order written.
    pub rules: Vec<Rule>,
}

/// What may be done on paths of one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) capabilities: Capabilities,
    pub(crate) parameters: Parameters,
    /// Answers must be wrapped: a request without `X-Vault-Wrap-TTL` is refused.
    pub(crate) must_wrap: bool,
}

impl Policy {
    /// Reads HCL, or JSON if the text begins with a brace.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| ParseError(error.to_string()))?
        } else {
            from_hcl(text)?
        };
        let Value::Object(document) = document else { return Err(ParseError("a policy is an object".into())) };
        let mut rules = Vec::new();
        for (key, value) in document {
            match key.as_str() {
                "name" => {}
                "path" => paths(value, &mut rules)?,
                other => return Err(ParseError(format!("invalid key \"{other}\""))),
            }
        }
        Ok(Self { rules })
    }
}

/// `{"a": {…}}`, or a list of such objects (a path written twice), or lists in place of the rule.
fn paths(value: Value, rules: &mut Vec<Rule>) -> Result<(), ParseError> {
    match value {
        Value::Object(paths) => {
            for (path, body) in paths {
                match body {
                    Value::Array(bodies) => {
                        for body in bodies {
                            rules.push(rule(&path, body)?);
                        }
                    }
                    body => rules.push(rule(&path, body)?),
                }
            }
            Ok(())
        }
        Value::Array(list) => list.into_iter().try_for_each(|item| paths(item, rules)),
        _ => Err(ParseError("\"path\" must be followed by a path and its rule".into())),
    }
}

fn rule(path: &str, body: Value) -> Result<Rule, ParseError> {
    let wrong = |what: String| ParseError(format!("path \"{path}\": {what}"));
    let Value::Object(body) = body else { return Err(wrong("the rule is no object".into())) };
    let pattern = Pattern::parse(path).ok_or_else(|| wrong("invalid path: `+*` is forbidden".into()))?;
    let mut rule =
        Rule { pattern, capabilities: Capabilities::default(), parameters: Parameters::default(), must_wrap: false };
    for (key, value) in body {
        match key.as_str() {
            "capabilities" => {
                let names = strings(&value).ok_or_else(|| wrong("capabilities must be a list of words".into()))?;
                let set = names
                    .iter()
                    .map(|name| Capability::parse(name).ok_or_else(|| wrong(format!("invalid capability \"{name}\""))))
                    .collect::<Result<Capabilities, _>>()?;
                rule.capabilities = rule.capabilities.union(set);
            }
            "policy" => {
                rule.capabilities =
                    rule.capabilities.union(old_form(&value).ok_or_else(|| wrong("invalid policy".into()))?)
            }
            "allowed_parameters" => {
                rule.parameters.allowed = Some(fields(&value).ok_or_else(|| wrong("bad allowed_parameters".into()))?)
            }
            "denied_parameters" => {
                rule.parameters.denied = fields(&value).ok_or_else(|| wrong("bad denied_parameters".into()))?
            }
            "required_parameters" => {
                rule.parameters.required = strings(&value).ok_or_else(|| wrong("bad required_parameters".into()))?;
            }
            "min_wrapping_ttl" | "max_wrapping_ttl" => rule.must_wrap = true,
            "mfa_methods" | "control_group" | "expiration" | "comment" => {}
            other => return Err(wrong(format!("invalid key \"{other}\""))),
        }
    }
    Ok(rule)
}

/// `policy = "read"` and its like, from before capabilities.
fn old_form(value: &Value) -> Option<Capabilities> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    Some(match value.as_str()? {
        "deny" => [Deny].into_iter().collect(),
        "read" => [Read, List].into_iter().collect(),
        "write" => [Create, Read, Update, Delete, List].into_iter().collect(),
        "sudo" => [Create, Read, Update, Delete, List, Sudo].into_iter().collect(),
        _ => return None,
    })
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn fields(value: &Value) -> Option<BTreeMap<String, Vec<Value>>> {
    let fields = match value {
        Value::Object(fields) => fields,
        // HCL 1 gives a block as a list of one object.
        Value::Array(list) => list.first()?.as_object()?,
        _ => return None,
    };
    fields.iter().map(|(name, values)| Some((name.to_ascii_lowercase(), values.as_array()?.clone()))).collect()
}

/// HCL as the same tree that JSON gives. `path "p" { … }` twice becomes a list.
fn from_hcl(text: &str) -> Result<Value, ParseError> {
    let body: hcl::Body = hcl::parse(text).map_err(|error| ParseError(error.to_string()))?;
    let mut document = Map::new();
    let mut paths = Vec::new();
    for structure in body {
        match structure {
            Structure::Block(block) if block.identifier() == "path" => {
                let [label] = block.labels() else { return Err(ParseError("\"path\" takes one path".into())) };
                let path = match label {
                    BlockLabel::String(path) => path.clone(),
                    BlockLabel::Identifier(path) => path.as_str().to_owned(),
                };
                paths.push(Value::Object(Map::from_iter([(path.clone(), object(&path, block.body())?)])));
            }
            Structure::Block(block) => return Err(ParseError(format!("invalid key \"{}\"", block.identifier()))),
            Structure::Attribute(attribute) => {
                document.insert(attribute.key().to_owned(), expression("", attribute.expr())?);
            }
        }
    }
    if !paths.is_empty() {
        document.insert("path".into(), Value::Array(paths));
    }
    Ok(Value::Object(document))
}

fn object(path: &str, body: &hcl::Body) -> Result<Value, ParseError> {
    let mut fields = Map::new();
    for structure in body.iter() {
        match structure {
            Structure::Attribute(attribute) => {
                fields.insert(attribute.key().to_owned(), expression(path, attribute.expr())?)
            }
            Structure::Block(block) => fields.insert(block.identifier().to_owned(), object(path, block.body())?),
        };
    }
    Ok(Value::Object(fields))
}

fn expression(path: &str, expression_: &Expression) -> Result<Value, ParseError> {
    let wrong = || ParseError(format!("path \"{path}\": only plain values, lists and objects can be in a policy"));
    match expression_ {
        Expression::Null => Ok(Value::Null),
        Expression::Bool(flag) => Ok(Value::Bool(*flag)),
        Expression::Number(number) => serde_json::to_value(number).map_err(|_| wrong()),
        Expression::String(text) => Ok(Value::String(text.clone())),
        Expression::Array(items) => {
            items.iter().map(|item| expression(path, item)).collect::<Result<_, _>>().map(Value::Array)
        }
        Expression::Object(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = match key {
                    hcl::ObjectKey::Identifier(name) => name.as_str().to_owned(),
                    hcl::ObjectKey::Expression(Expression::String(name)) => name.clone(),
                    _ => return Err(wrong()),
                };
                Ok((key, expression(path, value)?))
            })
            .collect::<Result<_, _>>()
            .map(Value::Object),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hcl_and_json_say_the_same() {
        let hcl = "# keys\npath \"transit/sign/app\" { capabilities = [\"update\"] }\n/* all */ path \"kv/*\" {\n  policy = \"read\" // old form\n}\n";
        let json = r#"{"path": {"transit/sign/app": {"capabilities": ["update"]}, "kv/*": {"policy": "read"}}}"#;
        assert_eq!(Policy::parse(hcl), Policy::parse(json));
        assert_eq!(Policy::parse(hcl).expect("parses").rules.len(), 2);
    }

    #[test]
    fn faults_are_named() {
        let fault = |text: &str| Policy::parse(text).expect_err("must be refused").to_string();
        assert_eq!(
            fault("path \"a\" { capabilities = [\"reed\"] }"),
            "failed to parse policy: path \"a\": invalid capability \"reed\""
        );
        assert!(fault("path \"a/+*\" { capabilities = [\"read\"] }").contains("a/+*"));
        assert!(fault("pth \"a\" {}").contains("invalid key \"pth\""));
        assert!(fault("path \"a\" { capabilities = [").starts_with("failed to parse policy: "));
        assert!(fault("path \"a\" { colour = 1 }").contains("invalid key \"colour\""));
    }

    #[test]
    fn comments_alone_are_an_empty_policy() {
        assert_eq!(Policy::parse("# nothing yet\n"), Ok(Policy { rules: vec![] }));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            drop(Policy::parse(&text));
        }
    }
}

//! What a token may do.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::Authority;
use clm_core::access::{AccessRequest, Capabilities, Operation};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All that the caller's policies say, for interfaces that show people what they may do.
pub(super) async fn resultant(call: Call) -> Result<Answer> {
    let authority = &call.context.authority;
    if authority.is_root() {
        return Ok(Answer::data(json!({ "root": true })));
    }
    // From above, what its rules say of this namespace, as this namespace's paths.
    let own = |path: &str| path.strip_prefix(authority.prefix()).map(str::to_owned);
    let shown = |rules: BTreeMap<String, Capabilities>| -> Map<String, Value> {
        let names = |granted: Capabilities| granted.iter().map(|capability| capability.name()).collect::<Vec<_>>();
        let own = rules.into_iter().filter_map(|(path, granted)| Some((own(&path)?, granted)));
        own.map(|(path, granted)| (path, json!({ "capabilities": names(granted) }))).collect()
    };
    let (exact, wildcard) = authority.acl.rules();
    Ok(Answer::data(json!({ "exact_paths": shown(exact), "glob_paths": shown(wildcard), "root": false })))
}

/// Go's client sends its own token in the body as well; whoever asks here asks for itself.
pub(super) async fn of_self(call: Call) -> Result<Answer> {
    shown(&call, &call.context.authority)
}

pub(super) async fn of_token(call: Call) -> Result<Answer> {
    let token = call.parameters.text("token")?.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Error::invalid("no token found: `token` must be supplied"))?;
    let authority = call.context.services.core.authority_of(&call.context.caller, &token).await?;
    shown(&call, &authority.ok_or_else(|| Error::invalid("invalid token"))?)
}

pub(super) async fn of_accessor(call: Call) -> Result<Answer> {
    let accessor = call.parameters.text("accessor")?.filter(|accessor| !accessor.is_empty());
    let accessor = accessor.ok_or_else(|| Error::invalid("missing accessor"))?;
    let authority = call.context.services.core.authority_of_accessor(&call.context.caller, &accessor).await?;
    shown(&call, &authority.ok_or_else(|| Error::invalid("invalid accessor"))?)
}

fn shown(call: &Call, authority: &Authority) -> Result<Answer> {
    let mut paths = call.parameters.list("paths")?.unwrap_or_default();
    if paths.is_empty() {
        paths = call.parameters.list("path")?.unwrap_or_default();
    }
    if paths.is_empty() {
        return Err(Error::invalid("paths must be supplied"));
    }
    let mut data = Map::new();
    for path in &paths {
        data.insert(path.clone(), authority.capabilities(path).into());
    }
    if let [only] = paths.as_slice() {
        let capabilities: Value = data[only].clone();
        data.insert("capabilities".into(), capabilities);
    }
    if call.parameters.flag("explain")?.unwrap_or(false) {
        let decisions: Map<String, Value> =
            paths.into_iter().map(|path| (path.clone(), decisions(authority, &path))).collect();
        data.insert("decisions".into(), decisions.into());
    }
    Ok(Answer::data(data))
}

/// What is decided about each operation there without fields, and which rule decides; `clm/access/explain` tells of one more.
fn decisions(authority: &Authority, path: &str) -> Value {
    let decided = Operation::ALL.into_iter().map(|operation| {
        let decision = authority.decide(&AccessRequest::new(operation, path));
        let (rule, policies) = match decision.rule.as_deref() {
            Some(rule) => (rule.path().into(), json!(rule.policies())),
            None => (Value::Null, json!([])),
        };
        let told = json!({ "allowed": decision.allowed, "reason": decision.reason.text(), "rule": rule, "policies": policies });
        (operation.name().to_owned(), told)
    });
    Value::Object(decided.collect())
}

//! Aliases of keys: names that stand for them in every verb.

use super::keys;
use crate::app::{Context, Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Captures, Kind, Parameter, Route};
use clm_core::Mount;
use keyvault::key::KeyName;
use serde_json::json;

pub(super) const POINT: &[Parameter] =
    &[Parameter::new("key_name", Kind::Text, "Name of the key that it stands for from now on").required()];

/// What in a path names a key.
const KEYS: [&str; 2] = ["name", "destination"];

/// Puts the names of keys in the place of their aliases. Gives the path that this makes, if there was one.
pub(in crate::http) async fn follow(
    context: &mut Context,
    mount: &Mount,
    route: &Route,
    captures: &mut Captures,
) -> Result<Option<String>> {
    let mut followed = false;
    for (_, value) in captures.iter_mut().filter(|(capture, _)| KEYS.contains(capture)) {
        let Some(name) = KeyName::parse(value) else { continue };
        if let Some(target) = context.follow(mount, name).await? {
            target.as_str().clone_into(value);
            followed = true;
        }
    }
    let path = || {
        captures.iter().fold(format!("{}{}", mount.path, route.pattern), |path, (capture, value)| {
            path.replace(&format!("{{{capture}}}"), value)
        })
    };
    Ok(followed.then(path))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let alias = alias(&call)?;
    let key = call.context.aliased(&call.mount, &alias).await?;
    Ok(key
        .map_or_else(Answer::nothing, |key| Answer::data(json!({ "alias": alias.as_str(), "key_name": key.as_str() }))))
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.aliases(&call.mount, None).await?))
}

pub(super) async fn of_key(call: Call) -> Result<Answer> {
    let Some(key) = call.context.key(&call.mount, &keys::name(&call)?).await? else { return Ok(Answer::nothing()) };
    let aliases = call.context.aliases(&call.mount, Some(&key)).await?;
    Ok(Answer::data(json!({ "aliases": aliases, "name": key.name.as_str() })))
}

pub(super) async fn point(call: Call) -> Result<Answer> {
    let alias = alias(&call)?;
    let wanted = target(&call);
    let key = call.context.understood("key_alias.point", &alias, wanted).await?;
    call.context.point_alias(&call.mount, &alias, &key).await?;
    Ok(Answer::data(json!({ "alias": alias.as_str(), "key_name": key.as_str() })))
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_alias(&call.mount, &alias(&call)?).await?;
    Ok(Answer::nothing())
}

fn target(call: &Call) -> Result<KeyName> {
    let name = call.parameters.text("key_name")?.unwrap_or_default();
    KeyName::parse(&name)
        .ok_or_else(|| Error::invalid("give `key_name`, the name of the key that the alias stands for"))
}

/// The table lets only names of keys through.
fn alias(call: &Call) -> Result<KeyName> {
    KeyName::parse(call.capture("alias")).ok_or_else(|| Error::invalid("no name of an alias"))
}

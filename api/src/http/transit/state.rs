//! States of keys and their versions (NIST SP 800-57 part 1, 7).

use super::keys::name;
use super::usage;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Kind, Parameter};
use chrono::SecondsFormat;
use keyvault::key::{KeyState, KeyStates, StateChange, StateRequest};
use serde_json::{Map, Value, json};

pub(super) const FIELDS: &[Parameter] = &[
    Parameter::new("dry_run", Kind::Boolean, "Nothing is changed: says what would stop, and for whom"),
    Parameter::new("reason", Kind::Text, "Why, kept with the transition").required(),
    Parameter::new(
        "state",
        Kind::Text,
        "active, suspended (does nothing for a while), deactivated (decrypts and verifies only), compromised (the same, with a warning) or, of a version, destroyed",
    )
    .required(),
];

pub(super) async fn read(call: Call) -> Result<Answer> {
    let states = call.context.key_states(&call.mount, &name(&call)?).await?;
    Ok(states.map_or_else(Answer::nothing, |states| Answer::data(shown(&states))))
}

pub(super) async fn set(call: Call) -> Result<Answer> {
    let name = name(&call)?;
    let latest = call.context.key(&call.mount, &name).await?.map(|key| key.settings.latest_version);
    let request = call.context.understood("key.state", &name, wanted(&call, latest)).await?;
    if call.parameters.flag("dry_run")?.unwrap_or(false) {
        let Some(uses) = call.context.key_uses(&call.mount, &name).await? else {
            return Err(call.context.refuse_key("key.state", &name, "key not found").await);
        };
        if request.version.is_some_and(|version| !uses.states.contains_key(&version)) {
            return Err(call.context.refuse_key("key.state", &name, "no such key version").await);
        }
        call.context.note_dry_run(&uses.key, &request).await?;
        return Ok(Answer::data(usage::impact(&uses, &request)));
    }
    call.context.set_key_state(&call.mount, &name, request).await?;
    let states = call.context.key_states(&call.mount, &name).await?;
    Ok(states.map_or_else(Answer::nothing, |states| Answer::data(shown(&states))))
}

fn wanted(call: &Call, latest: Option<u32>) -> Result<StateRequest> {
    let word = call.parameters.text("state")?.unwrap_or_default();
    let to = KeyState::parse(&word).ok_or_else(|| {
        let known = KeyState::ALL.map(KeyState::word).join(", ");
        Error::invalid(format!("unknown state {word:?}; there are {known}"))
    })?;
    let version = match call.capture("version") {
        "" => None,
        "latest" => latest,
        number => Some(number.parse().map_err(|_| Error::invalid("invalid key version"))?),
    };
    Ok(StateRequest { version, to, reason: call.parameters.text("reason")?.unwrap_or_default() })
}

fn shown(states: &KeyStates) -> Value {
    let settings = &states.key.settings;
    let versions: Map<String, Value> =
        states.versions.iter().map(|(number, state)| (number.to_string(), state.word().into())).collect();
    let mut shown = json!({
        "name": states.key.name.as_str(),
        "soft_deleted": settings.soft_deleted,
        "state": settings.state.word(),
        "transitions": states.changes.iter().map(transition).collect::<Vec<_>>(),
        "versions": versions,
    });
    if let Some(at) = settings.destroy_at {
        shown["destroy_at"] = at.to_rfc3339_opts(SecondsFormat::Secs, true).into();
    }
    shown
}

/// Without a version: of the key as a whole.
fn transition(change: &StateChange) -> Value {
    json!({
        "accessor": change.accessor,
        "by": change.changed_by,
        "from": change.from.word(),
        "reason": change.reason,
        "time": change.changed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "to": change.to.word(),
        "version": change.version,
    })
}

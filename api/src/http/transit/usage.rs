//! Who uses a key, and what would stop if it, or one version, came into another state.

use super::keys::name;
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use chrono::{DateTime, SecondsFormat, Utc};
use keyvault::key::{KeyCaller, KeyUses, StateRequest};
use serde_json::{Map, Value, json};

pub(super) async fn read(call: Call) -> Result<Answer> {
    let uses = call.context.key_uses(&call.mount, &name(&call)?).await?;
    Ok(uses.map_or_else(Answer::nothing, |uses| Answer::data(shown(&uses))))
}

fn shown(uses: &KeyUses) -> Value {
    let version = |(number, state): (&u32, &keyvault::key::KeyState)| {
        let callers = uses.callers.get(number).map(Vec::as_slice).unwrap_or_default();
        let shown = json!({
            "callers": callers.iter().map(caller).collect::<Vec<_>>(),
            "last_used": time(last(callers)),
            "processed": callers.iter().map(|caller| caller.processed).sum::<i64>(),
            "protected": callers.iter().map(|caller| caller.protected).sum::<i64>(),
            "state": state.word(),
        });
        (number.to_string(), shown)
    };
    let versions: Map<String, Value> = uses.states.iter().map(version).collect();
    json!({ "aliases": uses.aliases, "name": uses.key.name.as_str(), "versions": versions })
}

/// What would stop.
pub(super) fn impact(uses: &KeyUses, request: &StateRequest) -> Value {
    let settings = &uses.key.settings;
    let concerned = |number: u32| request.version.is_none_or(|version| version == number);
    let versions: Map<String, Value> = uses
        .states
        .iter()
        .filter(|(number, _)| concerned(**number))
        .map(|(number, state)| {
            let (protecting, processing) = uses.stops(*number, request.version.is_none(), request.to);
            let stopped =
                |caller: &&KeyCaller| protecting && caller.protected > 0 || processing && caller.processed > 0;
            let callers: Vec<&KeyCaller> = uses.callers.get(number).into_iter().flatten().filter(stopped).collect();
            let shown = json!({
                "callers": callers.iter().map(|stopped| caller(stopped)).collect::<Vec<_>>(),
                "is_latest": *number == settings.latest_version,
                "state": state.word(),
                "stops_processing": processing,
                "stops_protecting": protecting,
            });
            (number.to_string(), shown)
        })
        .collect();
    json!({
        "aliases": uses.aliases,
        "dry_run": true,
        "latest_version": settings.latest_version,
        "min_decryption_version": settings.min_decryption_version,
        "min_encryption_version": settings.min_encryption_version,
        "name": uses.key.name.as_str(),
        "state": settings.state.word(),
        "to": request.to.word(),
        "versions": versions,
    })
}

fn last(callers: &[KeyCaller]) -> Option<DateTime<Utc>> {
    callers.iter().flat_map(|caller| [caller.protected_at, caller.processed_at]).flatten().max()
}

/// Without an accessor: all whose names are not kept.
fn caller(caller: &KeyCaller) -> Value {
    json!({
        "accessor": Some(&caller.accessor).filter(|accessor| !accessor.is_empty()),
        "display_name": caller.display_name,
        "processed": caller.processed,
        "processed_at": time(caller.processed_at),
        "protected": caller.protected,
        "protected_at": time(caller.protected_at),
    })
}

fn time(at: Option<DateTime<Utc>>) -> Value {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).into()
}

//! Which engine is where.

use crate::app::{Error, Result};
use crate::crash::CrashPoint;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use clm_core::{ConfigChange, LockoutChange, Mount, NewMount, TuneMount};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const LISTS: [&str; 4] = [
    "allowed_response_headers",
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
];

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::data(by_path(call.context.services.core.mounts(call.context.caller.organization_id))))
}

pub(super) fn by_path(mounts: Vec<Arc<Mount>>) -> Map<String, Value> {
    mounts.into_iter().map(|mount| (mount.path.clone(), mount.data())).collect()
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    Ok(Answer::data(core.read_mount(call.context.caller.organization_id, call.capture("path"))?.data()))
}

pub(super) async fn enable(call: Call) -> Result<Answer> {
    let new = new_mount(&call.parameters)?;
    call.context.services.core.mount(&call.context.caller, call.capture("path"), new).await?;
    Ok(Answer::nothing())
}

pub(super) fn new_mount(parameters: &Parameters) -> Result<NewMount> {
    Ok(NewMount {
        mount_type: parameters.text("type")?,
        description: parameters.text("description")?.unwrap_or_default(),
        config: config(&parameters.object("config")?)?,
        options: parameters.texts("options")?.unwrap_or_default(),
        local: parameters.flag("local")?.unwrap_or(false),
        seal_wrap: parameters.flag("seal_wrap")?.unwrap_or(false),
    })
}

pub(super) async fn disable(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.unmount(&call.context.caller, call.capture("path")).await?;
    CrashPoint::MountDisabled.reached();
    Ok(Answer::nothing())
}

pub(super) async fn read_tuning(call: Call) -> Result<Answer> {
    read_tuning_of(&call, call.capture("path"))
}

pub(super) fn read_tuning_of(call: &Call, path: &str) -> Result<Answer> {
    Ok(Answer::data(call.context.services.core.read_tuning(call.context.caller.organization_id, path)?))
}

pub(super) async fn tune(call: Call) -> Result<Answer> {
    tune_at(&call, call.capture("path")).await
}

pub(super) async fn tune_at(call: &Call, path: &str) -> Result<Answer> {
    let tune = TuneMount {
        description: call.parameters.text("description")?,
        config: config(&call.parameters)?,
        options: call.parameters.texts("options")?,
    };
    let core = &call.context.services.core;
    Ok(Answer::nothing().warn(core.tune(&call.context.caller, path, tune).await?))
}

fn config(parameters: &Parameters) -> Result<ConfigChange> {
    let mut lists = BTreeMap::new();
    for name in LISTS {
        if let Some(list) = parameters.list(name)? {
            lists.insert(name.to_owned(), list);
        }
    }
    Ok(ConfigChange {
        default_lease_ttl: lasting(parameters, "default_lease_ttl")?,
        max_lease_ttl: lasting(parameters, "max_lease_ttl")?,
        force_no_cache: parameters.flag("force_no_cache")?,
        listing_visibility: parameters.text("listing_visibility")?,
        token_type: parameters.text("token_type")?,
        user_lockout: lockout(&parameters.object("user_lockout_config")?)?,
        lists,
    })
}

/// `None`: nothing is said of it.
fn lockout(parameters: &Parameters) -> Result<Option<LockoutChange>> {
    if parameters.names().next().is_none() {
        return Ok(None);
    }
    let threshold = "lockout_threshold";
    Ok(Some(LockoutChange {
        threshold: match parameters.value(threshold) {
            // What Go's client sends of a field that nobody set.
            Some(Value::String(text)) if text.is_empty() => None,
            _ => parameters
                .integer(threshold)?
                .map(|most| u32::try_from(most).map_err(|_| Error::invalid(format!("{threshold}: 0 to {}", u32::MAX))))
                .transpose()?,
        },
        duration: lasting(parameters, "lockout_duration")?,
        counter_reset: lasting(parameters, "lockout_counter_reset_duration")?,
        disable: parameters.flag("lockout_disable")?,
    }))
}

/// `system` gives the decision back to the system; so does 0. An empty text, which Go's client sends, says nothing.
fn lasting(parameters: &Parameters, name: &str) -> Result<Option<u64>> {
    match parameters.value(name) {
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "system" => Ok(Some(0)),
        _ => parameters
            .seconds(name)?
            .map(|seconds| u64::try_from(seconds).map_err(|_| Error::invalid(format!("{name} must not be negative"))))
            .transpose(),
    }
}

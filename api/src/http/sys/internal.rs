//! What clients ask before they do anything.

use super::mounts::by_path;
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::{Call, OpenCall};
use crate::http::openapi::of_mounts;
use clm_core::Mount;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Without a token only mounts that say they may be seen by anyone, and little of them.
pub(super) async fn mounts(call: OpenCall) -> Result<Answer> {
    if call.token.is_some() {
        let context = call.context().await?;
        let (secret, auth) = (by_path(context.visible_mounts()), by_path(context.visible_auth_mounts()));
        call.record_answered(&context, "ui-mounts-list").await?;
        return Ok(Answer::data(json!({ "auth": auth, "secret": secret })));
    }
    let core = &call.services.core;
    core.ensure_mounts().await?;
    let shown = |mounts: Vec<Arc<Mount>>| -> Map<String, Value> {
        let public = mounts.into_iter().filter(|mount| mount.config.listing_visibility == "unauth");
        let little = |mount: Arc<Mount>| {
            let data = json!({ "type": mount.mount_type, "description": mount.description, "options": mount.options });
            (mount.path.clone(), data)
        };
        public.map(little).collect()
    };
    let organization = call.organization_id();
    let (auth, secret) = (shown(core.auth_mounts(organization)), shown(core.mounts(organization)));
    Ok(Answer::data(json!({ "auth": auth, "secret": secret })))
}

pub(super) async fn mount(call: Call) -> Result<Answer> {
    let (mount, path) = call.context.preflight(call.capture("path"))?;
    let mut data = mount.data();
    data["path"] = path.into();
    Ok(Answer::data(data))
}

/// Without a token no path; else those below mounts that the caller may see something of, where they are mounted.
pub(super) async fn openapi(call: OpenCall) -> Result<Answer> {
    if call.token.is_none() {
        return Ok(Answer::data(of_mounts(&[], false)));
    }
    let generic = call.parameters.flag("generic_mount_paths")?.unwrap_or(false);
    let context = call.context().await?;
    let mounts = [context.visible_mounts(), context.visible_auth_mounts()].concat();
    call.record_answered(&context, "openapi").await?;
    Ok(Answer::data(of_mounts(&mounts, generic)))
}

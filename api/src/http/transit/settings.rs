//! Settings of a mount of the engine: options of its own, as `sys/mounts` shows them.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use clm_core::Mount;
use serde_json::json;

const CACHE_SIZE: &str = "cache_size";
const DISABLE_UPSERT: &str = "disable_upsert";
/// The reference's smallest cache that is not unbounded.
const SMALLEST_CACHE: i64 = 10;

fn option<'m>(mount: &'m Mount, name: &str) -> Option<&'m str> {
    mount.options.as_ref()?.get(name).map(String::as_str)
}

/// Whether encrypting may not make the key that it names.
pub(super) fn upsert_is_disabled(mount: &Mount) -> bool {
    option(mount, DISABLE_UPSERT) == Some("true")
}

pub(super) async fn read_keys(call: Call) -> Result<Answer> {
    Ok(Answer::data(json!({ DISABLE_UPSERT: upsert_is_disabled(&call.mount) })))
}

pub(super) async fn write_keys(call: Call) -> Result<Answer> {
    let disabled = call.parameters.flag(DISABLE_UPSERT)?.unwrap_or(false);
    call.context.set_engine_option(&call.mount, DISABLE_UPSERT, disabled.to_string()).await?;
    Ok(Answer::data(json!({ DISABLE_UPSERT: disabled })))
}

pub(super) async fn read_cache(call: Call) -> Result<Answer> {
    let size: i64 = option(&call.mount, CACHE_SIZE).and_then(|size| size.parse().ok()).unwrap_or(0);
    Ok(Answer::data(json!({ "size": size })))
}

pub(super) async fn write_cache(call: Call) -> Result<Answer> {
    let size = call.parameters.integer("size")?.unwrap_or(0);
    if size != 0 && size < SMALLEST_CACHE {
        return Err(Error::invalid(format!("size must be 0 or a value greater or equal to {SMALLEST_CACHE}")));
    }
    call.context.set_engine_option(&call.mount, CACHE_SIZE, size.to_string()).await?;
    Ok(Answer::data(json!({ "size": size })))
}

//! The key under which an organization's secrets are encrypted.

use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use chrono::SecondsFormat;
use serde_json::json;

pub(super) async fn rotate(call: Call) -> Result<Answer> {
    call.context.rotate_data_key().await?;
    Ok(Answer::nothing())
}

pub(super) async fn status(call: Call) -> Result<Answer> {
    let status = call.context.data_key_status().await?;
    Ok(Answer::data(json!({
        "encryptions": status.encryptions,
        "install_time": status.created_at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "term": status.version,
    })))
}

//! Settings of a mount.

use super::{named, shown};
use crate::app::Result;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;

pub(super) async fn read(call: Call) -> Result<Answer> {
    Ok(Answer::data(shown::settings(call.context.read_secret_settings(&call.mount).await?)))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let wanted =
        call.context.recorded_refusal("secret_mount.configure", &named(&call), settings(&call.parameters)).await?;
    let (max_versions, cas_required, delete_version_after) = wanted;
    call.context.write_secret_settings(&call.mount, max_versions, cas_required, delete_version_after).await?;
    Ok(Answer::nothing())
}

/// `max_versions`, `cas_required` and `delete_version_after`, where they are said.
pub(super) fn settings(parameters: &Parameters) -> Result<(Option<i64>, Option<bool>, Option<i64>)> {
    Ok((
        parameters.integer("max_versions")?,
        parameters.flag("cas_required")?,
        parameters.seconds("delete_version_after")?,
    ))
}

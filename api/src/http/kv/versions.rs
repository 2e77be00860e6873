//! What becomes of versions.

use super::named;
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use keyvault::secret::VersionChange;

pub(super) async fn delete_newest(call: Call) -> Result<Answer> {
    call.context.change_versions(&named(&call), VersionChange::Delete, None).await?;
    Ok(Answer::nothing())
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    change(&call, VersionChange::Delete).await
}

pub(super) async fn destroy(call: Call) -> Result<Answer> {
    change(&call, VersionChange::Destroy).await
}

pub(super) async fn undelete(call: Call) -> Result<Answer> {
    change(&call, VersionChange::Undelete).await
}

async fn change(call: &Call, change: VersionChange) -> Result<Answer> {
    let name = named(call);
    let versions = versions(&call.parameters, change);
    let versions = call.context.recorded_refusal(change.event_type(), &name, versions).await?;
    call.context.change_versions(&name, change, Some(&versions)).await?;
    Ok(Answer::nothing())
}

fn versions(parameters: &Parameters, change: VersionChange) -> Result<Vec<i64>> {
    let versions = parameters.list("versions")?.unwrap_or_default();
    if versions.is_empty() {
        // The reference writes it both ways.
        return Err(Error::invalid(match change {
            VersionChange::Destroy => "no version number provided",
            VersionChange::Delete | VersionChange::Undelete => "No version number provided",
        }));
    }
    let parsed = versions.iter().map(|version| version.parse());
    parsed.collect::<Result<_, _>>().map_err(|_| {
        Error::invalid("Field validation failed: error converting input for field \"versions\": no whole numbers")
    })
}

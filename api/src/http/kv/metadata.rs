//! Settings of secrets, what is said of their versions, and their names.

use super::config::settings;
use super::{named, shown};
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use keyvault::secret::{CustomMetadataChange, MetadataChange};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) async fn read(call: Call) -> Result<Answer> {
    let metadata = call.context.read_secret_metadata(&named(&call)).await?;
    Ok(metadata.map_or_else(Answer::nothing, |metadata| Answer::data(shown::metadata(&metadata))))
}

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.list_secrets(&call.mount, call.capture("path").trim_end_matches('/')).await?))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let name = named(&call);
    let change = call.context.recorded_refusal("secret_metadata.write", &name, sent(&call.parameters)).await?;
    let mount = call.context.write_secret_metadata(&name, &change, true).await?;
    let ignored = change.cas_required == Some(false) && mount.is_some_and(|mount| mount.cas_required);
    let warning = "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.";
    Ok(Answer::nothing().warn(ignored.then(|| warning.to_owned())))
}

pub(super) async fn patch(call: Call) -> Result<Answer> {
    let name = named(&call);
    let change = call.context.recorded_refusal("secret_metadata.patch", &name, patched(&call.parameters)).await?;
    let is_there = call.context.write_secret_metadata(&name, &change, false).await?.is_some();
    Ok(if is_there { Answer::nothing() } else { Answer::refused(Refusal::Absent) })
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_secret("secret_metadata.delete", &named(&call)).await?;
    Ok(Answer::nothing())
}

fn sent(parameters: &Parameters) -> Result<MetadataChange> {
    let (max_versions, cas_required, delete_version_after) = settings(parameters)?;
    let custom_metadata = parameters.texts("custom_metadata")?.map(CustomMetadataChange::Replace);
    Ok(MetadataChange {
        max_versions,
        cas_required,
        delete_version_after,
        custom_metadata,
        ..MetadataChange::default()
    })
}

/// `null` takes away what was said.
fn patched(parameters: &Parameters) -> Result<MetadataChange> {
    let is_null = |name: &str| parameters.fields().get(name).is_some_and(Value::is_null);
    let mut change = sent(parameters)?;
    if is_null("max_versions") {
        change.max_versions = Some(0);
    }
    if is_null("cas_required") {
        change.cas_required = Some(false);
    }
    if is_null("delete_version_after") {
        change.delete_version_after = Some(0);
    }
    if is_null("custom_metadata") {
        change.custom_metadata = Some(CustomMetadataChange::Replace(BTreeMap::new()));
    } else if let Some(Value::Object(fields)) = parameters.value("custom_metadata") {
        let texts = parameters.texts("custom_metadata")?.unwrap_or_default();
        let merged = fields.keys().map(|name| (name.clone(), texts.get(name).cloned())).collect();
        change.custom_metadata = Some(CustomMetadataChange::Merge(merged));
    } else if change.custom_metadata.is_some() {
        return Err(Error::Internal("custom metadata that are no object".into()));
    }
    Ok(change)
}

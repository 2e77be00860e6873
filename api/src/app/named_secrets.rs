//! Secrets by their names, and their rotation.

use super::secrets::{content_of, data_of};
use super::{Context, Error, Result, Services};
use crate::crash::CrashPoint;
use chrono::{DateTime, SecondsFormat, Utc};
use clm_core::access::{AccessRequest, NAMED_MOUNT, Operation, PATHS_WITH_NAMES, name_of_path, path_of_name};
use clm_core::{Mount, NewNotification};
use keyvault::secret::{DueSecret, FoundSecret, Generated, Renewal, SecretName, SecretSearch, SecretVersion};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Secrets of one organization that are looked at together.
const BATCH: i64 = 100;

impl Context {
    /// The mount whose secrets have names.
    pub(crate) fn named_mount(&self) -> Result<Arc<Mount>> {
        let mount = self.services.core.resolve(self.caller.organization_id, NAMED_MOUNT).map(|(mount, _)| mount);
        mount.filter(|mount| mount.engine() == "kv-v2" && mount.path == NAMED_MOUNT).ok_or_else(|| {
            Error::NotFound("secrets have names in a KV engine of version 2 at secret/: enable one there".into())
        })
    }

    /// The secret of that name.
    pub(crate) fn named_secret(&self, name: &str) -> Result<SecretName> {
        let mount = self.named_mount()?;
        Ok(SecretName { mount_id: mount.id, path: path_of_name(name).map_err(Error::invalid)? })
    }

    /// Secrets whose names fit `pattern`, `*` standing for any text, in the order of their paths.
    pub(crate) async fn search_named(
        &self,
        pattern: &str,
        tag: Option<String>,
        written_before: Option<DateTime<Utc>>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<FoundSecret>> {
        let mount = self.named_mount()?;
        let search = SecretSearch {
            mount_id: mount.id,
            pattern: pattern.replace('.', "/"),
            shape: PATHS_WITH_NAMES,
            tag,
            written_before,
            after: after.replace('.', "/"),
            limit,
        };
        Ok(self.services.vault.search_secrets(&self.caller, &search).await?)
    }

    /// Whether the caller may know of a secret.
    pub(crate) fn may_see(&self, path: &str) -> bool {
        let path = format!("{NAMED_MOUNT}metadata/{path}");
        let may = |operation| self.authority.decide(&AccessRequest::new(operation, &path)).allowed;
        may(Operation::List) || may(Operation::Read)
    }

    /// Rotates a secret now: to `data`, or to what its generator makes. `None`: there is none.
    pub(crate) async fn rotate_secret(
        &self,
        name: &SecretName,
        data: Option<&Map<String, Value>>,
        fips: bool,
    ) -> Result<Option<SecretVersion>> {
        let content = data.map(content_of).transpose().map_err(Error::Internal)?;
        let renewal = Renewal { due_at: None, content: content.as_ref().map(|content| content.as_slice()), fips };
        Ok(self.services.vault.renew_secret(&self.caller, name, renewal, merged).await?)
    }
}

/// What is new in place of what was there; the other fields stay.
fn merged(old: Option<&[u8]>, made: &Generated) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut data = old.map_or_else(|| Ok(Map::new()), data_of)?;
    for (field, value) in &made.fields {
        data.insert(field.clone(), Value::String(value.to_string()));
    }
    content_of(&data)
}

/// Rotates what is due and has a generator, and tells people of the rest. Each is due until its row says otherwise, so whoever is cut off leaves
/// work that the next run finds; people are told once for a time that was due, because a notification's id says which.
pub(crate) async fn rotate_due(services: &Services) -> Result<()> {
    for organization_id in services.core.active_organizations().await? {
        for due in services.vault.due_secrets(organization_id, BATCH).await? {
            match rotate_one(services, organization_id, &due).await {
                // Its alarm was raised; the others go on.
                Err(Error::Tampered(_)) => {}
                other => other?,
            }
        }
    }
    Ok(())
}

async fn rotate_one(services: &Services, organization_id: Uuid, due: &DueSecret) -> Result<()> {
    let caller = keyvault::system(organization_id);
    let why = match services.vault.has_generator(organization_id, due).await? {
        None => return Ok(()),
        Some(false) => None,
        Some(true) => {
            let renewal = Renewal { due_at: Some(due.due_at), content: None, fips: services.core.is_fips() };
            match services.vault.renew_secret(&caller, &due.name, renewal, merged).await {
                Ok(_) => return Ok(()),
                Err(keyvault::Error::Invalid(reason)) => Some(reason),
                Err(error) => return Err(error.into()),
            }
        }
    };
    services.core.notify_once(notification(organization_id, due, why.as_deref())).await?;
    CrashPoint::PeopleTold.reached();
    Ok(services.vault.put_off_renewal(&caller, due).await?)
}

/// `why`: what kept the service from rotating it by itself.
fn notification(organization_id: Uuid, due: &DueSecret, why: Option<&str>) -> NewNotification {
    let due_at = due.due_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let name = name_of_path(&due.name.path);
    let called = name.as_deref().unwrap_or(&due.name.path);
    let (notification_type, title, message) = match why {
        None => (
            "secret.rotation_due",
            format!("{called} is due for rotation"),
            format!(
                "Its schedule says so since {due_at}. Write its new value, at best by clm/secrets/{called}/rotate."
            ),
        ),
        Some(why) => (
            "secret.rotation_failed",
            format!("{called} could not be rotated"),
            format!("Its generator was asked at {due_at}: {why}."),
        ),
    };
    NewNotification {
        id: Uuid::new_v5(&due.id, due_at.as_bytes()),
        organization_id,
        notification_type,
        title,
        message,
        data: json!({ "due_at": due_at, "mount_id": due.name.mount_id, "name": name, "path": due.name.path }),
        priority: "high",
        resource_type: "secret",
        resource_id: due.id,
    }
}

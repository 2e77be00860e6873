//! Verbs of secrets. What a secret holds is a JSON object here, and bytes in keyvault, which records what it does; a refusal before it came
//! that far is recorded here.

use super::{Context, Error, Result, Services};
use clm_core::Mount;
use keyvault::secret::{
    DataKeyStatus, MetadataChange, Patched, SecretMetadata, SecretName, SecretSettings, SecretVersion, VersionChange,
};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Versions encrypted anew in one transaction.
const STEP: i64 = 20;
/// Between two of these, for those who read and write meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// In one run: half a minute and what the steps themselves take.
const STEPS: usize = 600;

/// A version with what it holds; nothing when it is deleted or destroyed.
pub(crate) struct Read {
    pub(crate) version: SecretVersion,
    pub(crate) data: Option<Map<String, Value>>,
}

impl Context {
    /// Whether there is one of that name.
    pub(crate) async fn secret_exists(&self, name: &SecretName) -> Result<bool> {
        Ok(self.services.vault.secret_exists(self.caller.organization_id, name).await?)
    }

    /// A version, below 1: the newest. `event_type`: what its record is called.
    pub(crate) async fn read_secret(
        &self,
        event_type: &'static str,
        name: &SecretName,
        version: i64,
    ) -> Result<Option<Read>> {
        let Some(read) = self.services.vault.read_secret(&self.caller, event_type, name, version).await? else {
            return Ok(None);
        };
        let data = read.content.map(|content| data_of(&content)).transpose().map_err(Error::Internal)?;
        Ok(Some(Read { version: read.version, data }))
    }

    /// Writes a new version. `cas`: the version that it must follow; 0: none.
    pub(crate) async fn write_secret(
        &self,
        name: &SecretName,
        cas: Option<i64>,
        data: &Map<String, Value>,
    ) -> Result<SecretVersion> {
        let content = content_of(data).map_err(Error::Internal)?;
        Ok(self.services.vault.write_secret(&self.caller, name, cas, &content).await?)
    }

    /// Writes a new version, the newest with a merge patch (RFC 7396).
    pub(crate) async fn patch_secret(
        &self,
        name: &SecretName,
        cas: Option<i64>,
        patch: &Map<String, Value>,
    ) -> Result<Patched> {
        let merge = |content: &[u8]| {
            let mut data = data_of(content)?;
            merge(&mut data, patch);
            content_of(&data)
        };
        Ok(self.services.vault.patch_secret(&self.caller, name, cas, merge).await?)
    }

    /// Keeps data under a path that has no versions.
    pub(crate) async fn overwrite_secret(&self, name: &SecretName, data: &Map<String, Value>) -> Result<()> {
        let content = content_of(data).map_err(Error::Internal)?;
        Ok(self.services.vault.overwrite_secret(&self.caller, name, &content).await?)
    }

    /// Deletes, destroys or brings back versions; `None`: the newest.
    pub(crate) async fn change_versions(
        &self,
        name: &SecretName,
        change: VersionChange,
        versions: Option<&[i64]>,
    ) -> Result<()> {
        Ok(self.services.vault.change_versions(&self.caller, name, change, versions).await?)
    }

    /// Deletes a secret with all its versions.
    pub(crate) async fn delete_secret(&self, event_type: &'static str, name: &SecretName) -> Result<()> {
        Ok(self.services.vault.delete_secret(&self.caller, event_type, name).await?)
    }

    /// What is said of a secret.
    pub(crate) async fn read_secret_metadata(&self, name: &SecretName) -> Result<Option<SecretMetadata>> {
        Ok(self.services.vault.read_secret_metadata(&self.caller, name).await?)
    }

    /// Changes it; gives the settings of the mount. `make`: a secret that is not there is made.
    pub(crate) async fn write_secret_metadata(
        &self,
        name: &SecretName,
        change: &MetadataChange,
        make: bool,
    ) -> Result<Option<SecretSettings>> {
        Ok(self.services.vault.write_secret_metadata(&self.caller, name, change, make).await?)
    }

    /// Names below a folder.
    pub(crate) async fn list_secrets(&self, mount: &Mount, folder: &str) -> Result<Vec<String>> {
        Ok(self.services.vault.list_secrets(&self.caller, mount.id, folder).await?)
    }

    /// Settings of a mount.
    pub(crate) async fn read_secret_settings(&self, mount: &Mount) -> Result<SecretSettings> {
        Ok(self.services.vault.read_secret_settings(&self.caller, mount.id).await?)
    }

    /// Changes them; `None`: as it is.
    pub(crate) async fn write_secret_settings(
        &self,
        mount: &Mount,
        max_versions: Option<i64>,
        cas_required: Option<bool>,
        delete_version_after: Option<i64>,
    ) -> Result<()> {
        let vault = &self.services.vault;
        let written =
            vault.write_secret_settings(&self.caller, mount.id, max_versions, cas_required, delete_version_after);
        Ok(written.await?)
    }

    /// A new data key, which what is written from now on is encrypted under; what is there follows.
    pub(crate) async fn rotate_data_key(&self) -> Result<()> {
        Ok(self.services.vault.rotate_data_key(&self.caller).await?)
    }

    /// The newest data key.
    pub(crate) async fn data_key_status(&self) -> Result<DataKeyStatus> {
        Ok(self.services.vault.data_key_status(self.caller.organization_id).await?)
    }

    /// A refusal that keyvault was not asked for is recorded before it is answered.
    pub(crate) async fn recorded_refusal<T>(
        &self,
        event_type: &'static str,
        name: &SecretName,
        result: Result<T>,
    ) -> Result<T> {
        if let Err(Error::Invalid(reason)) = &result {
            self.services.vault.record_secret_refusal(&self.caller, event_type, name, reason).await?;
        }
        result
    }
}

/// RFC 7396, section 2, of an object into an object.
fn merge(data: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(data.shift_remove(name)),
            Value::Object(patch) => {
                let slot = data.entry(name.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, patch);
                }
            }
            other => drop(data.insert(name.clone(), other.clone())),
        }
    }
}

pub(super) fn data_of(content: &[u8]) -> Result<Map<String, Value>, String> {
    // The error says where, never what stands there.
    serde_json::from_slice(content).map_err(|error| format!("what a secret holds is no JSON object: {error}"))
}

pub(super) fn content_of(data: &Map<String, Value>) -> Result<Zeroizing<Vec<u8>>, String> {
    serde_json::to_vec(data).map(Zeroizing::new).map_err(|error| error.to_string())
}

/// Makes new data keys and cubbyhole keys where the newest are nearly spent, and encrypts what is under older ones anew, not faster than [`STEP`] in every [`PAUSE`], for as long as one run of a job should last.
pub(crate) async fn re_encrypt(services: &Services) -> Result<()> {
    let mut steps = 0..STEPS;
    for organization_id in services.core.active_organizations().await? {
        services.vault.rotate_spent_data_key(organization_id).await?;
        services.vault.rotate_spent_cubbyhole_key(organization_id).await?;
        let mut after = Uuid::nil();
        while let Some(last) = services.vault.re_encrypt_secrets(organization_id, after, STEP).await? {
            after = last;
            if steps.next().is_none() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_does_what_the_rfc_says() {
        // RFC 7396, appendix A, where both are objects.
        for (original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let (Value::Object(mut data), Value::Object(patch)) = (original.clone(), patch) else { panic!("objects") };
            merge(&mut data, &patch);
            assert_eq!(Value::Object(data), result, "{original}");
        }
    }
}

//! Secrets: what people keep here, in versions, each encrypted in the HSM under a data key of their organization.
//!
//! A secret is a row with its settings, a version a row with its ciphertext; both carry a revision and a MAC, and the ciphertext is bound to
//! organization, mount, path, version and key. What a secret holds is bytes here. Each verb leaves one record before it returns, also of
//! what it refused or did not find.

mod config;
mod data_key;
mod delete;
mod disable;
mod find;
mod generate;
mod generator;
mod list;
mod load;
mod metadata;
mod overwrite;
mod profile;
mod read;
mod renew;
mod rotate;
mod rules;
mod schedule;
mod search;
mod turns;
mod write;

// The public interface is:
pub use delete::VersionChange;
pub use generator::{CharacterClass, Generated, Generator};
pub use load::MOST_AT_ONCE;
pub use metadata::{CustomMetadataChange, MetadataChange, SecretMetadata};
pub use profile::{ProfileChange, Rotation, SecretProfile};
pub use read::ReadSecret;
pub use renew::{DueSecret, Renewal};
pub use rotate::DataKeyStatus;
pub use rules::{LONGEST_PATH, LONGEST_VALUE, MOST_VERSIONS};
pub use search::{FoundSecret, SecretSearch};
pub use write::Patched;

pub(crate) use turns::Turns;

use crate::store::secret_versions::SecretVersionRow;
use crate::store::secrets::SecretRow;
use crate::{Error, Vault, record};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How often a change looks again after another server was faster.
const ATTEMPTS: usize = 16;

/// Which secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretName {
    /// The mount's id.
    pub mount_id: Uuid,
    /// Below the mount.
    pub path: String,
}

/// Settings of a mount, or of one secret in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretSettings {
    /// Versions that are kept; 0: the mount's number, there 10.
    pub max_versions: i32,
    /// A write must say which version it follows.
    pub cas_required: bool,
    /// Seconds after which a new version is deleted; 0: not said; -1: never.
    pub delete_version_after: i64,
}

/// A version, without what it holds.
#[derive(Clone, Debug)]
pub struct SecretVersion {
    /// From 1.
    pub version: i32,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// From when on it is deleted; may lie ahead.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Its ciphertext is gone.
    pub destroyed: bool,
    /// Of its secret.
    pub custom_metadata: BTreeMap<String, String>,
}

impl SecretVersion {
    fn of(secret: &SecretRow, version: &SecretVersionRow) -> Self {
        Self {
            version: version.version,
            created_at: version.created_at,
            deleted_at: [version.deleted_at, secret.profile.expires_at].into_iter().flatten().min(),
            destroyed: version.destroyed_at.is_some(),
            custom_metadata: secret.custom_metadata.clone(),
        }
    }
}

impl Vault {
    /// Whether there is one of that name; not recorded, for the policies' difference between creating and updating.
    pub async fn secret_exists(&self, organization_id: Uuid, name: &SecretName) -> Result<bool, Error> {
        let mut transaction = crate::store::read_as_of_now(&self.inner.pool, organization_id).await?;
        let exists = crate::store::secrets::exists(&mut transaction, organization_id, name).await?;
        transaction.rollback().await?;
        Ok(exists)
    }

    /// Records that a verb was refused before it came here.
    pub async fn record_secret_refusal(
        &self,
        caller: &Caller,
        event_type: &'static str,
        name: &SecretName,
        reason: &str,
    ) -> Result<(), Error> {
        let event = self.secret_event(caller, event_type, name);
        Ok(self.inner.audit.append(record::failed(event, reason)).await?)
    }

    fn secret_event(&self, caller: &Caller, event_type: &'static str, name: &SecretName) -> Event {
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", event_type);
        event.data.insert("mount_id".into(), Value::Text(name.mount_id.to_string().into()));
        event.data.insert("secret".into(), Value::Text(name.path.clone().into()));
        event
    }

    /// Records a refusal, and gives it.
    async fn refuse_secret(&self, event: Event, reason: impl Into<String>) -> Error {
        let reason = reason.into();
        match self.inner.audit.append(record::failed(event, &reason)).await {
            Ok(()) => Error::Invalid(reason),
            Err(error) => Error::Audit(error),
        }
    }

    /// Records that there is nothing of that name.
    async fn absent(&self, event: Event) -> Result<(), Error> {
        Ok(self.inner.audit.append(record::failed(event, "no such secret or version")).await?)
    }
}

//! How the seal was split, as it is kept.

use super::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::store::EntryRow;
use crate::system_entry::{EntryKind, SystemEntry};
use audit_chain::Caller;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// The name of the one entry of its kind.
const NAME: &str = "seal";

/// How the seal was made. Nobody opens anything with it alone: it holds the PIN only under the secret that the shares give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SealConfiguration {
    /// Names this deployment.
    pub cluster_id: Option<Uuid>,
    /// The shares that count.
    #[serde(flatten)]
    pub current: SealShares,
    /// Those before them, as long as nobody has shown that he holds the new ones.
    pub former: Option<SealShares>,
}

/// Shares, and what they open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SealShares {
    /// Shares of the seal (Shamir), or of the recovery key; 0: none.
    pub shares: u8,
    /// Shares that are needed.
    pub threshold: u8,
    /// SHA-256 of the secret that the shares give, hex.
    #[serde(alias = "recovery_sha256")]
    pub secret_sha256: Option<String>,
    /// The token's PIN, encrypted under that secret, hex; `None`: a recovery key, or the PIN is made of the secret itself (older deployments).
    pub wrapped_pin: Option<String>,
}

impl Core {
    /// How the seal was made; `None` before that. Read while the HSM is closed, so that its MAC is not checked: shares recognise what they open.
    pub async fn seal_configuration(&self) -> Result<Option<SealConfiguration>> {
        let store = self.store();
        if let Some(row) = store.system_entry(ROOT_ORGANIZATION, EntryKind::Seal.name(), NAME).await? {
            return read(serde_json::from_str(&row.document)).map(Some);
        }
        // Deployments that were initialised before there was an entry.
        let Some(settings) = store.organization_settings(ROOT_ORGANIZATION).await? else { return Ok(None) };
        Ok(serde_json::from_value(settings.get("seal").cloned().unwrap_or_default()).ok())
    }

    /// The same with its MAC checked: what shares are compared with before they give authority.
    pub async fn checked_seal_configuration(&self) -> Result<SealConfiguration> {
        read(serde_json::from_value(self.seal_entry().await?.document))
    }

    /// Writes what `change` makes of it, on record.
    pub async fn change_seal(
        &self,
        caller: &Caller,
        action: &'static str,
        change: impl FnOnce(SealConfiguration) -> Result<SealConfiguration>,
    ) -> Result<SealConfiguration> {
        let entry = self.seal_entry().await?;
        let changed = change(read(serde_json::from_value(entry.document.clone()))?)?;
        let row =
            self.system_entry_row(ROOT_ORGANIZATION, EntryKind::Seal, NAME, Some(&entry), &json!(changed)).await?;
        let event = self.system_entry_event(caller, "seal.rekey", action, &row);
        self.write_system_entry(row, event).await?;
        Ok(changed)
    }

    pub(super) async fn seal_row(&self, seal: &SealConfiguration) -> Result<EntryRow> {
        self.system_entry_row(ROOT_ORGANIZATION, EntryKind::Seal, NAME, None, &json!(seal)).await
    }

    async fn seal_entry(&self) -> Result<SystemEntry> {
        self.system_entry(ROOT_ORGANIZATION, EntryKind::Seal, NAME).await?.ok_or_else(|| {
            Error::invalid("the shares of this deployment are bound by no MAC: it was initialised by an older version")
        })
    }
}

fn read(configuration: serde_json::Result<SealConfiguration>) -> Result<SealConfiguration> {
    configuration.map_err(|_| Error::Internal("how the seal was made cannot be read".into()))
}

//! Versions of the program that have worked on these databases: an entry of `system_entries` each, written when the first server of it unseals.

use crate::core::{Core, ROOT_ORGANIZATION};
use crate::error::{Error, Result};
use crate::system_entry::{EntryKind, SystemEntry};
use audit_chain::Caller;
use chrono::SecondsFormat;
use serde_json::json;

/// A version that has worked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledVersion {
    /// As `sys/health` says it.
    pub version: String,
    /// The newest there was before.
    pub previous: Option<String>,
    /// When it worked for the first time, RFC 3339.
    pub installed: String,
}

impl Core {
    /// Keeps that a version works here, unless it did before.
    pub async fn note_version(&self, caller: &Caller, version: &str) -> Result<()> {
        let known = self.versions().await?;
        if known.iter().any(|known| known.version == version) {
            return Ok(());
        }
        let installed = self.now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let previous = known.last().map(|known| known.version.as_str());
        let document = json!({ "timestamp_installed": installed, "previous_version": previous });
        let row = self.system_entry_row(ROOT_ORGANIZATION, EntryKind::Version, version, None, &document).await?;
        let event = self.system_entry_event(caller, "system.version", "create", &row);
        match self.write_system_entry(row, event).await {
            // Another server of it has started at the same time.
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// All of them, the first first.
    pub async fn versions(&self) -> Result<Vec<InstalledVersion>> {
        let entries = self.system_entries(ROOT_ORGANIZATION, EntryKind::Version).await?;
        let mut versions: Vec<_> = entries.into_iter().map(InstalledVersion::from).collect();
        versions.sort_by(|one, other| one.installed.cmp(&other.installed));
        Ok(versions)
    }
}

impl From<SystemEntry> for InstalledVersion {
    fn from(entry: SystemEntry) -> Self {
        let text = |field: &str| entry.document[field].as_str().map(str::to_owned);
        Self {
            previous: text("previous_version"),
            installed: text("timestamp_installed").unwrap_or_default(),
            version: entry.name,
        }
    }
}

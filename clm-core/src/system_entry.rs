//! Settings made through `sys/`: documents with a name, bound by MACs, the same for all servers.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::EntryRow;
use crate::store::system_entries::{self, TABLE};
use audit_chain::{Caller, Event, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same entry.
const ATTEMPTS: usize = 5;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, socket or syslog that requests are told to.
    AuditDevice,
    /// A header of requests that audit devices are told.
    AuditedHeader,
    /// Which web pages may ask.
    Cors,
    /// Which logins need a second factor.
    LoginEnforcement,
    /// A kind of second factor.
    MfaMethod,
    /// That a namespace answers nothing.
    NamespaceLock,
    /// What generated passwords look like.
    PasswordPolicy,
    /// What rate limits have in common.
    QuotaConfiguration,
    /// How often something may be asked.
    RateLimit,
    /// How the seal was split.
    Seal,
    /// A header of answers below `ui/`.
    UiHeader,
    /// A version of the program that has worked here.
    Version,
}

/// An entry whose MAC was right.
#[derive(Clone, Debug)]
pub struct SystemEntry {
    /// Names the row.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it says.
    pub document: serde_json::Value,
    /// Grows with each change.
    pub revision: i64,
}

impl EntryKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AuditDevice => "audit_device",
            Self::AuditedHeader => "audited_header",
            Self::Cors => "cors",
            Self::LoginEnforcement => "login_enforcement",
            Self::MfaMethod => "mfa_method",
            Self::NamespaceLock => "namespace_lock",
            Self::PasswordPolicy => "password_policy",
            Self::QuotaConfiguration => "quota_configuration",
            Self::RateLimit => "rate_limit",
            Self::Seal => "seal",
            Self::UiHeader => "ui_header",
            Self::Version => "version",
        }
    }

    const fn events(self) -> (&'static str, &'static str) {
        match self {
            Self::AuditDevice => ("audit_device.enable", "audit_device.disable"),
            Self::AuditedHeader => ("audited_header.write", "audited_header.delete"),
            Self::Cors => ("cors.write", "cors.delete"),
            Self::LoginEnforcement => ("login_enforcement.write", "login_enforcement.delete"),
            Self::MfaMethod => ("mfa_method.write", "mfa_method.delete"),
            Self::NamespaceLock => ("namespace.lock", "namespace.unlock"),
            Self::PasswordPolicy => ("password_policy.write", "password_policy.delete"),
            Self::QuotaConfiguration => ("quota_configuration.write", "quota_configuration.delete"),
            Self::RateLimit => ("rate_limit.write", "rate_limit.delete"),
            Self::Seal => ("seal.rekey", "seal.delete"),
            Self::UiHeader => ("ui_header.write", "ui_header.delete"),
            Self::Version => ("system.version", "system.version"),
        }
    }
}

impl Core {
    /// All of a kind, by name. One that was changed behind the service's back is not there, as if it were deleted; the alarm tells of it.
    pub async fn system_entries(&self, organization_id: Uuid, kind: EntryKind) -> Result<Vec<SystemEntry>> {
        let mut entries = Vec::new();
        for row in self.store().system_entries(organization_id, kind.name()).await? {
            match self.checked_system_entry(row).await {
                Ok(entry) => entries.push(entry),
                Err(Error::RowTampered { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// All of a kind, by name, where leaving out one could give somebody more: one that was changed behind the service's back refuses the whole.
    pub(crate) async fn trusted_entries(&self, organization_id: Uuid, kind: EntryKind) -> Result<Vec<SystemEntry>> {
        let mut entries = Vec::new();
        for row in self.store().system_entries(organization_id, kind.name()).await? {
            self.check_known_row((TABLE, organization_id, row.id), row.bound_bytes(), row.row_mac).await?;
            entries.push(read(row)?);
        }
        Ok(entries)
    }

    /// One, by its name.
    pub async fn system_entry(
        &self,
        organization_id: Uuid,
        kind: EntryKind,
        name: &str,
    ) -> Result<Option<SystemEntry>> {
        match self.store().system_entry(organization_id, kind.name(), name).await? {
            Some(row) => self.checked_system_entry(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Writes what `change` makes of the entry that is there, or of none; on record. It is called again when somebody else was faster.
    pub async fn put_system_entry(
        &self,
        caller: &Caller,
        kind: EntryKind,
        name: &str,
        change: impl Fn(Option<&SystemEntry>) -> Result<serde_json::Value>,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let old = self.system_entry(caller.organization_id, kind, name).await?;
            let row =
                self.system_entry_row(caller.organization_id, kind, name, old.as_ref(), &change(old.as_ref())?).await?;
            let event =
                self.system_entry_event(caller, kind.events().0, if old.is_some() { "update" } else { "create" }, &row);
            match self.write_system_entry(row, event).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("setting"))
    }

    /// Deletes it, on record; `false`: there was none.
    pub async fn delete_system_entry(&self, caller: &Caller, kind: EntryKind, name: &str) -> Result<bool> {
        let Some(row) = self.store().system_entry(caller.organization_id, kind.name(), name).await? else {
            return Ok(false);
        };
        let mut event = self.system_entry_event(caller, kind.events().1, "delete", &row);
        add_rows(&mut event, [(TABLE, row.id, row.revision + 1, [0; 32])]);
        self.change(row.organization_id, move |connection| {
            Box::pin(async move { system_entries::delete(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(true)
    }

    /// An entry's next row.
    pub(crate) async fn system_entry_row(
        &self,
        organization_id: Uuid,
        kind: EntryKind,
        name: &str,
        old: Option<&SystemEntry>,
        document: &serde_json::Value,
    ) -> Result<EntryRow> {
        let mut row = EntryRow {
            id: old.map_or_else(Uuid::now_v7, |old| old.id),
            organization_id,
            kind: kind.name(),
            name: name.to_owned(),
            document: document.to_string(),
            revision: old.map_or(1, |old| old.revision + 1),
            row_mac: [0; 32],
        };
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        Ok(row)
    }

    pub(crate) async fn write_system_entry(&self, row: EntryRow, event: Event) -> Result<()> {
        self.change(row.organization_id, move |connection| {
            Box::pin(async move { system_entries::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await
    }

    pub(crate) fn system_entry_event(
        &self,
        caller: &Caller,
        event_type: &'static str,
        action: &'static str,
        row: &EntryRow,
    ) -> Event {
        let mut event = self.event(caller, event_type, "system", (row.kind, Some(row.name.clone())), action);
        let digest = hex::encode(Sha256::digest(row.document.as_bytes()));
        event.data.insert("document_sha256".into(), Value::Text(digest.into()));
        add_rows(&mut event, [(TABLE, row.id, row.revision, row.row_mac)]);
        event
    }

    async fn checked_system_entry(&self, row: EntryRow) -> Result<SystemEntry> {
        self.check_row((TABLE, row.organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
        read(row)
    }
}

fn read(row: EntryRow) -> Result<SystemEntry> {
    let document = serde_json::from_str(&row.document)
        .map_err(|_| Error::Internal(format!("the document of system entry {} cannot be read", row.id).into()))?;
    Ok(SystemEntry { id: row.id, name: row.name, document, revision: row.revision })
}

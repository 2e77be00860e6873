//! What an organization keeps by a code of people's choice: roles, rules for certificates, workflows, the inventory, and the organization itself.
//!
//! One mechanism for all: a row is read only with its MAC, written with its record in one transaction, and deleted softly: it disappears from
//! everything but the list of what was deleted, and comes back whole. [`Kind`] says which table; what is different is in `fields/`.

mod entry;
mod fields;
mod json;
mod organizations;
mod verbs;

pub(crate) use entry::{Entry, Fields, Reference};
pub(crate) use fields::{InventoryFields, OrganizationFields, PolicyFields, RoleFields, WorkflowFields};
pub(crate) use json::Json;

use crate::core::Core;
use crate::error::{Error, Result};
use audit_chain::Caller;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What is kept by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the tables'")]
pub enum Kind {
    /// Certificates as people see them, by the certificate's id.
    Inventory,
    Organization,
    Policy,
    Role,
    Workflow,
}

impl Kind {
    /// All of them, by the name that lists have.
    pub const ALL: [(&'static str, Self); 5] = [
        ("inventory", Self::Inventory),
        ("organizations", Self::Organization),
        ("policies", Self::Policy),
        ("roles", Self::Role),
        ("workflows", Self::Workflow),
    ];

    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Inventory => "certificate_metadata",
            Self::Organization => "organizations",
            Self::Policy => "policies",
            Self::Role => "roles",
            Self::Workflow => "workflows",
        }
    }

    /// What records call one.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Organization => "organization",
            // A policy is what says which paths a token may reach.
            Self::Policy => "certificate_policy",
            Self::Role => "role",
            Self::Workflow => "workflow",
        }
    }

    pub(crate) fn category(self) -> &'static str {
        match self {
            Self::Inventory => "certificate",
            Self::Organization => "system",
            Self::Policy => "policy",
            Self::Role => "user_management",
            Self::Workflow => "workflow",
        }
    }
}

/// Has `$run::<its fields>` done for a kind.
macro_rules! by_kind {
    ($kind:expr, $fields:ident => $run:expr) => {
        match $kind {
            Kind::Inventory => {
                type $fields = InventoryFields;
                $run
            }
            Kind::Organization => {
                type $fields = OrganizationFields;
                $run
            }
            Kind::Policy => {
                type $fields = PolicyFields;
                $run
            }
            Kind::Role => {
                type $fields = RoleFields;
                $run
            }
            Kind::Workflow => {
                type $fields = WorkflowFields;
                $run
            }
        }
    };
}

impl Core {
    /// What is kept under a code, as people see it. `None`: nothing is, or it was deleted.
    pub async fn registered(&self, caller: &Caller, kind: Kind, code: &str) -> Result<Option<Value>> {
        let Some(owner) = self.owner_of(caller, kind, code).await? else { return Ok(None) };
        by_kind!(kind, F => Ok(self.entry::<F>(owner, code).await?.filter(|entry| !entry.is_deleted()).map(|entry| entry.data())))
    }

    /// Codes, sorted: of what is there, or of what was deleted. An organization other than `root` knows no other.
    pub async fn list_registered(&self, caller: &Caller, kind: Kind, deleted: bool) -> Result<Vec<String>> {
        if kind == Kind::Organization {
            return self.list_organizations(caller, deleted).await;
        }
        by_kind!(kind, F => self.list_entries::<F>(caller.organization_id, deleted).await)
    }

    /// Changes what is named of what is kept under a code, or makes it where nothing is. An empty text takes away.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which field cannot be so, or that what had this code was deleted.
    pub async fn register(&self, caller: &Caller, kind: Kind, code: &str, fields: &Map<String, Value>) -> Result<()> {
        let owner = self.owner_to_change(caller, kind, code).await?;
        by_kind!(kind, F => self.write_entry::<F>(caller, owner, code, fields).await)?;
        self.heard_of(kind).await
    }

    /// Deletes softly. `false`: nothing was there.
    pub async fn unregister(&self, caller: &Caller, kind: Kind, code: &str) -> Result<bool> {
        let owner = match self.owner_to_change(caller, kind, code).await {
            Err(Error::NotFound(_)) => return Ok(false),
            owner => owner?,
        };
        let done = by_kind!(kind, F => self.delete_entry::<F>(caller, owner, code).await)?;
        self.heard_of(kind).await?;
        Ok(done)
    }

    /// Brings back what was deleted, whole.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nothing of that code was deleted.
    pub async fn restore(&self, caller: &Caller, kind: Kind, code: &str) -> Result<()> {
        let owner = self.owner_to_change(caller, kind, code).await?;
        by_kind!(kind, F => self.restore_entry::<F>(caller, owner, code).await)?;
        self.heard_of(kind).await
    }

    /// For whom the row is read: an organization's row is its own.
    async fn owner_of(&self, caller: &Caller, kind: Kind, code: &str) -> Result<Option<Uuid>> {
        match kind {
            Kind::Organization => self.organization_named(caller, code).await,
            _ => Ok(Some(caller.organization_id)),
        }
    }

    async fn owner_to_change(&self, caller: &Caller, kind: Kind, code: &str) -> Result<Uuid> {
        if kind == Kind::Organization {
            self.expect_root(caller)?;
        }
        let owner = self.owner_of(caller, kind, code).await?;
        owner.ok_or_else(|| Error::NotFound(format!("no {} {code:?}", kind.resource()).into()))
    }

    /// What this server keeps in memory of it is read anew; the others hear of it.
    async fn heard_of(&self, kind: Kind) -> Result<()> {
        if kind == Kind::Organization {
            self.invalidate_all();
            self.reload_mounts().await?;
        }
        Ok(())
    }
}

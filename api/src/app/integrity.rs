//! Whether the two databases and the token fit together; repairs what it safely can. Never deletes a row.

use super::{Context, Result, Services};
use clm_core::ROOT_ORGANIZATION;
use keyvault::{Finding, Vault};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Something that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    /// `destroyed_key_on_token`, …
    pub(crate) kind: &'static str,
    /// What it is about: CKA_ID or row.
    pub(crate) id: String,
    /// What happened, and who must act.
    pub(crate) text: String,
    /// `clm integrity repair` mends it.
    pub(crate) repairable: bool,
}

impl Orphan {
    pub(crate) fn data(&self) -> Value {
        json!({ "kind": self.kind, "id": self.id, "text": self.text, "repairable": self.repairable })
    }
}

impl Context {
    /// Lists orphans both ways: of the whole deployment for organization `root`, else of the caller's organization.
    pub(crate) async fn check_integrity(&self) -> Result<Vec<Orphan>> {
        let everything = self.caller.organization_id == ROOT_ORGANIZATION;
        orphans(&self.services, self.organizations_seen().await?, everything).await
    }

    /// Mends what can be mended without losing anything; what was removed from the token, by CKA_ID.
    pub(crate) async fn repair_integrity(&self) -> Result<Vec<Uuid>> {
        let organizations = self.organizations_seen().await?;
        Ok(self.services.vault.remove_destroyed(&self.caller, &organizations).await?)
    }

    async fn organizations_seen(&self) -> Result<Vec<Uuid>> {
        if self.caller.organization_id == ROOT_ORGANIZATION {
            return Ok(self.services.core.organizations().await?);
        }
        Ok(vec![self.caller.organization_id])
    }
}

/// The recurrent look: mends what can be mended without losing anything, and raises its voice about the rest.
pub(crate) async fn watch(services: &Services) -> Result<()> {
    let organizations = services.core.organizations().await?;
    let mut found = orphans(services, organizations.clone(), true).await?;
    if found.iter().any(|orphan| orphan.repairable) {
        services.vault.remove_destroyed(&keyvault::system(ROOT_ORGANIZATION), &organizations).await?;
        found = orphans(services, organizations, true).await?;
    }
    for Orphan { kind, id, text, .. } in &found {
        tracing::error!(kind, id, alarm = "integrity", "{text}");
    }
    services.orphans.store(i64::try_from(found.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
    Ok(())
}

/// What does not fit; with `everything`, also what is nobody's, which is sound only if the organizations are all there are.
async fn orphans(services: &Services, organizations: Vec<Uuid>, everything: bool) -> Result<Vec<Orphan>> {
    let vault = &services.vault;
    let mut orphans: Vec<Orphan> =
        vault.compare_token(&organizations, everything).await?.into_iter().map(Orphan::from).collect();
    if everything {
        orphans.extend(without_organization(services).await?.into_iter().map(|id| Orphan {
            kind: "keys_without_organization",
            id: id.to_string(),
            text: "keys belong to this organization, which clm_core_db does not have: making it was cut off (make it again under its code), or clm_core_db was put back to an older state (restore it)"
                .into(),
            repairable: false,
        }));
    }
    for organization_id in organizations {
        if !vault.has_organization_key(organization_id).await? {
            orphans.push(Orphan {
                kind: "organization_without_key",
                id: organization_id.to_string(),
                text: "no key of this organization that this token can unwrap: restore clm_secure_db, or connect the token that can"
                    .into(),
                repairable: false,
            });
        }
        let keys = without_mount(services, organization_id, Vault::mounts_with_keys).await?;
        let secrets = without_mount(services, organization_id, Vault::mounts_with_secrets).await?;
        for (kind, word, found) in [("keys_without_mount", "keys", keys), ("secrets_without_mount", "secrets", secrets)]
        {
            orphans.extend(found.into_iter().map(|(mount, count)| Orphan {
                kind,
                id: mount.to_string(),
                text: format!("{count} {word} belong to this mount, which clm_core_db does not have: `clm audit verify --rows` says whether it was disabled or taken away behind the service's back"),
                repairable: false,
            }));
        }
    }
    Ok(orphans)
}

/// Organizations that have keys, and that `clm_core_db` does not have.
async fn without_organization(services: &Services) -> Result<Vec<Uuid>> {
    // Who has keys first, for the key of an organization is made before the organization is.
    let mut without = services.vault.organizations_with_keys().await?;
    let known = services.core.organizations().await?;
    without.retain(|id| !known.contains(id));
    Ok(without)
}

/// Mounts that have something by what `ask` says, and that `clm_core_db` does not have.
async fn without_mount(
    services: &Services,
    organization_id: Uuid,
    ask: impl AsyncFn(&Vault, Uuid) -> keyvault::Result<Vec<(Uuid, i64)>>,
) -> Result<Vec<(Uuid, i64)>> {
    // What they have first: a mount that is made meanwhile is then among the mounts.
    let mut without = ask(&services.vault, organization_id).await?;
    let mounts = services.core.mount_ids(organization_id).await?;
    without.retain(|(mount, _)| !mounts.contains(mount));
    if !without.is_empty() {
        // Those that are being destroyed, or were meanwhile, are on their way.
        let closing = services.core.closing_mounts(organization_id).await?;
        let still = ask(&services.vault, organization_id).await?;
        without.retain(|(mount, _)| !closing.contains(mount) && still.iter().any(|(with, _)| with == mount));
    }
    Ok(without)
}

impl From<Finding> for Orphan {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::DestroyedKeyOnToken { object, version } => Self {
                kind: "destroyed_key_on_token",
                id: object.to_string(),
                text: format!("key version {version} was destroyed, its object on the token was not"),
                repairable: true,
            },
            Finding::ObjectWithoutRow { object, label } => Self {
                kind: "object_without_row",
                id: object.map_or_else(|| label.clone(), |id| id.to_string()),
                text: format!(
                    "no row names `{label}`: left by a crash while a key was made, or clm_secure_db was put back and this is the only copy; look before you remove it with the vendor's tool"
                ),
                repairable: false,
            },
            Finding::RowWithoutObject { object, version } => Self {
                kind: "row_without_object",
                id: object.to_string(),
                text: format!(
                    "key version {version} is on the token by its row, and not there: connect the right token, or restore it from the vendor's backup"
                ),
                repairable: false,
            },
        }
    }
}

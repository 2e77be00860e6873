//! Policies as stored: text byte for byte, parsed before it is kept.

use crate::access::Policy;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{DocumentKind, PolicyRow, access_policies};
use crate::token::{DEFAULT_POLICY_NAME, ROOT_POLICY, WRAPPING_POLICY, Warning};
use audit_chain::{Caller, Event, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How often a change is tried anew when somebody else changes the same policy.
const ATTEMPTS: usize = 5;

impl Core {
    /// Writes a policy; it counts at once, also for tokens made before. The warning, if any, is for the answer.
    pub async fn put_policy(&self, caller: &Caller, name: &str, text: &str) -> Result<Option<Warning>> {
        let stored_name = policy_name(name)?;
        if text.trim().is_empty() {
            return Err(Error::invalid("'policy' parameter not supplied or empty"));
        }
        if stored_name == ROOT_POLICY || stored_name == WRAPPING_POLICY {
            return Err(Error::invalid(format!("cannot update {stored_name:?} policy")));
        }
        let policy = Policy::parse(&stored_name, text).map_err(|error| Error::invalid(error.to_string()))?;
        if let Some(path) = policy.broken_template() {
            return Err(Error::invalid(format!(
                "failed to parse policy: path {path:?}: a template is {{{{identity.entity.…}}}} or {{{{identity.groups.…}}}}"
            )));
        }
        for _ in 0..ATTEMPTS {
            match self.put_once(caller, &stored_name, text, DocumentKind::Acl).await {
                Err(Error::Conflict(_)) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let warning = (stored_name != name).then(|| format!("policy name was converted to {stored_name}"));
                    return Ok(warning);
                }
            }
        }
        Err(Error::Conflict("policy"))
    }

    /// A policy's text; `root` reads as an empty one.
    pub async fn policy(&self, organization_id: Uuid, name: &str) -> Result<Option<(String, String)>> {
        let name = policy_name(name)?;
        if name == ROOT_POLICY {
            return Ok(Some((name, String::new())));
        }
        let Some(row) = self.policy_row(organization_id, &name).await? else { return Ok(None) };
        self.check_row((access_policies::TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
        Ok(Some((name, row.document)))
    }

    /// All names, sorted, `root` last.
    pub async fn list_policies(&self, organization_id: Uuid) -> Result<Vec<String>> {
        let mut names = self.store().policy_names(organization_id).await?;
        names.push(ROOT_POLICY.to_owned());
        Ok(names)
    }

    /// Deletes a policy; it counts at once. `false`: there was none.
    pub async fn delete_policy(&self, caller: &Caller, name: &str) -> Result<bool> {
        let name = policy_name(name)?;
        if name == ROOT_POLICY || name == DEFAULT_POLICY_NAME {
            return Err(Error::invalid(format!("cannot delete {name:?} policy")));
        }
        let Some(row) = self.policy_row(caller.organization_id, &name).await? else { return Ok(false) };
        refuse_kind(&row, true)?;
        self.delete_policy_row(caller, row).await?;
        Ok(true)
    }

    pub(crate) async fn delete_policy_row(&self, caller: &Caller, row: PolicyRow) -> Result<()> {
        let mut event = self.policy_event(caller, "policy.delete", "delete", &row);
        add_rows(&mut event, [(access_policies::TABLE, row.id, row.revision + 1, [0; 32])]);
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move { access_policies::delete(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        self.cache().invalidate_all();
        Ok(())
    }

    pub(crate) async fn put_once(&self, caller: &Caller, name: &str, text: &str, kind: DocumentKind) -> Result<()> {
        let old = self.policy_row(caller.organization_id, name).await?;
        if let Some(old) = &old {
            refuse_kind(old, kind == DocumentKind::Acl)?;
        }
        let mut row = PolicyRow {
            id: old.as_ref().map_or_else(Uuid::now_v7, |old| old.id),
            organization_id: caller.organization_id,
            name: name.to_owned(),
            document: text.to_owned(),
            kind,
            revision: old.as_ref().map_or(1, |old| old.revision + 1),
            row_mac: [0; 32],
        };
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        let action = if old.is_some() { "update" } else { "create" };
        let mut event = self.policy_event(caller, "policy.write", action, &row);
        add_rows(&mut event, [(access_policies::TABLE, row.id, row.revision, row.row_mac)]);
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move { access_policies::put(connection, &row).await.map(|()| ((), event)) })
        })
        .await?;
        self.cache().invalidate_all();
        Ok(())
    }

    pub(crate) async fn policy_row(&self, organization_id: Uuid, name: &str) -> Result<Option<PolicyRow>> {
        Ok(self.store().policies(organization_id, &[name.to_owned()], &[]).await?.pop())
    }

    fn policy_event(&self, caller: &Caller, event_type: &'static str, action: &'static str, row: &PolicyRow) -> Event {
        let mut event = self.event(caller, event_type, "policy", ("policy", Some(row.name.clone())), action);
        let digest = hex::encode(Sha256::digest(row.document.as_bytes()));
        event.data.insert("document_sha256".into(), Value::Text(digest.into()));
        event
    }
}

/// Both kinds have their names in common, and each is changed at its own path.
pub(crate) fn refuse_kind(row: &PolicyRow, wants_acl: bool) -> Result<()> {
    match (wants_acl, row.kind == DocumentKind::Acl) {
        (true, false) => Err(Error::invalid(format!(
            "policy {0:?} is about secrets: change it at clm/access-policies/{0}",
            row.name
        ))),
        (false, true) => {
            Err(Error::invalid(format!("policy {0:?} is about paths: change it at sys/policies/acl/{0}", row.name)))
        }
        _ => Ok(()),
    }
}

/// How policies are bound to a person.
pub(crate) fn user_binding(id: Uuid) -> String {
    format!("user:{id}")
}

/// And to an app role.
pub(crate) fn app_role_binding(id: Uuid) -> String {
    format!("app_role:{id}")
}

/// And to a certificate, by its SHA-256 in lower case hexadecimal.
pub(crate) fn certificate_binding(sha256: &str) -> String {
    format!("certificate:{sha256}")
}

/// Lower case; names are one path segment in Vault's clients, though nothing hangs on it here.
pub(crate) fn policy_name(name: &str) -> Result<String> {
    let lower = name.trim().to_lowercase();
    if lower.is_empty() {
        return Err(Error::invalid("policy name not supplied"));
    }
    if lower.len() > 512 || lower.chars().any(char::is_control) {
        return Err(Error::invalid("a policy's name has at most 512 bytes and no control characters"));
    }
    Ok(lower)
}

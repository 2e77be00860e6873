//! What is on the token compared with what the database says is there. Compares and, where nothing can be lost, repairs.

use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::{encryption_keys, named_keys, read_as_of_now};
use crate::{Result, Vault, record};
use audit_chain::{Caller, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// Labels of working keys on the token begin with this.
pub(crate) const KEY_LABEL: &str = "clm-key-";

/// What does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The key was destroyed, its object is still there: the service was killed in between. Safe to remove.
    DestroyedKeyOnToken {
        /// CKA_ID.
        object: Uuid,
        /// Row of the key version.
        version: Uuid,
    },
    /// No row names this object. Left by a crash while a key was made, or by a database that was put back: then only this object has the key.
    ObjectWithoutRow {
        /// CKA_ID; `None`: not one of ours.
        object: Option<Uuid>,
        /// CKA_LABEL.
        label: String,
    },
    /// A key version whose object is gone. The row stays: the token may be the wrong one, or come back.
    RowWithoutObject {
        /// CKA_ID.
        object: Uuid,
        /// Row of the key version.
        version: Uuid,
    },
}

impl Vault {
    /// Compares the token's working keys with the key versions of these organizations. With `strangers`, also what no row names: sound only if
    /// the organizations are all there are.
    pub async fn compare_token(&self, organizations: &[Uuid], strangers: bool) -> Result<Vec<Finding>> {
        // A key is made on the token before its row, and destroyed there after it: what the rows say both before and after the look at the
        // token must be there, and what they say after it names whatever was made before.
        let before = self.versions_on_token(organizations).await?;
        let objects = self.inner.bridge.find_objects(KEY_LABEL).await?;
        let after = self.versions_on_token(organizations).await?;
        let is_there = |id: Uuid| objects.iter().any(|object| object.id == Some(id));
        let mut findings = Vec::new();
        for (object, row) in &after {
            let was = before.get(object);
            if is_destroyed(row) && was.is_some_and(is_destroyed) && is_there(*object) {
                findings.push(Finding::DestroyedKeyOnToken { object: *object, version: row.id });
            } else if !is_destroyed(row) && was.is_some() && !is_there(*object) {
                findings.push(Finding::RowWithoutObject { object: *object, version: row.id });
            }
        }
        // Halves of a pair share their CKA_ID.
        let mut seen = Vec::new();
        for object in objects.iter().filter(|_| strangers) {
            if object.id.is_none_or(|id| !after.contains_key(&id)) && !seen.contains(&(object.id, &object.label)) {
                seen.push((object.id, &object.label));
                findings.push(Finding::ObjectWithoutRow { object: object.id, label: object.label.clone() });
            }
        }
        Ok(findings)
    }

    /// Removes from the token what [`Self::compare_token`] found of destroyed keys, if their rows carry their MAC; says what was removed. One
    /// record, also when there was nothing to do.
    pub async fn remove_destroyed(&self, caller: &Caller, organizations: &[Uuid]) -> Result<Vec<Uuid>> {
        let findings = self.compare_token(organizations, false).await?;
        let rows = self.versions_on_token(organizations).await?;
        let mut removed = Vec::new();
        for finding in findings {
            let Finding::DestroyedKeyOnToken { object, .. } = finding else { continue };
            let Some(row) = rows.get(&object) else { continue };
            // Whoever writes "destroyed" behind the service's back must not have the token's only copy destroyed.
            self.check_rows(row.organization_id, &[(row.table(), row.id, row.row_bytes(), &row.row_mac)]).await?;
            self.inner.bridge.destroy_token_key(object).await?;
            removed.push(object);
        }
        let mut event = record::event(caller, self.inner.clock.now(), "system", "integrity.repair");
        let objects = removed.iter().map(|id| Value::Text(id.to_string().into())).collect();
        event.data.insert("removed_objects".into(), Value::List(objects));
        self.inner.audit.append(event).await?;
        Ok(removed)
    }

    /// Mounts that have keys of the organization, and how many.
    pub async fn mounts_with_keys(&self, organization_id: Uuid) -> Result<Vec<(Uuid, i64)>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let mounts = named_keys::mounts(&mut transaction, organization_id).await?;
        transaction.rollback().await?;
        Ok(mounts)
    }

    /// Organizations that have keys here, whether or not there is such an organization.
    pub async fn organizations_with_keys(&self) -> Result<Vec<Uuid>> {
        Ok(encryption_keys::organizations(&self.inner.pool).await?)
    }

    /// Whether this token can unwrap a key of the organization's.
    pub async fn has_organization_key(&self, organization_id: Uuid) -> Result<bool> {
        let token_id = self.deployment().await?.token_id();
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let key = encryption_keys::newest(&mut transaction, organization_id, token_id).await?;
        transaction.rollback().await?;
        Ok(key.is_some())
    }

    async fn versions_on_token(&self, organizations: &[Uuid]) -> Result<HashMap<Uuid, KeyVersionRow>> {
        let token_id = self.deployment().await?.token_id();
        let mut found = HashMap::new();
        for organization_id in organizations {
            let mut transaction = read_as_of_now(&self.inner.pool, *organization_id).await?;
            let rows = key_versions::on_token(&mut transaction, *organization_id, token_id, None).await?;
            transaction.rollback().await?;
            found.extend(rows.into_iter().filter_map(|row| Some((row.hsm_key_id?, row))));
        }
        Ok(found)
    }
}

fn is_destroyed(row: &KeyVersionRow) -> bool {
    row.key_state == "destroyed"
}

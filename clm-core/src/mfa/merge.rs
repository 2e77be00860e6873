//! Second factors of entities that become one: its own stay, those of others come to it.

use super::MfaMethod;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::store::{GoneRow, SecretRow, StoreError, mfa_secrets};
use sqlx::PgConnection;
use uuid::Uuid;

/// What a merge does to secrets.
#[derive(Debug, Default)]
pub(crate) struct MergedFactors {
    /// All that there were, by id and revision.
    known: Vec<(Uuid, i64)>,
    /// Sealed anew for whose they become.
    moved: Vec<SecretRow>,
    /// Of methods for which that one has a secret.
    dropped: Vec<SecretRow>,
}

impl Core {
    /// What becomes of the secrets of entities that become the one with the id `to`. Two secrets for one method are refused, all of them named,
    /// unless `force` is set: then the first stays, that one's own before all.
    pub(crate) async fn merged_factors(
        &self,
        organization_id: Uuid,
        (from, to): (&[Uuid], Uuid),
        force: bool,
    ) -> Result<MergedFactors> {
        let in_order: Vec<Uuid> = [to].into_iter().chain(from.iter().copied()).collect();
        let mut rows = self.store().mfa_secrets_of(organization_id, &in_order).await?;
        rows.sort_by_key(|row| in_order.iter().position(|id| *id == row.entity_id));
        let mut merged =
            MergedFactors { known: rows.iter().map(|row| (row.id, row.revision)).collect(), ..Default::default() };
        let mut held: Vec<Uuid> = Vec::new();
        for row in rows {
            self.check_row((mfa_secrets::TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac).await?;
            let is_first = !held.contains(&row.method_id);
            held.push(row.method_id);
            if !is_first {
                merged.dropped.push(row);
            } else if row.entity_id != to {
                merged.moved.push(self.sealed_for(row, to).await?);
            }
        }
        if !force && !merged.dropped.is_empty() {
            return Err(conflicting(&merged.dropped, &self.mfa_methods(organization_id).await?));
        }
        Ok(merged)
    }

    async fn sealed_for(&self, row: SecretRow, entity_id: Uuid) -> Result<SecretRow> {
        let organization_id = row.organization_id;
        let opened = self.opened(organization_id, &row.context(), row.secret.clone()).await?;
        let mut row = SecretRow { entity_id, revision: row.revision + 1, ..row };
        row.secret = self.sealed(organization_id, &row.context(), opened.to_vec()).await?;
        row.row_mac = self.row_mac(row.bound_bytes()).await?;
        Ok(row)
    }
}

fn conflicting(rows: &[SecretRow], methods: &[MfaMethod]) -> Error {
    let told = rows.iter().map(|row| {
        let method = methods.iter().find(|method| method.entry_id == row.method_id);
        let method = method.map_or(row.method_id, |method| method.id);
        format!("conflicting MFA config ID \"{method}\" in entity ID \"{}\"", row.entity_id)
    });
    let told: Vec<_> = told.collect();
    Error::invalid(format!(
        "{}; set force to keep the first of each, those of the entity that is merged to before all",
        told.join(", ")
    ))
}

impl MergedFactors {
    /// Writes it, in a transaction that holds these entities; what records say of it. Secrets that were given or taken away meanwhile are a
    /// [`StoreError::Conflict`].
    pub(crate) async fn write(
        self,
        connection: &mut PgConnection,
        entity_ids: &[Uuid],
    ) -> Result<Vec<GoneRow>, StoreError> {
        mfa_secrets::expect_those(connection, entity_ids, self.known).await?;
        let mut rows = Vec::new();
        for row in &self.dropped {
            rows.push(mfa_secrets::delete(connection, row).await?);
        }
        for row in &self.moved {
            mfa_secrets::give(connection, row).await?;
            rows.push((mfa_secrets::TABLE, row.id, row.revision, row.row_mac));
        }
        Ok(rows)
    }
}

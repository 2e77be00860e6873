//! Secrets of a mount that `clm_core_db` has disabled.

use super::config::whole;
use super::delete::VersionChange;
use super::find::Found;
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::secrets::{self, SecretRow};
use crate::store::{closed_mounts, read_as_of_now};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::SubsecRound;
use sqlx::PgConnection;
use uuid::Uuid;

/// Nothing is made in a mount that is closed; until this transaction is over nobody closes it.
pub(super) async fn expect_open(connection: &mut PgConnection, mount_id: Uuid) -> Result<()> {
    if closed_mounts::is_open(connection, mount_id).await? {
        return Ok(());
    }
    Err(Error::NotFound("the mount was disabled meanwhile".into()))
}

impl Vault {
    /// Mounts that have secrets of the organization, and how many.
    pub async fn mounts_with_secrets(&self, organization_id: Uuid) -> Result<Vec<(Uuid, i64)>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let mounts = secrets::mounts(&mut transaction, organization_id).await?;
        transaction.rollback().await?;
        Ok(mounts)
    }

    /// Destroys up to `limit` secrets of a closed mount whose paths come after `after`; the last one's path, or `None` when there were none
    /// left. A secret whose rows were changed behind the service's back is left as it is: its alarm was raised.
    pub async fn destroy_secrets_of_mount(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Option<String>> {
        for _ in 0..super::ATTEMPTS {
            match self.destroy_some_secrets(caller, mount_id, after, limit).await {
                // Somebody has written one meanwhile, who began before the mount was closed.
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    async fn destroy_some_secrets(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Option<String>> {
        let organization_id = caller.organization_id;
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let found = secrets::after(&mut transaction, organization_id, mount_id, after, limit).await?;
        let ids: Vec<Uuid> = found.iter().map(|secret| secret.id).collect();
        let mut versions = secret_versions::readable(&mut transaction, &ids).await?;
        transaction.rollback().await?;
        let last = found.last().map(|secret| secret.name.path.clone());
        let now = self.inner.clock.now().trunc_subsecs(6);
        let mut gone: Vec<SecretRow> = Vec::with_capacity(found.len());
        let mut destroyed: Vec<SecretVersionRow> = Vec::new();
        for secret in found {
            let own: Vec<SecretVersionRow> = versions.extract_if(.., |row| row.secret_id == secret.id).collect();
            let checked = Found { secret: Some(secret.clone()), versions: own, ..Found::default() };
            match self.check_found(organization_id, &checked).await {
                Ok(()) => {}
                Err(Error::RowTampered { .. }) => continue,
                Err(error) => return Err(error),
            }
            let mut own = checked.versions;
            own.retain_mut(|row| VersionChange::Destroy.apply(row, now));
            let mut secret = SecretRow { revision: secret.revision + 1, deleted_at: Some(now), ..secret };
            self.bind_secret(Some(&mut secret), &mut own.iter_mut().collect::<Vec<_>>()).await?;
            gone.push(secret);
            destroyed.append(&mut own);
        }
        if gone.is_empty() {
            return Ok(last);
        }
        let mut event = self.secret_event(caller, "secret.empty_mount", &whole(mount_id));
        event.data.insert("count".into(), Value::Integer(i64::try_from(gone.len()).unwrap_or(i64::MAX)));
        let rows = gone.iter().map(|row| (secrets::TABLE, row.id, row.revision, row.row_mac.as_slice()));
        let version_rows =
            destroyed.iter().map(|row| (secret_versions::TABLE, row.id, row.revision, row.row_mac.as_slice()));
        event.data.insert("rows".into(), record::rows(rows.chain(version_rows)));
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    for secret in &gone {
                        if !secrets::update(&mut *connection, secret).await? {
                            return Err(Error::Conflict);
                        }
                    }
                    if secret_versions::update_states(connection, &destroyed).await? {
                        return Ok((last, event));
                    }
                    Err(Error::Conflict)
                })
            })
            .await
            .map_err(Error::from)
    }
}

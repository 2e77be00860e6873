//! Settings of a mount.

use super::disable::expect_open;
use super::metadata::apply_settings;
use super::{ATTEMPTS, SecretName, SecretSettings, rules};
use crate::row_mac::MacDomain;
use crate::store::read_as_of_now;
use crate::store::secret_mounts::{self, SecretMountRow};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Event};
use chrono::SubsecRound;
use uuid::Uuid;

/// The mount itself, as records name it.
pub(super) fn whole(mount_id: Uuid) -> SecretName {
    SecretName { mount_id, path: String::new() }
}

impl Vault {
    /// Settings of a mount.
    pub async fn read_secret_settings(&self, caller: &Caller, mount_id: Uuid) -> Result<SecretSettings> {
        let event = self.secret_event(caller, "secret_mount.read", &whole(mount_id));
        let row = self.secret_mount(caller.organization_id, mount_id).await?;
        self.inner.audit.append(event).await?;
        Ok(row.map(|row| row.settings).unwrap_or_default())
    }

    /// Changes settings of a mount; `None`: as it is.
    pub async fn write_secret_settings(
        &self,
        caller: &Caller,
        mount_id: Uuid,
        max_versions: Option<i64>,
        cas_required: Option<bool>,
        delete_version_after: Option<i64>,
    ) -> Result<()> {
        let event = self.secret_event(caller, "secret_mount.configure", &whole(mount_id));
        if let Some(reason) = max_versions.and_then(rules::refuse_max_versions) {
            return Err(self.refuse_secret(event, reason).await);
        }
        self.change_secret_mount(caller.organization_id, mount_id, &event, |row| {
            apply_settings(&mut row.settings, max_versions, cas_required, delete_version_after);
        })
        .await
    }

    pub(super) async fn change_secret_mount(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        event: &Event,
        change: impl Fn(&mut SecretMountRow),
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let now = self.inner.clock.now().trunc_subsecs(6);
            let mut row = self.secret_mount(organization_id, mount_id).await?.unwrap_or_else(|| SecretMountRow {
                id: mount_id,
                organization_id,
                settings: SecretSettings::default(),
                revision: 0,
                row_mac: Vec::new(),
                created_at: now,
            });
            change(&mut row);
            row.revision += 1;
            row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
            let mut event = event.clone();
            event.resource_id = Some(mount_id.to_string());
            let written = [(secret_mounts::TABLE, row.id, row.revision, row.row_mac.as_slice())];
            event.data.insert("rows".into(), record::rows(written));
            let done = self
                .inner
                .audit
                .commit(organization_id, move |connection| {
                    Box::pin(async move {
                        expect_open(&mut *connection, mount_id).await?;
                        if secret_mounts::put(connection, &row).await? { Ok(((), event)) } else { Err(Error::Conflict) }
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => return other,
            }
        }
        Err(Error::Conflict)
    }

    pub(super) async fn secret_mount(&self, organization_id: Uuid, mount_id: Uuid) -> Result<Option<SecretMountRow>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = secret_mounts::by_id(&mut transaction, mount_id).await?;
        transaction.rollback().await?;
        if let Some(row) = &row {
            self.check_rows(organization_id, &[(secret_mounts::TABLE, row.id, row.row_bytes(), &row.row_mac)]).await?;
        }
        Ok(row)
    }
}

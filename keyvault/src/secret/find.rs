//! The rows of a secret, all as of one moment, and each what this service wrote.

use super::{SecretName, SecretSettings, rules};
use crate::row_mac::MacDomain;
use crate::store::read_as_of_now;
use crate::store::secret_mounts::{self, SecretMountRow};
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::secrets::{self, SecretRow};
use crate::{Result, Vault};
use uuid::Uuid;

/// Which versions are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'w> {
    All,
    /// Those that go when the next one is written.
    Dropped,
    Newest,
    /// The newest, and what goes when the next one is written.
    NewestAndDropped,
    None,
    /// Those of them that there are.
    These(&'w [i32]),
}

/// What was found; nothing of it is in question any more.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) mount: Option<SecretMountRow>,
    pub(super) secret: Option<SecretRow>,
    /// By version.
    pub(super) versions: Vec<SecretVersionRow>,
    /// Of the only version, where it is wanted and not destroyed.
    pub(super) ciphertext: Option<Vec<u8>>,
}

impl Found {
    pub(super) fn mount_settings(&self) -> SecretSettings {
        self.mount.as_ref().map(|mount| mount.settings).unwrap_or_default()
    }

    /// The newest version; 0: none.
    pub(super) fn current(&self) -> i32 {
        self.secret.as_ref().map_or(0, |secret| secret.version)
    }

    /// One of those found.
    pub(super) fn version(&self, version: i32) -> Option<&SecretVersionRow> {
        self.versions.iter().find(|row| row.version == version)
    }
}

impl Vault {
    /// Reads and checks. `content`: also the ciphertext of the newest version, or of the one that is wanted.
    pub(super) async fn find_secret(
        &self,
        organization_id: Uuid,
        name: &SecretName,
        which: Which<'_>,
        content: bool,
    ) -> Result<Found> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let mount = secret_mounts::by_id(&mut transaction, name.mount_id).await?;
        let secret = secrets::by_name(&mut transaction, organization_id, name).await?;
        let mut found = Found { mount, secret, ..Found::default() };
        if let Some(secret) = &found.secret {
            let oldest = secret.oldest_version.max(1);
            let wanted = wanted(secret, found.mount_settings(), which);
            if wanted.as_ref().is_none_or(|wanted| !wanted.is_empty()) {
                found.versions =
                    secret_versions::of_secret(&mut transaction, secret.id, oldest, wanted.as_deref()).await?;
            }
            let one = match which {
                Which::These([one]) => *one,
                _ => secret.version,
            };
            if content && let Some(row) = found.version(one) {
                found.ciphertext = secret_versions::ciphertext(&mut transaction, row.id).await?;
            }
        }
        transaction.rollback().await?;
        self.check_found(organization_id, &found).await?;
        if let Some(secret) = &found.secret {
            let oldest = secret.oldest_version.max(1);
            let expected = match wanted(secret, found.mount_settings(), which) {
                None => usize::try_from(secret.version.saturating_sub(oldest) + 1).unwrap_or_default(),
                Some(wanted) => wanted.len(),
            };
            if found.versions.len() != expected {
                // The secret says that they are there: somebody took one away.
                return Err(self.refuse_row(organization_id, secrets::TABLE, secret.id).await);
            }
        }
        Ok(found)
    }

    pub(super) async fn check_found(&self, organization_id: Uuid, found: &Found) -> Result<()> {
        let mut rows = Vec::with_capacity(2 + found.versions.len());
        if let Some(mount) = &found.mount {
            rows.push((secret_mounts::TABLE, mount.id, mount.row_bytes(), mount.row_mac.as_slice()));
        }
        if let Some(secret) = &found.secret {
            rows.push((secrets::TABLE, secret.id, secret.row_bytes(), secret.row_mac.as_slice()));
        }
        for version in &found.versions {
            rows.push((secret_versions::TABLE, version.id, version.row_bytes(), version.row_mac.as_slice()));
        }
        if rows.is_empty() { Ok(()) } else { self.check_rows(organization_id, &rows).await }
    }

    /// Gives rows that changed the MACs of what they are now.
    pub(super) async fn bind_secret(
        &self,
        secret: Option<&mut SecretRow>,
        versions: &mut [&mut SecretVersionRow],
    ) -> Result<()> {
        let mut bytes: Vec<Vec<u8>> = secret.iter().map(|row| row.row_bytes()).collect();
        bytes.extend(versions.iter().map(|row| row.row_bytes()));
        if bytes.is_empty() {
            return Ok(());
        }
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let macs = self.macs(self.deployment().await?.mac_key(), MacDomain::SecureRow, &bytes).await?;
        let mut macs = macs.into_iter().map(|mac| mac.to_vec());
        let to_bind = secret.map(|row| &mut row.row_mac).into_iter();
        for (row_mac, mac) in to_bind.chain(versions.iter_mut().map(|row| &mut row.row_mac)).zip(&mut macs) {
            *row_mac = mac;
        }
        Ok(())
    }
}

/// The wanted versions among those that the secret says are there; `None`: all of these.
fn wanted(secret: &SecretRow, mount: SecretSettings, which: Which<'_>) -> Option<Vec<i32>> {
    let there = secret.oldest_version.max(1)..=secret.version;
    let dropped = || {
        let next = secret.version.saturating_add(1);
        let oldest = rules::oldest_after(next, secret.oldest_version, mount, secret.settings);
        there.clone().filter(move |version| *version < oldest)
    };
    match which {
        Which::All => None,
        Which::None => Some(Vec::new()),
        Which::Newest => Some(Some(secret.version).filter(|version| *version > 0).into_iter().collect()),
        Which::Dropped => Some(dropped().collect()),
        Which::NewestAndDropped => {
            let mut wanted: Vec<i32> = dropped().collect();
            if secret.version > 0 && wanted.last() != Some(&secret.version) {
                wanted.push(secret.version);
            }
            Some(wanted)
        }
        Which::These(these) => {
            let mut wanted: Vec<i32> = these.iter().copied().filter(|version| there.contains(version)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            Some(wanted)
        }
    }
}

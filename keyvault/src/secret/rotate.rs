//! Rotation of an organization's data key. New values are encrypted under the new one at once; what the old ones encrypt stays readable and is
//! encrypted anew step by step, by whichever server does the job: what is still to be done is what still names an old key, so whoever is
//! killed leaves work that the next one finds.

use super::data_key::Place;
use super::find::Which;
use super::{ATTEMPTS, SecretName};
use crate::store::encryption_keys::{self, DataKeyRow};
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::{key_rotation_history, read_as_of_now, secrets};
use crate::vault::system;
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What an organization's data key is.
#[derive(Clone, Copy, Debug)]
pub struct DataKeyStatus {
    /// Version of the newest; 1 before there is one.
    pub version: i32,
    /// When that was made.
    pub created_at: DateTime<Utc>,
    /// Versions of secrets that are encrypted under it.
    pub encryptions: i64,
}

impl Vault {
    /// The newest data key; not recorded.
    pub async fn data_key_status(&self, organization_id: Uuid) -> Result<DataKeyStatus> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = encryption_keys::data_key(&mut transaction, organization_id, None).await?;
        let encryptions = match &row {
            None => 0,
            Some(row) => secret_versions::encrypted_under(&mut transaction, row.id).await?,
        };
        transaction.rollback().await?;
        Ok(row.map_or(DataKeyStatus { version: 1, created_at: self.inner.clock.now(), encryptions }, |row| {
            DataKeyStatus { version: row.key_version, created_at: row.created_at, encryptions }
        }))
    }

    /// Makes a new data key, which new values are encrypted under from now on.
    pub async fn rotate_data_key(&self, caller: &Caller) -> Result<()> {
        let organization_id = caller.organization_id;
        for _ in 0..ATTEMPTS {
            // An organization that keeps nothing yet has one afterwards, and one to rotate.
            self.newest_data_key(organization_id).await?;
            let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
            let old = encryption_keys::data_key(&mut transaction, organization_id, None).await?;
            transaction.rollback().await?;
            let old = old.ok_or(Error::Conflict)?;
            self.check_rows(organization_id, &[("encryption_keys", old.id, old.row_bytes(), &old.row_mac)]).await?;
            let new = self.generate_data_key(organization_id, old.key_version + 1).await?;
            let mut old = DataKeyRow { key_state: "deactivated".into(), revision: old.revision + 1, ..old };
            self.bind_data_key(&mut old).await?;
            let now = self.inner.clock.now();
            let mut event = record::event(caller, now, "key_rotation", "data_key.rotate");
            event.resource_id = Some(new.id.to_string());
            event.data.insert("version".into(), Value::Integer(new.key_version.into()));
            let rows = [&old, &new].map(|row| ("encryption_keys", row.id, row.revision, row.row_mac.as_slice()));
            event.data.insert("rows".into(), record::rows(rows));
            let user_id = caller.user_id;
            let done = self
                .inner
                .audit
                .commit(organization_id, move |connection| {
                    Box::pin(async move {
                        if !encryption_keys::update_data_key(&mut *connection, &old).await?
                            || !encryption_keys::insert_data_key(&mut *connection, &new, now).await?
                        {
                            return Err(Error::Conflict);
                        }
                        key_rotation_history::insert(connection, organization_id, (old.id, new.id), now, user_id)
                            .await?;
                        Ok(((), event))
                    })
                })
                .await;
            match done.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => {
                    self.forget_newest_data_key(organization_id).await?;
                    return other;
                }
            }
        }
        Err(Error::Conflict)
    }

    /// Makes a new data key where the newest has made three quarters of the encryptions that one may make; whether it did.
    pub async fn rotate_spent_data_key(&self, organization_id: Uuid) -> Result<bool> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let newest = encryption_keys::data_key(&mut transaction, organization_id, None).await?;
        transaction.rollback().await?;
        let Some(newest) = newest else { return Ok(false) };
        let is_spent = self.is_nearly_spent(organization_id, newest.id).await?;
        if is_spent {
            self.rotate_data_key(&system(organization_id)).await?;
        }
        Ok(is_spent)
    }

    /// Encrypts up to `limit` versions under the newest data key that are under an older one, those with the lowest ids after `after`; the
    /// last one's id, or `None` when there are none left. One whose rows were changed behind the service's back is left as it is: its alarm
    /// was raised.
    pub async fn re_encrypt_secrets(&self, organization_id: Uuid, after: Uuid, limit: i64) -> Result<Option<Uuid>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let found = secret_versions::under_older_keys(&mut transaction, organization_id, after, limit).await?;
        let names =
            secrets::names_of(&mut transaction, &found.iter().map(|found| found.secret_id).collect::<Vec<_>>()).await?;
        transaction.rollback().await?;
        let Some(last) = found.last().map(|found| found.id) else {
            return self.finish_rotations(organization_id).await.map(|()| None);
        };
        let mut written = Vec::with_capacity(found.len());
        for version in &found {
            let Some((_, name)) = names.iter().find(|(id, _)| *id == version.secret_id) else { continue };
            match self.re_encrypted(organization_id, name, version.version).await {
                Ok(version) => written.extend(version),
                Err(Error::RowTampered { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if !written.is_empty() {
            self.write_re_encrypted(organization_id, written).await?;
        }
        Ok(Some(last))
    }

    /// A version under the newest key, bound; `None`: it was destroyed or done meanwhile.
    async fn re_encrypted(
        &self,
        organization_id: Uuid,
        name: &SecretName,
        version: i32,
    ) -> Result<Option<(Uuid, SecretVersionRow, Vec<u8>)>> {
        let found = self.find_secret(organization_id, name, Which::These(&[version]), true).await?;
        let key = self.newest_data_key(organization_id).await?;
        let (Some(secret), Some(row), Some(old)) = (&found.secret, found.versions.first(), &found.ciphertext) else {
            return Ok(None);
        };
        if row.encryption_key_id == key.id() {
            return Ok(None);
        }
        let place = || Place { organization_id, name: &secret.name, secret_id: secret.id, version };
        let content = zeroize::Zeroizing::new(self.open_version(row.encryption_key_id, place(), row.id, old).await?);
        let ciphertext = self.seal_version(&key, place(), &content).await?;
        let mut new = SecretVersionRow {
            digest: Some(Sha256::digest(&ciphertext).to_vec()),
            encryption_key_id: key.id(),
            revision: row.revision + 1,
            ..row.clone()
        };
        self.bind_secret(None, &mut [&mut new]).await?;
        Ok(Some((row.encryption_key_id, new, ciphertext)))
    }

    async fn write_re_encrypted(
        &self,
        organization_id: Uuid,
        written: Vec<(Uuid, SecretVersionRow, Vec<u8>)>,
    ) -> Result<()> {
        let now = self.inner.clock.now();
        let mut event = record::event(&system(organization_id), now, "key_rotation", "secret.re_encrypt");
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    let mut done = Vec::with_capacity(written.len());
                    for (old_key, row, ciphertext) in &written {
                        // Whoever was faster deleted, destroyed or did it.
                        if secret_versions::re_encrypt(&mut *connection, row, ciphertext).await? {
                            key_rotation_history::count(&mut *connection, *old_key).await?;
                            done.push((secret_versions::TABLE, row.id, row.revision, row.row_mac.as_slice()));
                        }
                    }
                    let count = i64::try_from(done.len()).unwrap_or(i64::MAX);
                    event.data.insert("count".into(), Value::Integer(count));
                    event.data.insert("rows".into(), record::rows(done));
                    Ok::<_, Error>(((), event))
                })
            })
            .await
            .map_err(Error::from)
    }

    /// Nothing is under an older key any more.
    async fn finish_rotations(&self, organization_id: Uuid) -> Result<()> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let under_way = key_rotation_history::of_data_keys_under_way(&mut transaction, organization_id).await?;
        transaction.rollback().await?;
        if under_way.is_empty() {
            return Ok(());
        }
        let now = self.inner.clock.now();
        let mut event = record::event(&system(organization_id), now, "key_rotation", "data_key.rotated");
        event.data.insert("count".into(), Value::Integer(i64::try_from(under_way.len()).unwrap_or(i64::MAX)));
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    key_rotation_history::complete(connection, &under_way, now).await?;
                    Ok::<_, Error>(((), event))
                })
            })
            .await
            .map_err(Error::from)
    }
}

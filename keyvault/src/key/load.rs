//! Reading a key: rows, their MACs, and only then what they say.

use super::create::HMAC_KEY_BYTES;
use super::{Key, KeyName, KeyState, KeyVersion};
use crate::store::key_versions::{self, KeyVersionRow};
use crate::store::named_keys::{self, NamedKeyRow};
use crate::store::read_as_of_now;
use crate::{Error, Result, Vault};
use hsm_bridge::{KeyRef, KeyType, Purpose, TokenKey, WrappedKey};
use sqlx::{Postgres, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

impl Vault {
    /// The key of that name, from the cache if it is there. `None`: there is none.
    pub async fn key(&self, organization_id: Uuid, mount_id: Uuid, name: &KeyName) -> Result<Option<Arc<Key>>> {
        let cached = (organization_id, mount_id, name.clone());
        if let Some(key) = self.inner.cache.get(&cached) {
            return Ok(Some(key));
        }
        let read_at = self.inner.cache.epoch();
        // Boxed: it is rare, and its size would be every caller's.
        let read = Box::pin(self.read_key(organization_id, mount_id, name));
        let Some((key, _)) = read.await? else { return Ok(None) };
        let key = Arc::new(key);
        self.inner.cache.put(cached, Arc::clone(&key), read_at);
        Ok(Some(key))
    }

    /// Names of a mount's keys, sorted.
    pub async fn list_keys(&self, organization_id: Uuid, mount_id: Uuid) -> Result<Vec<String>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let names = named_keys::names(&mut transaction, organization_id, mount_id).await?;
        transaction.rollback().await?;
        Ok(names)
    }

    /// Reads and checks the rows, past the cache.
    pub(crate) async fn read_key(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &KeyName,
    ) -> Result<Option<(Key, Vec<KeyVersionRow>)>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let Some(row) = named_keys::by_name(&mut transaction, organization_id, mount_id, name).await? else {
            return Ok(None);
        };
        self.read_rows(transaction, (organization_id, mount_id, name), row, false).await.map(Some)
    }

    /// The same of the last key of that name that was deleted. Nothing of it can be used: its versions are destroyed.
    pub(super) async fn read_deleted_key(
        &self,
        organization_id: Uuid,
        mount_id: Uuid,
        name: &KeyName,
    ) -> Result<Option<(Key, Vec<KeyVersionRow>)>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let Some(row) = named_keys::last_deleted(&mut transaction, organization_id, mount_id, name).await? else {
            return Ok(None);
        };
        self.read_rows(transaction, (organization_id, mount_id, name), row, true).await.map(Some)
    }

    async fn read_rows(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        (organization_id, mount_id, name): (Uuid, Uuid, &KeyName),
        row: NamedKeyRow,
        deleted: bool,
    ) -> Result<(Key, Vec<KeyVersionRow>)> {
        let (Some(algorithm), Some(derivation)) = (row.algorithm, row.derivation) else {
            return Err(self.refuse_row(organization_id, "named_keys", row.id).await);
        };
        let versions = key_versions::of_key(&mut transaction, row.id, algorithm).await?;
        transaction.rollback().await?;

        let mut key = Key {
            id: row.id,
            organization_id,
            mount_id,
            name: name.clone(),
            algorithm,
            derivation,
            settings: row.settings,
            revision: row.revision,
            versions: BTreeMap::new(),
        };
        let mut rows = vec![("named_keys", row.id, key.row_bytes(deleted), row.row_mac.as_slice())];
        rows.extend(
            versions
                .iter()
                .map(|version| (version.table(), version.id, version.row_bytes(), version.row_mac.as_slice())),
        );
        self.check_rows(organization_id, &rows).await?;
        // A version row that was taken away, or one of another key moved here, leaves a hole that no single row's MAC shows.
        let numbers = versions.iter().map(|version| i64::from(version.version));
        if !numbers.eq(1..=i64::from(row.settings.latest_version)) {
            return Err(self.refuse_row(organization_id, "named_keys", row.id).await);
        }
        for version in &versions {
            let number = u32::try_from(version.version).unwrap_or_default();
            if number < row.settings.min_available_version || version.deleted_at.is_some() {
                // Trimmed, or deleted by itself: the row tells that it was there.
                continue;
            }
            if KeyState::parse(&version.key_state) == Some(KeyState::Destroyed) {
                continue;
            }
            key.versions.insert(number, self.usable(&key, version).await?);
        }
        Ok((key, versions))
    }

    /// A checked row as something that can be used.
    async fn usable(&self, named: &Key, row: &KeyVersionRow) -> Result<KeyVersion> {
        let key_type = named.key_type();
        let tampered = || Error::RowTampered { table: row.table(), id: row.id };
        let on_token = row.storage == "token";
        let key = if row.storage == "public" {
            None
        } else if on_token {
            Some(KeyRef::Token(TokenKey { id: row.hsm_key_id.ok_or_else(tampered)?, key_type }))
        } else {
            let blob = row.blob.clone().ok_or_else(tampered)?;
            Some(self.unwrappable(row, row.id, key_type, named.purpose(), blob).await?)
        };
        let hmac_key = match &row.hmac_blob {
            _ if row.algorithm.key_size().is_some() => key.clone(),
            None => None,
            Some(blob) => {
                let hmac = KeyType::Hmac(HMAC_KEY_BYTES);
                Some(self.unwrappable(row, hmac_key_id(row.id), hmac, Purpose::Mac, blob.clone()).await?)
            }
        };
        Ok(KeyVersion {
            id: row.id,
            version: u32::try_from(row.version).unwrap_or_default(),
            key,
            hmac_key,
            public_key: row.public_key.clone(),
            certificate_chain: row.certificate_chain.clone(),
            created_at: row.created_at,
            activated_at: row.activated_at.unwrap_or(row.created_at),
            on_token,
            state: KeyState::parse(&row.key_state).ok_or_else(tampered)?,
        })
    }

    async fn unwrappable(
        &self,
        row: &KeyVersionRow,
        id: Uuid,
        key_type: KeyType,
        purpose: Purpose,
        blob: Vec<u8>,
    ) -> Result<KeyRef> {
        let organization_key = self.organization_key(row.organization_id).await?;
        if row.encryption_key_id != Some(organization_key.id) {
            return Err(Error::Operator(format!(
                "key version {} is wrapped by another organization key than this token unwraps",
                row.id
            )));
        }
        let wrapped_by = KeyRef::Wrapped(organization_key);
        Ok(KeyRef::Wrapped(Arc::new(WrappedKey { id, key_type, purpose, blob, wrapped_by })))
    }
}

/// Names the HMAC key beside a version in workers' caches. The version's own id is of version 7 (RFC 9562); no id that we draw is of version 8.
fn hmac_key_id(version_id: Uuid) -> Uuid {
    uuid::Builder::from_custom_bytes(*version_id.as_bytes()).into_uuid()
}

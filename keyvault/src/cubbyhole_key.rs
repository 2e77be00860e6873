//! The key of an organization for what its tokens keep: AES-256, one wrapped blob, made in the token when it is needed first.

use crate::row_mac::{MacDomain, RowBytes};
use crate::store::cubbyhole_keys::{self, CubbyholeKeyRow};
use crate::store::read_as_of_now;
use crate::vault::system;
use crate::{Error, Result, Vault, record};
use hsm_bridge::{KeyRef, KeyType, Purpose, WrappedKey};
use std::sync::{Arc, PoisonError};
use uuid::Uuid;

impl Vault {
    /// The newest, from memory if it was asked for before.
    pub(crate) async fn cubbyhole_key(&self, organization_id: Uuid) -> Result<Arc<WrappedKey>> {
        let deployment = self.deployment().await?;
        let known =
            deployment.cubbyhole_keys.lock().unwrap_or_else(PoisonError::into_inner).get(&organization_id).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let row = match self.read_cubbyhole_key(organization_id).await? {
            Some(row) => row,
            None => match self.make_cubbyhole_key(organization_id).await {
                // Another server was faster.
                Ok(()) | Err(Error::Exists) => {
                    self.read_cubbyhole_key(organization_id).await?.ok_or(Error::Conflict)?
                }
                Err(error) => return Err(error),
            },
        };
        self.check_rows(organization_id, &[(cubbyhole_keys::TABLE, row.id, row_bytes(&row), &row.row_mac)]).await?;
        let key = Arc::new(self.data_key_wrapped(organization_id, row.id, row.blob, row.encryption_key_id).await?);
        deployment
            .cubbyhole_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(organization_id, Arc::clone(&key));
        Ok(key)
    }

    async fn read_cubbyhole_key(&self, organization_id: Uuid) -> Result<Option<CubbyholeKeyRow>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = cubbyhole_keys::newest(&mut transaction).await?;
        transaction.rollback().await?;
        Ok(row)
    }

    async fn make_cubbyhole_key(&self, organization_id: Uuid) -> Result<()> {
        let organization_key = self.organization_key(organization_id).await?;
        let encryption_key_id = organization_key.id;
        let wrapped_by = KeyRef::Wrapped(organization_key);
        let generated =
            self.inner.bridge.generate_wrapped_key(KeyType::Aes256, Purpose::Encryption, &wrapped_by).await?;
        let now = self.inner.clock.now();
        let mut row = CubbyholeKeyRow {
            id: Uuid::now_v7(),
            organization_id,
            key_version: 1,
            blob: generated.blob,
            encryption_key_id,
            revision: 1,
            row_mac: Vec::new(),
        };
        row.row_mac = self.mac(MacDomain::SecureRow, &row_bytes(&row)).await?.to_vec();
        let mut event = record::event(&system(organization_id), now, "key_access", "cubbyhole_key.create");
        event.resource_id = Some(row.id.to_string());
        let written = [(cubbyhole_keys::TABLE, row.id, row.revision, row.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if cubbyhole_keys::insert(connection, &row, now).await? {
                        return Ok(((), event));
                    }
                    Err(Error::Exists)
                })
            })
            .await
            .map_err(Error::from)
    }
}

fn row_bytes(row: &CubbyholeKeyRow) -> Vec<u8> {
    RowBytes::new(cubbyhole_keys::TABLE)
        .id(Some(row.id))
        .integer(row.revision)
        .id(Some(row.organization_id))
        .integer(row.key_version.into())
        .bytes(Some(&row.blob))
        .id(Some(row.encryption_key_id))
        .finish()
}

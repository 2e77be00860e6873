//! The keys of an organization for what its tokens keep: AES-256, wrapped by the organization key, made in the token, the first when one is needed.

use crate::held_keys::HeldKey;
use crate::key::usage::{Counted, What};
use crate::row_mac::{MacDomain, RowBytes};
use crate::store::cubbyhole_keys::{self, CubbyholeKeyRow};
use crate::store::read_as_of_now;
use crate::vault::system;
use crate::{Error, Result, Vault, record};
use audit_chain::Value;
use hsm_bridge::{KeyRef, KeyType, Purpose};
use std::sync::Arc;
use uuid::Uuid;

impl Vault {
    /// The newest, to encrypt so much once, which is taken into account before it is done.
    pub(crate) async fn spent_cubbyhole_key(&self, organization_id: Uuid) -> Result<Arc<HeldKey>> {
        let key = match self.stored_cubbyhole_key(organization_id, None).await? {
            Some(key) => key,
            None => match self.make_cubbyhole_key(organization_id, 1).await {
                // Another server was faster.
                Ok(()) | Err(Error::Exists) => {
                    self.stored_cubbyhole_key(organization_id, None).await?.ok_or(Error::Conflict)?
                }
                Err(error) => return Err(error),
            },
        };
        let counted =
            Counted { organization_id, version_id: key.id(), version: key.version.into(), what: What::CubbyholeKey };
        self.spend_of(&counted, 1).await?;
        Ok(key)
    }

    /// One by its id, or the newest; from memory if it was asked for before.
    pub(crate) async fn stored_cubbyhole_key(
        &self,
        organization_id: Uuid,
        id: Option<Uuid>,
    ) -> Result<Option<Arc<HeldKey>>> {
        let deployment = self.deployment().await?;
        let epoch = self.inner.cache.epoch();
        if let Some(key) = deployment.cubbyhole_keys.find(organization_id, id, epoch) {
            return Ok(Some(key));
        }
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = cubbyhole_keys::by_id(&mut transaction, id).await?;
        transaction.rollback().await?;
        let Some(row) = row else { return Ok(None) };
        self.check_rows(organization_id, &[(cubbyhole_keys::TABLE, row.id, row_bytes(&row), &row.row_mac)]).await?;
        let version = row.key_version;
        let key = self.data_key_wrapped(organization_id, row.id, row.blob, row.encryption_key_id).await?;
        let key = Arc::new(HeldKey { version, key: Arc::new(key) });
        deployment.cubbyhole_keys.keep(organization_id, &key, id.is_none().then_some(epoch));
        Ok(Some(key))
    }

    /// Makes a new one where the newest has made three quarters of the encryptions that one may make; whether it did. What is under older ones stays
    /// readable, and ends with its token.
    pub async fn rotate_spent_cubbyhole_key(&self, organization_id: Uuid) -> Result<bool> {
        let Some(newest) = self.stored_cubbyhole_key(organization_id, None).await? else { return Ok(false) };
        if !self.is_nearly_spent(organization_id, newest.id()).await? {
            return Ok(false);
        }
        let made = self.make_cubbyhole_key(organization_id, newest.version + 1).await;
        self.deployment().await?.cubbyhole_keys.forget_newest(organization_id);
        match made {
            // Another server did.
            Err(Error::Exists) => Ok(false),
            other => other.map(|()| true),
        }
    }

    async fn make_cubbyhole_key(&self, organization_id: Uuid, key_version: i32) -> Result<()> {
        let organization_key = self.organization_key(organization_id).await?;
        let encryption_key_id = organization_key.id;
        let wrapped_by = KeyRef::Wrapped(organization_key);
        let generated =
            self.inner.bridge.generate_wrapped_key(KeyType::Aes256, Purpose::Encryption, &wrapped_by).await?;
        let now = self.inner.clock.now();
        let mut row = CubbyholeKeyRow {
            id: Uuid::now_v7(),
            organization_id,
            key_version,
            blob: generated.blob,
            encryption_key_id,
            revision: 1,
            row_mac: Vec::new(),
        };
        row.row_mac = self.mac(MacDomain::SecureRow, &row_bytes(&row)).await?.to_vec();
        let (category, event_type) = match key_version {
            1 => ("key_access", "cubbyhole_key.create"),
            _ => ("key_rotation", "cubbyhole_key.rotate"),
        };
        let mut event = record::event(&system(organization_id), now, category, event_type);
        event.resource_id = Some(row.id.to_string());
        event.data.insert("version".into(), Value::Integer(key_version.into()));
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

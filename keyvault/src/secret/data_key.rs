//! Data keys of organizations, under which their secrets are encrypted: AES-256, wrapped by the organization key, made when one is needed first.

use super::SecretName;
use crate::held_keys::HeldKey;
use crate::key::usage::{Counted, What};
use crate::row_mac::{MacDomain, RowBytes};
use crate::store::encryption_keys::{self, DataKeyRow};
use crate::store::{read_as_of_now, secret_versions};
use crate::vault::system;
use crate::{Error, Result, Vault, record};
use hsm_bridge::{Ciphertext, KeyRef, KeyType, Purpose};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of an IV of AES-GCM (SP 800-38D).
const IV: usize = 12;

/// Where a ciphertext belongs.
pub(super) struct Place<'p> {
    pub(super) organization_id: Uuid,
    pub(super) name: &'p SecretName,
    pub(super) secret_id: Uuid,
    pub(super) version: i32,
}

impl Vault {
    /// IV, ciphertext and tag of a version.
    pub(super) async fn seal_version(&self, key: &HeldKey, place: Place<'_>, content: &[u8]) -> Result<Vec<u8>> {
        let aad = bound(&place, key);
        let counted = Counted {
            organization_id: place.organization_id,
            version_id: key.id(),
            version: key.version.into(),
            what: What::DataKey,
        };
        self.spend_of(&counted, 1).await?;
        let sealed = self.inner.bridge.aes_gcm_encrypt(&key.reference(), content.to_vec(), aad).await?;
        Ok([sealed.iv.as_slice(), &sealed.ciphertext_and_tag].concat())
    }

    /// What a version holds; a ciphertext that is not the one written for this place is refused as the row is. `row`: the version's.
    pub(super) async fn open_version(
        &self,
        key_id: Uuid,
        place: Place<'_>,
        row: Uuid,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>> {
        let refused = async || self.refuse_row(place.organization_id, secret_versions::TABLE, row).await;
        let Some(key) = self.stored_data_key(place.organization_id, Some(key_id)).await? else {
            return Err(refused().await);
        };
        let Some((iv, ciphertext_and_tag)) = ciphertext.split_first_chunk::<IV>() else {
            return Err(refused().await);
        };
        let sealed = Ciphertext { iv: *iv, ciphertext_and_tag: ciphertext_and_tag.to_vec() };
        let aad = bound(&place, &key);
        match self.inner.bridge.aes_gcm_decrypt(&key.reference(), sealed, aad).await {
            Ok(content) => Ok(content),
            // The tag does not fit what was read: somebody else wrote the row.
            Err(hsm_bridge::Error::Refused { .. }) => Err(refused().await),
            Err(other) => Err(other.into()),
        }
    }

    /// The newest, made if there is none.
    pub(super) async fn newest_data_key(&self, organization_id: Uuid) -> Result<Arc<HeldKey>> {
        if let Some(key) = self.stored_data_key(organization_id, None).await? {
            return Ok(key);
        }
        match self.make_data_key(organization_id).await {
            // Another server was faster.
            Ok(()) | Err(Error::Exists) => self.stored_data_key(organization_id, None).await?.ok_or(Error::Conflict),
            Err(error) => Err(error),
        }
    }

    /// One by its id, or the newest.
    async fn stored_data_key(&self, organization_id: Uuid, id: Option<Uuid>) -> Result<Option<Arc<HeldKey>>> {
        let deployment = self.deployment().await?;
        let epoch = self.inner.cache.epoch();
        if let Some(key) = deployment.data_keys.find(organization_id, id, epoch) {
            return Ok(Some(key));
        }
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = encryption_keys::data_key(&mut transaction, organization_id, id).await?;
        transaction.rollback().await?;
        let Some(row) = row else { return Ok(None) };
        self.check_rows(organization_id, &[("encryption_keys", row.id, row.row_bytes(), &row.row_mac)]).await?;
        let (key_id, version) = (row.id, row.key_version);
        let key = self.data_key_wrapped(organization_id, key_id, row.blob, row.encryption_key_id).await?;
        let key = Arc::new(HeldKey { version, key: Arc::new(key) });
        deployment.data_keys.keep(organization_id, &key, id.is_none().then_some(epoch));
        Ok(Some(key))
    }

    async fn make_data_key(&self, organization_id: Uuid) -> Result<()> {
        let row = self.generate_data_key(organization_id, 1).await?;
        let now = row.created_at;
        let mut event = record::event(&system(organization_id), now, "key_access", "data_key.create");
        event.resource_id = Some(row.id.to_string());
        let written = [("encryption_keys", row.id, row.revision, row.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if encryption_keys::insert_data_key(connection, &row, now).await? {
                        return Ok(((), event));
                    }
                    Err(Error::Exists)
                })
            })
            .await
            .map_err(Error::from)
    }

    /// A new one, made in the token and bound, in no row yet.
    pub(super) async fn generate_data_key(&self, organization_id: Uuid, key_version: i32) -> Result<DataKeyRow> {
        let organization_key = self.organization_key(organization_id).await?;
        let encryption_key_id = organization_key.id;
        let wrapped_by = KeyRef::Wrapped(organization_key);
        let generated =
            self.inner.bridge.generate_wrapped_key(KeyType::Aes256, Purpose::Encryption, &wrapped_by).await?;
        let mut row = DataKeyRow {
            id: Uuid::now_v7(),
            organization_id,
            key_version,
            key_state: "active".into(),
            blob: generated.blob,
            encryption_key_id,
            revision: 1,
            row_mac: Vec::new(),
            created_at: self.inner.clock.now(),
        };
        self.bind_data_key(&mut row).await?;
        Ok(row)
    }

    pub(super) async fn bind_data_key(&self, row: &mut DataKeyRow) -> Result<()> {
        row.row_mac = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
        Ok(())
    }

    /// It was rotated: the next value asks the database which one is the newest.
    pub(super) async fn forget_newest_data_key(&self, organization_id: Uuid) -> Result<()> {
        self.deployment().await?.data_keys.forget_newest(organization_id);
        Ok(())
    }
}

/// What a ciphertext is bound to.
pub(super) fn bound(place: &Place<'_>, key: &HeldKey) -> Vec<u8> {
    RowBytes::new("secret_versions")
        .id(Some(place.organization_id))
        .id(Some(place.name.mount_id))
        .text(&place.name.path)
        .id(Some(place.secret_id))
        .integer(place.version.into())
        .id(Some(key.key.id))
        .integer(key.version.into())
        .finish()
}

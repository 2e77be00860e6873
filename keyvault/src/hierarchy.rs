//! Root ▸ organization ▸ working key: which key unwraps which.

use crate::held_keys::HeldKeys;
use crate::row_mac::{MacDomain, RowBytes};
use crate::store::encryption_keys::{self, OrganizationKeyRow};
use crate::store::hsm_tokens::{self, TokenRow};
use crate::store::read_as_of_now;
use crate::vault::Inner;
use crate::{Error, Result, Vault, ceremony, record};
use audit_chain::{Caller, Checkpoint, Event};
use audit_log::{CheckpointSigner, SignedCheckpoint};
use der::asn1::UintRef;
use der::{Encode, Sequence};
use futures_util::future::BoxFuture;
use hsm_bridge::{KeyRef, KeyType, Purpose, SignMechanism, TokenKey, WrappedKey};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use uuid::Uuid;

/// The token this deployment's keys stand on, as registered at initialisation.
#[derive(Debug)]
pub(crate) struct Deployment {
    token: TokenRow,
    organization_keys: Mutex<HashMap<Uuid, Arc<WrappedKey>>>,
    pub(crate) cubbyhole_keys: HeldKeys,
    pub(crate) data_keys: HeldKeys,
}

impl Deployment {
    pub(crate) fn mac_key(&self) -> Uuid {
        self.token.mac_key_id
    }

    pub(crate) fn token_id(&self) -> Uuid {
        self.token.id
    }
}

impl Vault {
    /// Organization `root` has its key: `sys/init` was done on this side.
    pub async fn initialized(&self) -> Result<bool> {
        Ok(self.registered_tokens().await? > 0)
    }

    /// Registers the token and makes the organization key. Never makes a root key: the ceremony did, or its keys are named as missing.
    pub async fn initialize(&self, caller: &Caller) -> Result<()> {
        let capabilities = self.inner.bridge.capabilities().await?;
        let (root_key_id, mac_key_id, audit_key_id) = match ceremony::check(&self.inner.bridge).await {
            Err(Error::Operator(reason)) if self.initialized().await? => {
                return Err(Error::Operator(format!(
                    "clm_secure_db holds keys of this deployment, but not this token: {reason}. Connect the token that holds the root key, or restore it from the vendor's backup; another root key could not unwrap anything"
                )));
            }
            other => other?,
        };
        let audit_public_key =
            self.inner.bridge.public_key(TokenKey { id: audit_key_id, key_type: KeyType::EcP256 }).await?;
        let token = TokenRow {
            id: Uuid::now_v7(),
            label: capabilities.label,
            serial_number: capabilities.serial,
            manufacturer: capabilities.manufacturer,
            model: capabilities.model,
            root_key_id,
            root_version: 1,
            mac_key_id,
            audit_key_id,
            audit_public_key: audit_public_key.spki_der,
        };
        let (key, event) = self.new_organization_key(caller, &token).await?;
        let now = self.inner.clock.now();
        // Done by an earlier attempt that was cut off before the other database was: that is what was wanted.
        match self
            .inner
            .audit
            .commit(caller.organization_id, move |connection| {
                Box::pin(async move {
                    if hsm_tokens::count(&mut *connection).await? > 0 {
                        return Err(Error::Exists);
                    }
                    hsm_tokens::insert(&mut *connection, &token).await?;
                    encryption_keys::insert(connection, &key, now).await?;
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)
        {
            Err(Error::Exists) => Ok(()),
            other => other,
        }
    }

    /// Makes the key of the caller's organization, unless an earlier attempt that was cut off did.
    pub async fn create_organization_key(&self, caller: &Caller) -> Result<()> {
        let deployment = self.deployment().await?;
        if self.has_organization_key(caller.organization_id).await? {
            return Ok(());
        }
        let (key, event) = self.new_organization_key(caller, &deployment.token).await?;
        let (organization_id, token_id, now) = (caller.organization_id, key.token_id, self.inner.clock.now());
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    if encryption_keys::newest(&mut *connection, organization_id, token_id).await?.is_some() {
                        return Err(Error::Exists);
                    }
                    encryption_keys::insert(connection, &key, now).await?;
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)
            .or_else(|error| if matches!(error, Error::Exists) { Ok(()) } else { Err(error) })
    }

    /// A first organization key, made in the token; its rows, and the event that tells of them.
    async fn new_organization_key(&self, caller: &Caller, token: &TokenRow) -> Result<(OrganizationKeyRow, Event)> {
        let generated =
            self.inner.bridge.generate_wrapped_key(KeyType::Aes256, Purpose::Wrapping, &root(token)).await?;
        let mut key = OrganizationKeyRow {
            id: Uuid::now_v7(),
            organization_id: caller.organization_id,
            key_version: 1,
            key_state: "active".into(),
            revision: 1,
            row_mac: Vec::new(),
            token_id: token.id,
            root_version: token.root_version,
            blob: generated.blob,
            wrapping_mac: Vec::new(),
        };
        let [row, wrapping] = row_bytes(&key);
        let macs = self.macs(token.mac_key_id, MacDomain::SecureRow, &[&row, &wrapping]).await?;
        key.row_mac = macs[0].to_vec();
        key.wrapping_mac = macs[1].to_vec();
        let mut event = record::event(caller, self.inner.clock.now(), "key_access", "organization_key.create");
        event.resource_id = Some(key.id.to_string());
        let written = [("encryption_keys", key.id, key.revision, key.row_mac.as_slice())];
        event.data.insert("rows".into(), record::rows(written));
        Ok((key, event))
    }

    /// The registered token, read once.
    pub(crate) async fn deployment(&self) -> Result<Arc<Deployment>> {
        if let Some(deployment) = &*self.inner.deployment.read().await {
            return Ok(Arc::clone(deployment));
        }
        let capabilities = self.inner.bridge.capabilities().await?;
        let mut transaction = audit_log::begin(&self.inner.pool, "BEGIN").await?;
        let token = hsm_tokens::by_serial(&mut transaction, &capabilities.serial).await?;
        transaction.rollback().await?;
        let token = token.ok_or_else(|| {
            Error::Operator(format!(
                "token `{}` (serial {}) is not one of this deployment's: initialise it (sys/init), or correct hsm.token",
                capabilities.label, capabilities.serial
            ))
        })?;
        let deployment = Arc::new(Deployment {
            token,
            organization_keys: Mutex::default(),
            cubbyhole_keys: HeldKeys::default(),
            data_keys: HeldKeys::default(),
        });
        *self.inner.deployment.write().await = Some(Arc::clone(&deployment));
        Ok(deployment)
    }

    /// The key that wraps an organization's working keys.
    pub(crate) async fn organization_key(&self, organization_id: Uuid) -> Result<Arc<WrappedKey>> {
        let deployment = self.deployment().await?;
        let known =
            deployment.organization_keys.lock().unwrap_or_else(PoisonError::into_inner).get(&organization_id).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let row = encryption_keys::newest(&mut transaction, organization_id, deployment.token_id()).await?;
        transaction.rollback().await?;
        let row = row.ok_or_else(|| {
            Error::Operator(format!("organization {organization_id} has no key that this token can unwrap"))
        })?;
        let [bytes, wrapping] = row_bytes(&row);
        self.check_rows(
            organization_id,
            &[("encryption_keys", row.id, bytes, &row.row_mac), ("key_wrappings", row.id, wrapping, &row.wrapping_mac)],
        )
        .await?;
        let key = Arc::new(WrappedKey {
            id: row.id,
            key_type: KeyType::Aes256,
            purpose: Purpose::Wrapping,
            blob: row.blob,
            wrapped_by: root(&deployment.token),
        });
        deployment
            .organization_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(organization_id, Arc::clone(&key));
        Ok(key)
    }

    /// A key of an organization for what it keeps (AES-256), which its organization key wraps.
    pub(crate) async fn data_key_wrapped(
        &self,
        organization_id: Uuid,
        id: Uuid,
        blob: Vec<u8>,
        encryption_key_id: Uuid,
    ) -> Result<WrappedKey> {
        let organization_key = self.organization_key(organization_id).await?;
        if encryption_key_id != organization_key.id {
            return Err(Error::Operator(format!(
                "data key {id} is wrapped by another organization key than this token unwraps"
            )));
        }
        let wrapped_by = KeyRef::Wrapped(organization_key);
        Ok(WrappedKey { id, key_type: KeyType::Aes256, purpose: Purpose::Encryption, blob, wrapped_by })
    }
}

fn root(token: &TokenRow) -> KeyRef {
    KeyRef::Token(TokenKey { id: token.root_key_id, key_type: KeyType::Aes256 })
}

fn row_bytes(key: &OrganizationKeyRow) -> [Vec<u8>; 2] {
    let row = RowBytes::new("encryption_keys")
        .id(Some(key.id))
        .integer(key.revision)
        .id(Some(key.organization_id))
        .integer(key.key_version.into())
        .text(&key.key_state)
        .finish();
    let wrapping = RowBytes::new("key_wrappings")
        .id(Some(key.id))
        .id(Some(key.token_id))
        .id(Some(key.organization_id))
        .integer(key.root_version.into())
        .bytes(Some(&key.blob))
        .finish();
    [row, wrapping]
}

#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// r ‖ s as ECDSA-Sig-Value, DER (RFC 3279, 2.2.3).
pub(crate) fn ecdsa_der(signature: &[u8]) -> Result<Vec<u8>> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let encode = || EcdsaSigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der();
    encode().map_err(|error| {
        Error::Hsm(hsm_bridge::Error::Internal(format!("the token's signature is no r and s: {error}")))
    })
}

/// Signs for a vault as long as there is one.
pub(crate) struct VaultSigner(pub(crate) Weak<Inner>);

impl CheckpointSigner for VaultSigner {
    fn sign<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Option<SignedCheckpoint>> {
        Box::pin(async move {
            let vault = Vault { inner: self.0.upgrade()? };
            let deployment = vault.deployment().await.ok()?;
            let key = KeyRef::Token(TokenKey { id: deployment.token.audit_key_id, key_type: KeyType::EcP256 });
            let digest = Sha256::digest(checkpoint.signed_bytes()).to_vec();
            let signature = vault.inner.bridge.sign(&key, SignMechanism::Ecdsa, vec![digest]).await.ok()?.pop()?;
            Some(SignedCheckpoint {
                signature: ecdsa_der(&signature).ok()?,
                public_key: deployment.token.audit_public_key.clone(),
            })
        })
    }
}

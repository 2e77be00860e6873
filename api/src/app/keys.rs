//! Verbs of named keys. keyvault records what it does; a refusal before it came that far is recorded here.

use super::{Context, Error, Result};
use audit_chain::{Event, Outcome, Severity, Value};
use clm_core::Mount;
use keyvault::key::{
    ByokRequest, DataKey, DataKeyPair, DataKeyPairRequest, DataKeyRequest, DecryptItem, DerivationFunction,
    EncryptItem, Encrypted, ExportRequest, Hash, ImportedMaterial, Key, KeyConfig, KeyName, Named, NewImport, NewKey,
    Results, SignRequest, Signed, VerifyItem, VerifyRequest,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What a name was found to be.
#[derive(Clone, Debug)]
pub(crate) struct LookedUp {
    mount_id: Uuid,
    name: KeyName,
    /// `None`: neither a key nor an alias.
    key: Option<Arc<Key>>,
}

impl Context {
    /// The name of the key that `name` stands for, if it is an alias; else what it is is kept for the verb.
    pub(crate) async fn follow(&mut self, mount: &Mount, name: KeyName) -> Result<Option<KeyName>> {
        let key = match self.services.vault.named(self.caller.organization_id, mount.id, &name).await? {
            Named::Alias(target) => return Ok(Some(target)),
            Named::Key(key) => Some(key),
            Named::Nothing => None,
        };
        self.looked_up = Some(LookedUp { mount_id: mount.id, name, key });
        Ok(None)
    }

    /// Makes a key; one of that name that is there comes back as it is.
    pub(crate) async fn create_key(&self, mount: &Mount, name: &KeyName, new: NewKey) -> Result<(Arc<Key>, bool)> {
        let created = self.services.vault.create_key(&self.caller, mount.id, name, new).await;
        self.refusals("key.create", name, created).await
    }

    /// A key, or `None`: as it was when the request's path was looked at, if that names it.
    pub(crate) async fn key(&self, mount: &Mount, name: &KeyName) -> Result<Option<Arc<Key>>> {
        if let Some(known) = &self.looked_up
            && known.mount_id == mount.id
            && known.name == *name
        {
            return Ok(known.key.clone());
        }
        Ok(self.services.vault.key(self.caller.organization_id, mount.id, name).await?)
    }

    /// Names of a mount's keys, sorted.
    pub(crate) async fn list_keys(&self, mount: &Mount) -> Result<Vec<String>> {
        Ok(self.services.vault.list_keys(self.caller.organization_id, mount.id).await?)
    }

    /// A new version.
    pub(crate) async fn rotate_key(&self, mount: &Mount, name: &KeyName) -> Result<Arc<Key>> {
        let rotated = self.services.vault.rotate_key(&self.caller, mount.id, name).await;
        self.refusals("key.rotate", name, rotated).await
    }

    /// Other settings, with warnings.
    pub(crate) async fn configure_key(
        &self,
        mount: &Mount,
        name: &KeyName,
        config: KeyConfig,
    ) -> Result<(Arc<Key>, Vec<String>)> {
        let configured = self.services.vault.configure_key(&self.caller, mount.id, name, config).await;
        self.refusals("key.configure", name, configured).await
    }

    /// Deletes a key that may be deleted.
    pub(crate) async fn delete_key(&self, mount: &Mount, name: &KeyName) -> Result<()> {
        let deleted = self.services.vault.delete_key(&self.caller, mount.id, name).await;
        self.refusals("key.delete", name, deleted).await
    }

    /// Destroys old versions.
    pub(crate) async fn trim_key(&self, mount: &Mount, name: &KeyName, min_available_version: i64) -> Result<Arc<Key>> {
        let trimmed = self.services.vault.trim_key(&self.caller, mount.id, name, min_available_version).await;
        self.refusals("key.trim", name, trimmed).await
    }

    /// Texts of a key's versions.
    pub(crate) async fn export_key(
        &self,
        key: &Key,
        request: ExportRequest,
    ) -> Result<BTreeMap<u32, Zeroizing<String>>> {
        let exported = self.services.vault.export_key(&self.caller, key, request).await;
        self.refusals("key.export", &key.name, exported).await
    }

    /// A key's versions, wrapped for the holder of another.
    pub(crate) async fn export_for(&self, key: &Key, request: ByokRequest<'_>) -> Result<BTreeMap<u32, Vec<u8>>> {
        let exported = self.services.vault.export_for(&self.caller, key, request).await;
        self.refusals("key.export", &key.name, exported).await
    }

    /// PEM of a request for a certificate of a key.
    pub(crate) async fn request_certificate(&self, key: &Key, version: i64, template: Option<&str>) -> Result<String> {
        let requested = self.services.vault.request_certificate(&self.caller, key, version, template).await;
        self.refusals("key.request_certificate", &key.name, requested).await
    }

    /// Keeps a chain of certificates with a key.
    pub(crate) async fn set_certificate(
        &self,
        mount: &Mount,
        name: &KeyName,
        version: i64,
        chain: &str,
    ) -> Result<Arc<Key>> {
        let set = self.services.vault.set_certificate(&self.caller, mount.id, name, version, chain).await;
        self.refusals("key.set_certificate", name, set).await
    }

    /// PEM of the key under which keys are sent to this mount.
    pub(crate) async fn wrapping_key(&self, mount: &Mount) -> Result<String> {
        let key = self.services.vault.wrapping_key(&self.caller, mount.id).await?;
        Ok(key.public_pem(1)?)
    }

    /// Takes in a key.
    pub(crate) async fn import_key(
        &self,
        mount: &Mount,
        name: &KeyName,
        new: NewImport,
        material: ImportedMaterial,
    ) -> Result<()> {
        let imported = self.services.vault.import_key(&self.caller, mount.id, name, new, material).await;
        self.refusals("key.import", name, imported).await
    }

    /// Takes in a version of an imported key.
    pub(crate) async fn import_version(
        &self,
        mount: &Mount,
        name: &KeyName,
        completed: Option<i64>,
        material: ImportedMaterial,
    ) -> Result<()> {
        let imported = self.services.vault.import_version(&self.caller, mount.id, name, completed, material).await;
        self.refusals("key.import", name, imported).await
    }

    /// A text from which this deployment can restore a key.
    pub(crate) async fn back_up_key(&self, mount: &Mount, name: &KeyName) -> Result<String> {
        let made = self.services.vault.back_up_key(&self.caller, mount.id, name).await;
        self.refusals("key.backup", name, made).await
    }

    /// Restores a key from what a backup answered.
    pub(crate) async fn restore_key(
        &self,
        mount: &Mount,
        name: Option<&KeyName>,
        backup: &str,
        force: bool,
    ) -> Result<()> {
        let restored = self.services.vault.restore_key(&self.caller, mount.id, name, backup, force).await;
        self.refusals("key.restore", name, restored).await
    }

    /// Random bytes of the token.
    pub(crate) async fn random(&self, bytes: u32) -> Result<Zeroizing<Vec<u8>>> {
        Ok(self.services.vault.random(&self.caller, bytes).await?)
    }

    /// A digest.
    pub(crate) async fn hash(&self, hash: Hash, data: &[u8]) -> Result<Vec<u8>> {
        Ok(self.services.vault.hash(&self.caller, hash, data).await?)
    }

    /// Signs.
    pub(crate) async fn sign(&self, key: &Key, request: SignRequest) -> Result<Signed> {
        Ok(self.services.vault.sign(&self.caller, key, request).await?)
    }

    /// Verifies.
    pub(crate) async fn verify(&self, key: &Key, request: VerifyRequest) -> Result<Vec<Result<bool, String>>> {
        Ok(self.services.vault.verify(&self.caller, key, request).await?)
    }

    /// Encrypts.
    pub(crate) async fn encrypt(&self, key: &Key, items: Results<EncryptItem>) -> Result<Results<Encrypted>> {
        Ok(self.services.vault.encrypt(&self.caller, key, items).await?)
    }

    /// Decrypts.
    pub(crate) async fn decrypt(&self, key: &Key, items: Results<DecryptItem>, fips: bool) -> Result<Results<Vec<u8>>> {
        Ok(self.services.vault.decrypt(&self.caller, key, items, fips).await?)
    }

    /// Decrypts, and encrypts with the version beside each (0: the newest).
    pub(crate) async fn rewrap(
        &self,
        key: &Key,
        items: Results<(DecryptItem, i64)>,
        fips: bool,
    ) -> Result<Results<Encrypted>> {
        Ok(self.services.vault.rewrap(&self.caller, key, items, fips).await?)
    }

    /// By what keys of contexts are derived on this token.
    pub(crate) async fn derivation_function(&self) -> Result<DerivationFunction> {
        Ok(self.services.vault.derivation_function().await?)
    }

    /// A new key for the caller.
    pub(crate) async fn data_key(&self, key: &Key, request: DataKeyRequest) -> Result<DataKey> {
        Ok(self.services.vault.data_key(&self.caller, key, request).await?)
    }

    /// A new pair for the caller.
    pub(crate) async fn data_key_pair(&self, key: &Key, request: DataKeyPairRequest) -> Result<DataKeyPair> {
        Ok(self.services.vault.data_key_pair(&self.caller, key, request).await?)
    }

    /// HMACs, and the version that made them.
    pub(crate) async fn hmac(
        &self,
        key: &Key,
        version: i64,
        hash: Hash,
        inputs: Results<Vec<u8>>,
    ) -> Result<(u32, Results<Vec<u8>>)> {
        Ok(self.services.vault.hmac(&self.caller, key, version, hash, inputs).await?)
    }

    /// CMACs, and the version that made them.
    pub(crate) async fn cmac(
        &self,
        key: &Key,
        version: i64,
        length: usize,
        inputs: Results<Vec<u8>>,
    ) -> Result<(u32, Results<Vec<u8>>)> {
        Ok(self.services.vault.cmac(&self.caller, key, version, length, inputs).await?)
    }

    /// Verifies CMACs.
    pub(crate) async fn verify_cmac(
        &self,
        key: &Key,
        length: usize,
        items: Results<VerifyItem>,
    ) -> Result<Results<bool>> {
        Ok(self.services.vault.verify_cmac(&self.caller, key, length, items).await?)
    }

    /// Verifies HMACs.
    pub(crate) async fn verify_hmac(&self, key: &Key, hash: Hash, items: Results<VerifyItem>) -> Result<Results<bool>> {
        Ok(self.services.vault.verify_hmac(&self.caller, key, hash, items).await?)
    }

    /// What was asked for, or why that is not understood, recorded.
    pub(crate) async fn understood<T>(&self, event_type: &'static str, name: &KeyName, read: Result<T>) -> Result<T> {
        match read {
            Err(Error::Invalid(reason)) => Err(self.refuse_key(event_type, name, &reason).await),
            other => other,
        }
    }

    /// Refuses what keyvault was not asked for, and records that.
    pub(crate) async fn refuse_key(&self, event_type: &'static str, name: &KeyName, reason: &str) -> Error {
        match Box::pin(self.record_refusal(event_type, Some(name), reason)).await {
            Ok(()) => Error::invalid(reason),
            Err(error) => error,
        }
    }

    /// The same, where what is named is not there and clients do not look for 400.
    pub(crate) async fn miss_key(&self, event_type: &'static str, name: &KeyName, reason: &str) -> Error {
        match self.refuse_key(event_type, name, reason).await {
            Error::Invalid(reason) => Error::NotFound(reason),
            other => other,
        }
    }

    pub(super) async fn refusals<'n, T>(
        &self,
        event_type: &'static str,
        name: impl Into<Option<&'n KeyName>>,
        result: Result<T, keyvault::Error>,
    ) -> Result<T> {
        use keyvault::Error as E;
        let name = name.into();
        match result {
            Ok(value) => Ok(value),
            Err(error @ (E::Disallowed(_) | E::Exists | E::Invalid(_) | E::NotFound(_))) => {
                self.record_refusal(event_type, name, &error.to_string()).await?;
                Err(error.into())
            }
            Err(other) => Err(other.into()),
        }
    }

    async fn record_refusal(&self, event_type: &'static str, name: Option<&KeyName>, reason: &str) -> Result<()> {
        let caller = &self.caller;
        let mut data = BTreeMap::from([("path".to_owned(), Value::Text(caller.path.to_string().into()))]);
        data.extend(name.map(|name| ("key".to_owned(), Value::Text(name.to_string().into()))));
        caller.describe(&mut data);
        let event = Event {
            id: Uuid::now_v7(),
            timestamp: self.services.now(),
            event_type: event_type.into(),
            category: "key_access".into(),
            severity: Severity::Info,
            organization_id: caller.organization_id,
            resource_type: "key".into(),
            resource_id: None,
            action: event_type.split_once('.').map_or(event_type, |(_, action)| action).into(),
            outcome: Outcome::Failure,
            error_message: Some(reason.to_owned()),
            result_sha256: None,
            request_id: caller.request_id,
            user_id: caller.user_id,
            accessor: Some(caller.accessor.to_string()),
            ip_address: caller.ip_address,
            user_agent: caller.user_agent.as_deref().map(str::to_owned),
            data,
            arrival: caller.arrival.clone(),
        };
        self.services.vault.audit().append(event).await.map_err(|error| Error::Unavailable(error.to_string()))
    }
}

//! What becomes of keys: their states, and their end. keyvault records what it does; a refusal before it came that far is recorded here.

use super::{Context, Result};
use clm_core::Mount;
use keyvault::key::{Key, KeyName, KeyStates, KeyUses, StateRequest};
use std::sync::Arc;

impl Context {
    /// The key that a name stands for, if it is an alias.
    pub(crate) async fn aliased(&self, mount: &Mount, name: &KeyName) -> Result<Option<KeyName>> {
        Ok(self.services.vault.aliased(self.caller.organization_id, mount.id, name).await?)
    }

    /// Aliases of a mount, or of one key.
    pub(crate) async fn aliases(&self, mount: &Mount, of: Option<&Key>) -> Result<Vec<String>> {
        Ok(self.services.vault.aliases(self.caller.organization_id, mount.id, of).await?)
    }

    /// Has an alias stand for a key.
    pub(crate) async fn point_alias(&self, mount: &Mount, alias: &KeyName, key: &KeyName) -> Result<()> {
        let pointed = self.services.vault.point_alias(&self.caller, mount.id, alias, key).await;
        self.refusals("key_alias.point", alias, pointed).await
    }

    /// The alias stands for nothing any more.
    pub(crate) async fn delete_alias(&self, mount: &Mount, alias: &KeyName) -> Result<()> {
        let deleted = self.services.vault.delete_alias(&self.caller, mount.id, alias).await;
        self.refusals("key_alias.delete", alias, deleted).await
    }

    /// Who used a key.
    pub(crate) async fn key_uses(&self, mount: &Mount, name: &KeyName) -> Result<Option<KeyUses>> {
        Ok(self.services.vault.key_uses(self.caller.organization_id, mount.id, name).await?)
    }

    /// Somebody asked what a transition would stop.
    pub(crate) async fn note_dry_run(&self, key: &Key, request: &StateRequest) -> Result<()> {
        Ok(self.services.vault.note_dry_run(&self.caller, key, request).await?)
    }

    /// States of a key and how they came about; where no key has the name, of the last that had it.
    pub(crate) async fn key_states(&self, mount: &Mount, name: &KeyName) -> Result<Option<KeyStates>> {
        let (vault, organization_id) = (&self.services.vault, self.caller.organization_id);
        match vault.key_states(organization_id, mount.id, name).await? {
            Some(states) => Ok(Some(states)),
            None => Ok(vault.deleted_key_states(organization_id, mount.id, name).await?),
        }
    }

    /// Another state of a key or of one version.
    pub(crate) async fn set_key_state(&self, mount: &Mount, name: &KeyName, request: StateRequest) -> Result<Arc<Key>> {
        let set = self.services.vault.set_key_state(&self.caller, mount.id, name, request).await;
        self.refusals("key.state", name, set).await
    }

    /// Destroys a key after a wait.
    pub(crate) async fn schedule_destruction(
        &self,
        mount: &Mount,
        name: &KeyName,
        waiting_period: Option<u64>,
    ) -> Result<Arc<Key>> {
        let scheduled = self.services.vault.schedule_destruction(&self.caller, mount.id, name, waiting_period).await;
        self.refusals("key.schedule_destruction", name, scheduled).await
    }

    /// Keeps a key that was to be destroyed.
    pub(crate) async fn cancel_destruction(&self, mount: &Mount, name: &KeyName) -> Result<Arc<Key>> {
        let cancelled = self.services.vault.cancel_destruction(&self.caller, mount.id, name).await;
        self.refusals("key.cancel_destruction", name, cancelled).await
    }

    /// Has a key do nothing, or work again.
    pub(crate) async fn soft_delete_key(&self, mount: &Mount, name: &KeyName, deleted: bool) -> Result<Arc<Key>> {
        let event_type = if deleted { "key.soft_delete" } else { "key.soft_delete_restore" };
        let done = self.services.vault.soft_delete(&self.caller, mount.id, name, deleted).await;
        self.refusals(event_type, name, done).await
    }
}
